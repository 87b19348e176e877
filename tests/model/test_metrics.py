import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import (
    multiclass_accuracy,
    multiclass_calibration_error,
    multiclass_confusion_matrix,
    multiclass_f1_score,
    multiclass_precision,
)

from pets.model.metrics import (
    EvaluationMetrics,
    Outcome,
    SmoothedLoss,
    class_scores,
    expected_calibration_error,
    measure,
    reliability_bins,
    top_k_accuracy,
)


def test_the_smoothed_loss_is_fastais() -> None:
    smoothed = SmoothedLoss()
    averages = [smoothed.update(torch.tensor(loss)).item() for loss in (1.0, 2.0, 3.0, 2.0, 10.0)]
    golden = [1.0, 1.505050505050502, 2.013467555434632, 2.0099979596000783, 3.6732095130447515]
    assert averages == pytest.approx(golden, rel=1e-5)
    smoothed.reset()
    assert smoothed.update(torch.tensor(7.0)).item() == pytest.approx(7.0)


def random_batch(size: int, n_classes: int = 5, seed: int = 0) -> tuple[torch.Tensor, ...]:
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(size, n_classes, generator=generator)
    targets = torch.randint(n_classes, (size,), generator=generator)
    return torch.rand(size, generator=generator), logits, targets, torch.zeros(size, dtype=torch.bool)


def outcome_of(logits: torch.Tensor, targets: torch.Tensor) -> Outcome:
    """What a report would have of a batch."""
    n_classes = logits.shape[1]
    confusion = multiclass_confusion_matrix(logits, targets, num_classes=n_classes).numpy()
    return Outcome(confusion, 0.5, logits.softmax(dim=1).numpy(), targets.numpy())


def test_a_fit_measures_what_a_report_of_the_same_images_says_to_the_last_digit() -> None:
    metrics, batches = EvaluationMetrics(5), [random_batch(size, seed=seed) for seed, size in enumerate((16, 16, 3))]
    for batch in batches:
        metrics.update(*batch)
    losses, logits, targets, _ = map(torch.cat, zip(*batches, strict=True))
    reported, measured = measure(outcome_of(logits, targets)), metrics.compute()
    assert measured.keys() == {"loss", "error_rate", "accuracy", "accuracy_macro"}
    assert {name: measured[name] for name in measured if name != "loss"} == {
        name: reported[name] for name in measured if name != "loss"
    }
    assert measured["loss"] == pytest.approx(losses.mean().item())


def test_the_logged_loss_is_the_float32_quotient_to_the_bit() -> None:
    losses, logits, targets, padding = random_batch(37)
    metrics = EvaluationMetrics(5)
    metrics.update(losses, logits, targets, padding)
    assert torch.equal(torch.tensor(metrics.compute()["loss"]), losses.sum() / torch.tensor(37))


def test_the_confusion_matrix_is_torchmetrics_own() -> None:
    losses, logits, targets, padding = random_batch(64)
    metrics = EvaluationMetrics(5)
    metrics.update(losses, logits, targets, padding)
    assert torch.equal(metrics.confusion, multiclass_confusion_matrix(logits, targets, num_classes=5))


def test_values_equal_torchmetrics_where_every_class_occurs() -> None:
    _, logits, targets, _ = random_batch(400, n_classes=8)
    values = measure(outcome_of(logits, targets))
    probabilities = logits.softmax(dim=1)
    expected: dict[str, torch.Tensor | float] = {
        "loss": 0.5,
        "error_rate": 1 - multiclass_accuracy(logits, targets, average="micro", num_classes=8),
        "accuracy": multiclass_accuracy(logits, targets, average="micro", num_classes=8),
        "accuracy_macro": multiclass_accuracy(logits, targets, num_classes=8),
        "precision_macro": multiclass_precision(logits, targets, num_classes=8),
        "f1_macro": multiclass_f1_score(logits, targets, num_classes=8),
        "top5_accuracy": multiclass_accuracy(logits, targets, average="micro", top_k=5, num_classes=8),
        "ece": multiclass_calibration_error(probabilities, targets, n_bins=15, num_classes=8),
    }
    assert values == pytest.approx({name: float(value) for name, value in expected.items()}, abs=1e-6)


def test_a_class_that_does_not_occur_does_not_count() -> None:
    metrics = EvaluationMetrics(3)
    logits = torch.eye(3)[[0, 2, 1, 1]]  # one of the two items of class 0 is taken for class 2
    metrics.update(torch.zeros(4), logits, torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.bool))
    values = metrics.compute()
    assert values["accuracy_macro"] == (0.5 + 1.0) / 2
    assert values["accuracy"] == 3 / 4


def test_two_processes_count_seven_items_once() -> None:
    losses, logits, targets, _ = random_batch(7)
    whole, first, second = (EvaluationMetrics(5) for _ in range(3))
    whole.update(losses, logits, targets, torch.zeros(7, dtype=torch.bool))
    for metrics, rows in ((first, [0, 2, 4, 6]), (second, [1, 3, 5, 0])):
        padding = torch.tensor([False, False, False, metrics is second])
        metrics.update(torch.where(padding, torch.nan, losses[rows]), logits[rows], targets[rows], padding)
    first.merge_state(second)
    assert first.confusion.sum() == 7
    assert first.compute() == pytest.approx(whole.compute())


def test_undefined_scores_are_not_numbers() -> None:
    # Class 1 has no image, class 2 is never predicted.
    precision, recall, f1 = class_scores(np.array([[4, 1, 0], [0, 0, 0], [2, 0, 0]]))
    np.testing.assert_array_equal(precision, [4 / 6, 0.0, np.nan])
    np.testing.assert_array_equal(recall, [0.8, np.nan, 0.0])
    np.testing.assert_array_equal(f1, [8 / 11, np.nan, 0.0])


@pytest.mark.parametrize(("n_classes", "says"), [(5, False), (6, True)])
def test_top_5_says_nothing_of_five_classes_or_fewer(n_classes: int, says: bool) -> None:
    _, logits, targets, _ = random_batch(20, n_classes)
    assert ("top5_accuracy" in measure(outcome_of(logits, targets))) == says


def test_top_k_accuracy() -> None:
    probabilities = np.array([[0.5, 0.3, 0.2], [0.5, 0.3, 0.2], [0.2, 0.2, 0.6]], np.float32)
    assert [top_k_accuracy(probabilities, np.array([1, 2, 0]), k) for k in (1, 3)] == [0, 1]
    assert top_k_accuracy(probabilities[:2], np.array([1, 2]), 2) == 1 / 2


def test_bins_and_ece_by_hand() -> None:
    # Confidences 0.6, 0.7 (one right) and 1, 1, 1 (two right): gaps 0.15 and 1/3, weighted 2 and 3.
    probabilities = np.array([[0.6, 0.4], [0.7, 0.3], [1, 0], [1, 0], [0, 1]], np.float32)
    bins = reliability_bins(probabilities, np.array([0, 1, 0, 0, 0]), n_bins=4)
    assert [b.n for b in bins] == [0, 0, 2, 3]
    assert [b.correct for b in bins] == [0, 0, 1, 2]
    assert (bins[0].low, bins[0].high, bins[0].confidence, bins[0].accuracy) == (0.0, 0.25, None, None)
    assert bins[2].confidence == pytest.approx(0.65)
    assert bins[3].accuracy == pytest.approx(2 / 3)
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.15 + 3 * (1 / 3)) / 5)
