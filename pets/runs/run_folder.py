"""The files that every run leaves: the resolved configuration, the split, the metrics with what they rest on."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import yaml
from filelock import FileLock, Timeout
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from pets.data.splits import read_manifest
from pets.runs import resume

if TYPE_CHECKING:  # what starts a run must not import torch
    from pets.data.datamodule import ImageDataModule

LOCK_SECONDS = 20
PACKAGES = ("pets", "torch", "torchvision", "lightning", "torchmetrics", "hydra-core")


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration as plain dictionaries, lists and scalars, for the records of a run.

    A value from the environment stays the name of its variable, since it may be a secret.
    """
    OmegaConf.register_new_resolver("oc.env", lambda name, *default: f"${{oc.env:{name}}}", replace=True)
    try:
        container: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)
    return container


@contextmanager
def claimed(cfg: DictConfig) -> Iterator[None]:
    """Keep the run folder for one training run of one process.

    A sweep looks after the folders of its jobs itself, and repeats those that did not end well.

    Raises:
        ValueError: Another process trains in it, or it holds a run that this one does not resume.
    """
    folder = Path(cfg.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    try:
        # Data workers of a killed run hold its lock until they notice, within seconds.
        with FileLock(folder / ".lock", timeout=LOCK_SECONDS):
            in_sweep = HydraConfig.initialized() and HydraConfig.get().mode == RunMode.MULTIRUN
            if cfg.ckpt_path is None and not in_sweep and (folder / resume.LAST).exists():
                raise ValueError(f"run_dir={folder} holds a run: ckpt_path={folder} goes on with it, or choose another")
            yield
    except Timeout as error:
        raise ValueError(f"run_dir={folder}: another process is training in it") from error


def start(cfg: DictConfig, data: "ImageDataModule") -> None:
    """Write config.yaml, splits.json and, for a resumed run, what was typed to get there.

    Raises:
        ValueError: A resumed run would train or validate on other images than before.
    """
    folder = Path(cfg.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    if cfg.ckpt_path is not None:
        _check_split(Path(cfg.ckpt_path).parent.parent / "splits.json", data)
    _keep_table(folder / "metrics.csv")
    if HydraConfig.initialized():
        resume.remember(folder, HydraConfig.get().overrides.task)
    write_config(cfg)
    data.write_manifest(folder / "splits.json")


def write_config(cfg: DictConfig) -> None:
    """Write config.yaml, the resolved configuration."""
    folder = Path(cfg.run_dir)
    folder.mkdir(parents=True, exist_ok=True)
    write_text(folder / "config.yaml", yaml.safe_dump(plain(cfg), sort_keys=False))


def _keep_table(path: Path) -> None:
    """Rename the table of an interrupted run's CSVLogger, which the logger of the resumed run would delete."""
    if path.exists():
        number = len(list(path.parent.glob(f"{path.stem}_*.csv"))) + 1
        path.rename(path.with_name(f"{path.stem}_{number}.csv"))


def _check_split(path: Path, data: "ImageDataModule") -> None:
    if not path.exists():
        return
    files = data.table.files
    for part, names in read_manifest(path).parts.items():
        now = {str(files[i]) for i in getattr(data.splits, part)}
        if moved := sorted(now.symmetric_difference(names)):
            raise ValueError(
                f"ckpt_path: {len(moved)} images have come to or left the part {part!r} since the run began, such as "
                f"{moved[0]}; data.split.from={path} keeps the parts"
            )


def facts(cfg: DictConfig, data: "ImageDataModule", precision: str) -> dict[str, str]:
    """Return what a person wants to know of a started run at a glance."""
    split_hash = json.loads((Path(cfg.run_dir) / "splits.json").read_text(encoding="utf-8"))["hash"]
    return {
        "command": "python train.py " + " ".join(typed()),
        "data": data.summary(),
        "split": f"{cfg.data.split.method}, hash {split_hash[:12]}",
        "seed": str(cfg.seed),
        "precision": precision,
        "versions": ", ".join(f"{package} {version(package)}" for package in PACKAGES),
    }


def typed() -> list[str]:
    """Return the overrides of the command line; none for a run that Hydra did not start."""
    return list(HydraConfig.get().overrides.task) if HydraConfig.initialized() else []


def finish(
    cfg: DictConfig, data: "ImageDataModule", metrics: Mapping[str, float], *, precision: str, seconds: float
) -> None:
    """Write metrics.json: the metrics, how many images each part has, seed, precision, time and versions."""
    record = {
        **metrics,
        "n": {part: len(indices) for part, indices in data.splits._asdict().items()},
        "classes": len(data.vocab),
        "seed": cfg.seed,
        "precision": precision,
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
