"""Labels are doubted by heads that have not seen them."""

import numpy as np
import torch
from torch import Tensor

from pets.evaluation.interpretation import suspects
from pets.evaluation.label_doubts import deal, out_of_fold
from pets.model.head_solver import FOLDS, solve_head
from pets.settings.model import Head

CLASSES = ("a", "b", "c", "d")


def clusters(n: int = 40, spread: float = 0.5) -> tuple[Tensor, Tensor]:
    """Features of four classes, n images each, around the axes."""
    targets = torch.arange(4).repeat_interleave(n)
    noise = torch.randn(4 * n, 8, generator=torch.Generator().manual_seed(0))
    return 3 * torch.eye(4, 8)[targets] + spread * noise, targets


def names(n: int) -> np.ndarray:
    return np.array([f"{row}.jpg" for row in range(n)])


def test_flipped_labels_are_listed_first_with_the_class_that_they_had() -> None:
    features, targets = clusters()
    flipped = [3, 50, 90, 155]
    wrong = targets.clone()
    wrong[flipped] = (targets[flipped] + 1) % 4
    predictions = out_of_fold(features, wrong, names(160), CLASSES, 0.9)
    listed = suspects(predictions, confidence=0.0)
    assert {one.file for one in listed[:4]} == {f"{row}.jpg" for row in flipped}
    assert {(one.label, one.actual) for one in listed[:4]} == {
        (CLASSES[targets[row]], CLASSES[wrong[row]]) for row in flipped
    }
    assert [one.loss for one in listed] == sorted((one.loss for one in listed), reverse=True)


def test_no_image_helps_to_judge_itself() -> None:
    """A lone image far out, labelled as nobody around it, would be learned by a head that saw it."""
    features, targets = clusters()
    features[0] = 0.0
    features[0, 7] = 50.0
    predictions = out_of_fold(features, targets, names(160), CLASSES, 0.1)
    moved = targets.clone()
    moved[0] = 1
    again = out_of_fold(features, moved, names(160), CLASSES, 0.1)
    assert predictions.predicted[0] == again.predicted[0]


def test_the_shrinkage_that_is_chosen_is_the_heads() -> None:
    features, targets = clusters()
    chosen = solve_head(features, targets, 4, Head("linear", init="lda", shrinkage="auto")).value
    by_itself, given = (out_of_fold(features, targets, names(160), CLASSES, value) for value in ("auto", chosen))
    assert np.array_equal(by_itself.losses, given.losses)


def test_every_class_is_in_every_fold_as_often_as_can_be() -> None:
    targets = torch.tensor([0] * 12 + [1] * 5 + [2] * 2 + [3])
    fold = deal(targets)
    assert fold[-1] == -1
    assert torch.bincount(fold[:12]).tolist() == [3, 3, 2, 2, 2]
    assert sorted(fold[12:17].tolist()) == list(range(FOLDS))
    assert len(set(fold[17:19].tolist())) == 2
    assert torch.equal(fold, deal(targets))


def test_the_only_image_of_a_class_is_judged_by_a_head_that_saw_it() -> None:
    features, targets = clusters(n=10)
    features, targets = features[:31], targets[:31]
    predictions = out_of_fold(features, targets, names(31), CLASSES, 0.9)
    assert len(predictions) == 31
    assert np.isfinite(predictions.losses).all()
