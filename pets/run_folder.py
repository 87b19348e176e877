"""The files that every run leaves: the resolved configuration, the split, the metrics with what they rest on."""

import json
from collections.abc import Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from omegaconf import DictConfig, OmegaConf

from pets.data.datamodule import PetsDataModule

PACKAGES = ("pets", "torch", "torchvision", "lightning", "torchmetrics", "hydra-core")


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration as plain dictionaries, lists and scalars."""
    container: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    return container


def start(cfg: DictConfig, data: PetsDataModule) -> None:
    """Write config.yaml and splits.json."""
    folder = Path(cfg.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.yaml", yaml.safe_dump(plain(cfg), sort_keys=False))
    data.write_manifest(folder / "splits.json")


def finish(cfg: DictConfig, data: PetsDataModule, metrics: Mapping[str, float], seconds: float) -> None:
    """Write metrics.json: the metrics, how many images each part has, the seed, the time, the versions."""
    record = {
        **metrics,
        "n": {part: len(indices) for part, indices in data.splits._asdict().items()},
        "classes": len(data.vocab),
        "seed": cfg.seed,
        "split": plain(cfg)["data"]["split"],
        "seconds": round(seconds, 1),
        "versions": {package: version(package) for package in PACKAGES},
    }
    write_text(Path(cfg.run_dir) / "metrics.json", json.dumps(record, indent=1) + "\n")


def write_text(path: Path, text: str) -> None:
    """Write a file so that it is either the old one or the new one, whatever happens."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)
