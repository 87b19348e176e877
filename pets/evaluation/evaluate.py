"""The evaluation of parts of the data: their predictions, and the report on each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from pets.evaluation.features import FeatureStore, from_features
from pets.evaluation.predictions import Predictions, infer
from pets.evaluation.report import report
from pets.evaluation.threshold import accepted, choose_threshold
from pets.evaluation.tta import compare, tta
from pets.evaluation.unknown import fit_detector, refused
from pets.model.metrics import expected_calibration_error, reliability_bins
from pets.model.unknown import UnknownDetector
from pets.settings.run import Evaluate, Tta

if TYPE_CHECKING:
    from lightning.pytorch.plugins import Precision

    from pets.data.datamodule import ImageDataModule
    from pets.model.classifier import Classifier
    from pets.settings.parts import Part


@dataclass(frozen=True)
class Options:
    """What an evaluation does beyond its tables and pictures.

    Raises:
        ValueError: An option is outside its range.
    """

    cluster: bool = False
    """Order the classes of the confusion matrix so that confused ones stand together."""
    top_losses: int = 12
    """Images shown as the costliest mistakes, 1 or more."""
    precision: float | None = None
    """Precision in (0, 1] for which a threshold is chosen on the validation part; None: no threshold."""
    false_alarms: float | None = None
    """Share in (0, 1) of the images of the classes that an `UnknownDetector` may refuse; None: no detector."""
    embedding: bool = False
    """Show the features of the images in TensorBoard's projector."""
    tta_n: int = 0
    """Augmented passes of test-time augmentation; 0: none."""
    tta_beta: float = 0.25
    """Weight in [0, 1] of the plain predictions in test-time augmentation."""

    def __post_init__(self) -> None:
        Evaluate(
            cluster=self.cluster,
            top_losses=self.top_losses,
            precision=self.precision,
            false_alarms=self.false_alarms,
            embedding=self.embedding,
        )
        Tta(self.tta_n, self.tta_beta)


@dataclass(frozen=True, eq=False)
class Evaluation:
    """What evaluating a part gave."""

    part: Part
    predictions: Predictions
    report: dict[str, Any]
    """Plain values: what `report` returns, with `tta`, `threshold` and `unknown` where they were asked for."""
    detector: UnknownDetector | None = None
    """Tells images of none of the classes, if that was asked for."""


def evaluate(
    classifier: Classifier,
    data: ImageDataModule,
    parts: Sequence[Part],
    options: Options,
    store: FeatureStore | None = None,
    precision: Precision | None = None,
) -> list[Evaluation]:
    """Predict parts of the data, each image once and as often again as test-time augmentation asks, and report on them.

    Under several processes all of them take part, and all return the evaluations of the whole parts. A threshold is
    chosen on the validation part, whichever parts are asked for. A detector of unknown images learns from the training
    part, and its threshold is chosen on the validation part too.
    With a store, predictions come from its features, and no image is looked at again. `precision` is that of the
    features for the detector where there is no store.
    """
    needed = parts if options.precision is None else ("valid", *parts)
    plain = {part: _predict(classifier, data, part, store) for part in dict.fromkeys(needed)}
    threshold = None if options.precision is None else choose_threshold(plain["valid"], options.precision)
    detector, features = None, {}
    if options.false_alarms is not None:
        seen = store or FeatureStore(classifier, data, precision)
        features = {part: seen.features(part) for part in dict.fromkeys(("train", "valid", *parts))}
        detector = fit_detector(features["train"], features["valid"], len(classifier.classes), options.false_alarms)
    evaluations = []
    for part in parts:
        result = report(plain[part])
        if threshold is not None:
            result["threshold"] = {"precision_wanted": options.precision, **accepted(plain[part], threshold)}
        if options.tta_n:
            result["tta"] = _tta_report(classifier, data, part, plain[part], options)
        if detector is not None:
            result["unknown"] = refused(detector, features[part])
        evaluations.append(Evaluation(part, plain[part], result, detector))
    return evaluations


def _predict(classifier: Classifier, data: ImageDataModule, part: Part, store: FeatureStore | None) -> Predictions:
    if store is not None:
        return from_features(classifier, store.features(part), data.table.files)
    return infer(classifier, data.loader(part), data.batch_transform.evaluate, data.table.files, data.vocab.classes)


def _tta_report(
    classifier: Classifier, data: ImageDataModule, part: Part, plain: Predictions, options: Options
) -> dict[str, Any]:
    blended = tta(classifier, data, part, plain, n=options.tta_n, beta=options.tta_beta)
    ece = expected_calibration_error(reliability_bins(blended.probabilities, blended.targets))
    return {"passes": options.tta_n, "beta": options.tta_beta, **compare(plain, blended), "ece": ece}


def key_numbers(evaluation: Evaluation) -> dict[str, float]:
    """Return the numbers of a report that belong beside the training's metrics, named `<part>/...`."""
    whole = evaluation.report
    low, high = whole["error_rate_interval"]
    numbers: dict[str, float] = whole["metrics"] | {"error_rate_low": low, "error_rate_high": high}
    if "threshold" in whole:
        chosen = whole["threshold"]
        numbers |= {"threshold": chosen["value"], "threshold_coverage": chosen["coverage"]}
        if chosen["precision"]:
            numbers["threshold_precision"] = chosen["precision"]["value"]
    if "unknown" in whole:
        numbers["refused"] = whole["unknown"]["share"]["value"]
    if "tta" in whole:
        blended = whole["tta"]
        rate = blended["error_rate"]["tta"]
        numbers |= {
            f"tta/error_rate{end}": rate[key] for end, key in (("", "value"), ("_low", "low"), ("_high", "high"))
        }
        numbers |= {f"tta/{key}": blended[key] for key in ("ece", "changed", "corrected", "spoiled")}
    return {f"{evaluation.part}/{name}": value for name, value in numbers.items()}
