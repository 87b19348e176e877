import pytest
import torch
from torchmetrics.classification import MulticlassAccuracy

from pets.model.metrics import EvaluationMetrics, SmoothedLoss


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


def test_metrics_equal_torchmetrics_where_every_class_occurs() -> None:
    metrics = EvaluationMetrics(5)
    micro, macro = MulticlassAccuracy(5, average="micro"), MulticlassAccuracy(5, average="macro")
    all_losses = []
    for seed, size in enumerate((16, 16, 3)):
        losses, logits, targets, padding = random_batch(size, seed=seed)
        metrics.update(losses, logits, targets, padding)
        micro.update(logits, targets)
        macro.update(logits, targets)
        all_losses.append(losses)
    values = metrics.compute()
    torch.testing.assert_close(values["loss"], torch.cat(all_losses).mean())
    torch.testing.assert_close(values["accuracy"], micro.compute())
    torch.testing.assert_close(values["error_rate"], 1 - micro.compute())
    torch.testing.assert_close(values["accuracy_macro"], macro.compute())


def test_a_class_that_does_not_occur_does_not_count() -> None:
    metrics = EvaluationMetrics(3)
    logits = torch.eye(3)[[0, 2, 1, 1]]  # one of the two items of class 0 is taken for class 2
    metrics.update(torch.zeros(4), logits, torch.tensor([0, 0, 1, 1]), torch.zeros(4, dtype=torch.bool))
    values = metrics.compute()
    assert values["accuracy_macro"].item() == pytest.approx((0.5 + 1.0) / 2)
    assert values["accuracy"].item() == pytest.approx(3 / 4)


def test_two_processes_count_seven_items_once() -> None:
    losses, logits, targets, _ = random_batch(7)
    whole, first, second = (EvaluationMetrics(5) for _ in range(3))
    whole.update(losses, logits, targets, torch.zeros(7, dtype=torch.bool))
    for metrics, rows in ((first, [0, 2, 4, 6]), (second, [1, 3, 5, 0])):
        padding = torch.tensor([False, False, False, metrics is second])
        metrics.update(torch.where(padding, torch.nan, losses[rows]), logits[rows], targets[rows], padding)
    first.merge_state(second)
    assert first.seen.sum() == 7
    for name, value in whole.compute().items():
        torch.testing.assert_close(first.compute()[name], value)
