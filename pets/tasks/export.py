"""Export a trained model as a folder that predicts on any machine."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

from omegaconf import DictConfig

from pets import records
from pets.console import path_text
from pets.deploy.artifact import read_artifact
from pets.deploy.export import export, missing_for_onnx
from pets.deploy.model_card import model_card
from pets.errors import UserError
from pets.files import read_text
from pets.model.weights import first_line
from pets.runs import saved
from pets.runs.run_folder import RunFolder

log = logging.getLogger(__name__)


def run(cfg: DictConfig) -> None:
    """Export the model of `ckpt_path` to `export.folder`.

    Raises:
        ValueError: `ckpt_path` holds no model of this release.
        FileExistsError: The folder exists.
        ModuleNotFoundError: `export.onnx=true` without the extra `onnx`.
    """
    onnx = decide_onnx(cfg.export.onnx)
    artifact = read_artifact(cfg.ckpt_path)
    metrics = read_metrics(cfg.export.metrics, artifact.origin)
    if metrics and artifact.metadata.threshold is None:
        metadata = dataclasses.replace(artifact.metadata, threshold=metrics.get("valid/threshold"))
        artifact = artifact._replace(metadata=metadata)
    if cfg.export.metrics and (beside := RunFolder(Path(cfg.export.metrics).parent).unknown).is_file():
        artifact = artifact.with_detector(beside)
    run = RunFolder.of_checkpoint(artifact.origin)
    config = saved.read_yaml(run.config) if run and run.config.is_file() else None
    card = model_card(
        artifact.metadata, metrics=metrics, config=config, licence=records.plain(cfg)["export"]["licence"], onnx=onnx
    )
    records.write_config(cfg)
    for chatty in ("onnxscript", "onnx_ir"):
        logging.getLogger(chatty).setLevel(logging.WARNING)
    differences = export(artifact, cfg.export.folder, card, onnx=onnx)
    log.info(summary(Path(cfg.export.folder), differences))


def decide_onnx(wanted: bool | str) -> bool:
    """Return whether to write model.onnx: what is wanted, or for "auto" whether its packages are installed.

    Raises:
        ModuleNotFoundError: It is wanted and a package is missing.
    """
    missing = missing_for_onnx() if wanted else []
    if not missing:
        return bool(wanted)
    says = f'it needs {", ".join(missing)}: pip install "pets[onnx]"'
    if wanted is True:
        raise ModuleNotFoundError(f"export.onnx=true: {says}")
    log.info(f"without model.onnx: {says}")
    return False


def read_metrics(path: str | None, checkpoint: Path) -> dict[str, Any] | None:
    """Read the metrics.json that measured a checkpoint: the one named, or that of its run if it is the final one.

    Raises:
        FileNotFoundError: There is no such file.
        ValueError: It is not a metrics.json.
    """
    run = RunFolder.of_checkpoint(checkpoint)
    if path is None and (run is None or not run.metrics.is_file()):
        return None
    file = run.metrics if path is None and run else Path(str(path))
    if path is None and run and checkpoint.name != run.last.name:
        log.warning(
            f"{file} measured {run.last.name}, not {checkpoint.name}, so the model card names no error; "
            "export.metrics= names the metrics.json of a task=evaluate"
        )
        return None
    try:
        metrics = json.loads(read_text(file))
    except (ValueError, RecursionError) as error:
        raise UserError(f"export.metrics={file}: is not JSON: {first_line(error)}") from error
    if not isinstance(metrics, dict) or not _is_record(metrics):
        raise UserError(f"export.metrics={file}: is not a metrics.json of this project")
    return metrics


def _is_record(metrics: dict[str, Any]) -> bool:
    """Tell whether values are what a run writes: images by part, a split, a seed, and shares in [0, 1]."""
    n, shares = metrics.get("n"), [metrics.get("valid/threshold", 0)]
    if not isinstance(n, dict) or not isinstance(metrics.get("split"), dict) or type(metrics.get("seed")) is not int:
        return False
    shares += [metrics.get(f"{part}/error_rate", 0) for part in n]
    return all(type(count) is int and count >= 0 for count in n.values()) and all(
        share is None or (type(share) in (int, float) and 0 <= share <= 1) for share in shares
    )


def summary(folder: Path, differences: dict[str, float]) -> str:
    """Return the console's lines: each file with its size and how far it is from the network."""
    lines = [f"exported to {path_text(folder)}"]
    for path in sorted(folder.iterdir()):
        difference = differences.get(path.name)
        told = "" if difference is None else f"  differs from the network by {difference:.0e} at most"
        lines.append(f"  {path.name:<18} {path.stat().st_size / 1e3:>9,.1f} kB{told}")
    return "\n".join(lines)
