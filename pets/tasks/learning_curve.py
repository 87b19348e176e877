"""What twice as many photographs would bring: heads solved from parts of the training images, and a forecast."""

import json
import logging
from collections.abc import Sequence
from pathlib import Path

from omegaconf import DictConfig

from pets import build, records
from pets.console import path_text
from pets.evaluation.features import FeatureStore
from pets.evaluation.figures.learning_curve import learning_curve_figure
from pets.evaluation.figures.style import write_figure
from pets.evaluation.learning_curve import (
    LEVEL,
    ClassErrors,
    Curve,
    Forecast,
    PowerLaw,
    by_class,
    choose,
    fit,
    forecast,
    measure,
    orders,
)
from pets.files import or_warn, write_csv, write_text
from pets.machine import on_cpu
from pets.model.classifier import Classifier
from pets.settings.model import Head
from pets.tasks.predict import default_device

log = logging.getLogger(__name__)

NAMED = 5
"""Classes in the sentence; the table has all."""


def run(cfg: DictConfig) -> None:
    """Leave learning_curve.json, learning_curve.png and classes.csv, and say what to expect.

    Raises:
        UserError: There are too few training images to halve.
    """
    data = build.data_module(cfg)
    model: Classifier = build.classifier(cfg, data.vocab)
    model.to("cpu" if on_cpu(cfg.trainer.accelerator) else default_device())
    records.start(cfg, data)
    store = FeatureStore(model, data)
    train, valid = store.features("train"), store.features("valid")
    classes = tuple(data.vocab)
    options = Head(**model.head_options)
    drawn = orders(len(train.targets), cfg.learning_curve.repeats, cfg.seed)
    chosen = choose(train, len(classes), options, drawn[0])
    curve = measure(train, valid, len(classes), options.init, chosen, drawn)
    law = fit(curve)
    expected = forecast(law, 2 * law.measured, len(valid.targets))
    rows = by_class(curve, train.targets, valid.targets, classes)
    _leave(Path(cfg.run_dir), curve, law, expected, rows)
    log.info("\n".join(sentences(curve, expected, rows)))
    log.info(f"picture and tables: {path_text(cfg.run_dir)}")


def sentences(curve: Curve, expected: Forecast, rows: Sequence[ClassErrors]) -> list[str]:
    """Return what was measured, what twice as many images would bring, and which classes would gain most."""
    half, whole = curve.errors.mean(axis=1)[-2:]
    n = curve.wrong.shape[2]
    named = [row for row in rows if row.p < LEVEL]
    shown = ", ".join(f"{row.label} ({row.whole:.0%} of {row.valid} wrong)" for row in named[:NAMED])
    more = f" and {len(named) - NAMED} more" if len(named) > NAMED else ""
    return [
        f"{curve.sizes[-1]:,} training images: error {whole:.1%} on {n:,} validation images; "
        f"{curve.sizes[-2]:,}: {half:.1%}",
        f"with twice as many training images expect {expected.value:.1%} "
        f"(90%: {expected.low:.1%} to {expected.high:.1%}) on the same validation images",
        f"the classes that would gain most: {shown}{more}"
        if named
        else "no class errs more than the others by more than chance: all may gain alike",
    ]


def _leave(folder: Path, curve: Curve, law: PowerLaw, expected: Forecast, rows: Sequence[ClassErrors]) -> None:
    sizes = [
        {"images": size, "regularisation": value, "errors": errors.tolist()}
        for size, value, errors in zip(curve.sizes, curve.regularisation, curve.errors, strict=True)
    ]
    record = {
        "valid": curve.wrong.shape[2],
        "sizes": sizes,
        "exponent": float(law.exponent.mean()),
        "offset": float(law.offset.mean()),
        "forecast": {"images": 2 * law.measured, **expected._asdict()},
    }
    write_text(folder / "learning_curve.json", json.dumps(record, indent=1) + "\n")
    write_csv(folder / "classes.csv", ClassErrors._fields, rows)
    with or_warn(folder / "learning_curve.png"):
        write_figure(folder / "learning_curve.png", learning_curve_figure(curve, law, expected))
