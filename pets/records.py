"""What a run leaves for later: configuration, split, final metrics with versions and machine."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path
from typing import Any

import yaml
from hydra.core.hydra_config import HydraConfig
from omegaconf import DictConfig, OmegaConf
from omegaconf.resolvers import oc

from pets.data.datamodule import ImageDataModule
from pets.data.manifest import read_manifest
from pets.errors import UserError
from pets.files import read_text, write_text
from pets.runs import saved
from pets.runs.overrides import typed
from pets.runs.run_folder import RunFolder
from pets.settings.parts import PARTS

PACKAGES = ("pets", "torch", "torchvision", "lightning", "torchmetrics", "hydra-core")


def plain(cfg: DictConfig) -> dict[str, Any]:
    """Return the resolved configuration as plain dictionaries, lists and scalars.

    A value from the environment stays the name of its variable, since it may be a secret.
    """
    with _environment_unread():
        container: dict[str, Any] = OmegaConf.to_container(cfg, resolve=True)  # type: ignore[assignment]
    return container


@contextmanager
def _environment_unread() -> Iterator[None]:
    OmegaConf.register_new_resolver("oc.env", lambda name, *default: f"${{oc.env:{name}}}", replace=True)
    try:
        yield
    finally:
        OmegaConf.register_new_resolver("oc.env", oc.env, replace=True)


def write_config(cfg: DictConfig) -> None:
    """Write config.yaml, resolved, and `.hydra`, which a later command continues from."""
    run = RunFolder(cfg.run_dir)
    run.path.mkdir(parents=True, exist_ok=True)
    if HydraConfig.initialized():
        saved.remember(run, cfg, typed())
    write_text(run.config, yaml.safe_dump(plain(cfg), sort_keys=False, allow_unicode=True))


def start(cfg: DictConfig, data: ImageDataModule) -> None:
    """Write the configuration and splits.json.

    Raises:
        UserError: A resumed run would train or validate on other images than before.
    """
    run = RunFolder(cfg.run_dir)
    resumed = RunFolder.of_checkpoint(Path(cfg.ckpt_path)) if cfg.task == "fit" and cfg.ckpt_path else None
    if resumed is not None and resumed.splits.exists():
        _check_split(resumed.splits, data)
    elif cfg.task == "fit":
        run.forget_attempt()
    _keep_table(run.path / "metrics.csv")
    write_config(cfg)
    data.write_manifest(run.splits)


def _keep_table(path: Path) -> None:
    """Rename the table of an interrupted run's CSVLogger, which the logger of the resumed run would delete."""
    if path.exists():
        number = len(list(path.parent.glob(f"{path.stem}_*.csv"))) + 1
        path.rename(path.with_name(f"{path.stem}_{number}.csv"))


def _check_split(path: Path, data: ImageDataModule) -> None:
    files = data.table.files
    for part, names in read_manifest(path).parts.items():
        now = {str(files[i]) for i in getattr(data.splits, part)}
        if moved := sorted(now.symmetric_difference(names)):
            raise UserError(
                f"ckpt_path: {len(moved)} images have come to or left the part {part!r} since the run began, such as "
                f"{moved[0]}; data.split.from={path} keeps the parts"
            )


def facts(cfg: DictConfig, data: ImageDataModule, precision: str) -> dict[str, str]:
    """Return what a person wants to know of a started run at a glance."""
    split_hash = json.loads(read_text(RunFolder(cfg.run_dir).splits))["hash"]
    return {
        "command": "python train.py " + " ".join(typed()),
        "data": data.summary(),
        "split": f"{cfg.data.split.method}, hash {split_hash[:12]}",
        "seed": str(cfg.seed),
        "precision": precision,
        "versions": ", ".join(f"{package} {version(package)}" for package in PACKAGES),
    }


def finish(
    cfg: DictConfig,
    data: ImageDataModule,
    metrics: Mapping[str, float],
    *,
    precision: str,
    seconds: float,
    timed: Mapping[str, float],
) -> None:
    """Write metrics.json: the metrics, how many images each part has, seed, precision, time and versions.

    Where timing chose the precision, `precision_seconds` has the seconds of a step in each.
    """
    record = {
        **metrics,
        "n": {part: len(getattr(data.splits, part)) for part in PARTS},
        "classes": len(data.vocab),
        "seed": cfg.seed,
        "precision": precision,
        **({"precision_seconds": dict(timed)} if timed else {}),
        "split": plain(cfg)["data"]["split"],
        "seconds": round(seconds, 1),
        "versions": {package: version(package) for package in PACKAGES},
    }
    write_text(RunFolder(cfg.run_dir).metrics, json.dumps(record, indent=1) + "\n")
