"""Predict images and leave predictions.csv, or .jsonl, with a row for each of them in their order."""

import logging
import sys
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path

import torch
from omegaconf import DictConfig

from pets import console, records
from pets.deploy.input_files import InputFiles, list_input_files
from pets.deploy.prediction_file import writing
from pets.deploy.predictor import Prediction, Predictor

log = logging.getLogger(__name__)

UNREADABLE = 1
"""Exit code when some images could not be read; all others are predicted then."""
SHOWN_IMAGES, SHOWN_CLASSES, SHOWN_ERRORS = 4, 10, 5
BAR = 24


@dataclass
class Tally:
    """What the console says of the predictions."""

    first: list[tuple[str, Prediction]] = field(default_factory=list)
    labels: Counter[str] = field(default_factory=Counter)
    refused: int = 0
    errors: dict[str, str] = field(default_factory=dict)

    def add(self, file: str, result: Prediction | str) -> None:
        """Count the prediction of a file, or the reason why there is none."""
        if isinstance(result, str):
            self.errors[file] = result
            return
        self.labels[result.label] += result.accepted
        self.refused += not result.accepted
        if len(self.first) <= SHOWN_IMAGES:
            self.first.append((file, result))

    def lines(self) -> list[str]:
        """Return the predictions of a few images, or the counts of the classes of many, then the errors."""
        many = len(self.first) > SHOWN_IMAGES
        lines = self._counts() if many else [f"  {file}: {prediction}" for file, prediction in self.first]
        if self.errors:
            lines.append(f"  {len(self.errors):,} could not be read")
            lines += [f"    {file}: {reason}" for file, reason in list(self.errors.items())[:SHOWN_ERRORS]]
        return lines

    def _counts(self) -> list[str]:
        common = [(label, count) for label, count in self.labels.most_common(SHOWN_CLASSES) if count]
        width = max((len(label) for label, _ in common), default=0)
        lines = [f"  {label:<{width}} {count:>6,} {'#' * round(BAR * count / common[0][1])}" for label, count in common]
        if more := sum(count > 0 for count in self.labels.values()) - len(common):
            lines.append(f"  and {more} more classes")
        if self.refused:
            lines.append(f"  {self.refused:,} refused: none of the classes")
        return lines


def run(cfg: DictConfig) -> None:
    """Predict `source` with the model of `ckpt_path`.

    Raises:
        ValueError: `ckpt_path` or `source` is not what it should be.
        SystemExit: With the code `UNREADABLE`, after the last prediction.
    """
    source = list_input_files(cfg.source, file_column=cfg.predict.file_column, root=cfg.predict.root)
    predictor = Predictor.load(
        cfg.ckpt_path,
        device=cfg.predict.device or default_device(),
        batch_size=cfg.predict.batch_size,
        top_k=cfg.predict.top_k,
    )
    records.write_config(cfg)
    path = Path(cfg.run_dir) / f"predictions.{cfg.predict.format}"
    started = time.perf_counter()
    tally = predict(predictor, source, path)
    seconds = time.perf_counter() - started
    n = len(source.files)
    ignored = "".join(f"; ignored: {count:,} {reason}" for reason, count in sorted(source.ignored.items()))
    log.info(f"{n:,} images of {source.root}{ignored}")
    log.info("\n".join(tally.lines()))
    log.info(f"{seconds:.1f} s on {predictor.device}, {n / seconds:,.0f} images a second: {console.path_text(path)}")
    if tally.errors:
        sys.exit(UNREADABLE)


def default_device() -> str:
    """Return the machine's accelerator, else the CPU."""
    accelerator = torch.accelerator.current_accelerator(check_available=True)
    return "cpu" if accelerator is None else accelerator.type


def predict(predictor: Predictor, source: InputFiles, path: Path) -> Tally:
    """Predict every image of a source and write the rows to a .csv or .jsonl file."""
    tally = Tally()
    results = predictor.stream(source.root / file for file in source.files)
    with writing(path, predictor) as write, console.progress("predicting", len(source.files)) as bar:
        for file, result in zip(source.files, bar.over(results), strict=True):
            row = str(result).removeprefix(f"{source.root / file}: ") if isinstance(result, Exception) else result
            write(file, row)
            tally.add(file, row)
    return tally
