from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from torchmetrics.functional.classification import multiclass_confusion_matrix

from pets.evaluation.interpretation import (
    ConfusedPair,
    Confusion,
    cluster_order,
    confusion_matrix,
    most_confused,
    most_confused_pairs,
    normalise_rows,
    top_losses,
)
from pets.files import write_csv
from tests.evaluation.conftest import FromCounts, MakePredictions

MATRIX = np.array([[5, 2, 0, 1], [3, 4, 2, 0], [0, 2, 6, 0], [0, 0, 0, 0]])
NAMES = ["a", "b", "c", "d"]
matrices = st.integers(1, 6).flatmap(lambda n: arrays(np.int64, (n, n), elements=st.integers(0, 4)))


def test_confusion_matrix_has_actual_rows_and_predicted_columns(make_predictions: MakePredictions) -> None:
    made = make_predictions([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.1, 0.9, 0], [0, 0, 1]], [0, 0, 1, 0])
    assert confusion_matrix(made).tolist() == [[1, 1, 1], [0, 1, 0], [0, 0, 0]]


def test_confusion_matrix_is_torchmetrics_own(make_predictions: MakePredictions) -> None:
    rng = np.random.default_rng(2)
    made = make_predictions(rng.dirichlet(np.ones(4), 200), rng.integers(0, 4, 200))
    predicted, targets = torch.from_numpy(made.probabilities), torch.from_numpy(made.targets)
    theirs = multiclass_confusion_matrix(predicted, targets, num_classes=4)
    np.testing.assert_array_equal(confusion_matrix(made), theirs.numpy())


@settings(deadline=None)
@given(matrix=matrices.filter(lambda m: m.sum() > 0))
def test_confusion_matrix_inverts_the_making_of_predictions(make_from_counts: FromCounts, matrix: np.ndarray) -> None:
    np.testing.assert_array_equal(confusion_matrix(make_from_counts(matrix)), matrix)


@given(matrix=matrices)
def test_normalised_rows_sum_to_one_or_are_empty(matrix: np.ndarray) -> None:
    sums = normalise_rows(matrix).sum(axis=1)
    np.testing.assert_allclose(sums, matrix.any(axis=1).astype(float))


def test_most_confused_is_directed_and_keeps_row_major_order_in_ties() -> None:
    assert most_confused(MATRIX, NAMES) == [
        Confusion("b", "a", 3),
        Confusion("a", "b", 2),
        Confusion("b", "c", 2),
        Confusion("c", "b", 2),
        Confusion("a", "d", 1),
    ]
    assert [c.n for c in most_confused(MATRIX, NAMES, min_val=2)] == [3, 2, 2, 2]
    assert most_confused(MATRIX, NAMES, min_val=4) == []


def test_confused_pairs_merge_both_directions() -> None:
    assert most_confused_pairs(MATRIX, NAMES, min_val=2) == [
        ConfusedPair("a", "b", 5, 2, 3),
        ConfusedPair("b", "c", 4, 2, 2),
    ]


@given(matrix=matrices)
def test_merged_pairs_account_for_all_confusions(matrix: np.ndarray) -> None:
    names = [str(index) for index in range(len(matrix))]
    directed, merged = most_confused(matrix, names), most_confused_pairs(matrix, names)
    assert sum(c.n for c in directed) == sum(p.n for p in merged) == matrix.sum() - matrix.trace()
    assert all(pair.n == pair.first_as_second + pair.second_as_first for pair in merged)


def test_confusions_as_csv(tmp_path: Path) -> None:
    write_csv(tmp_path / "confused.csv", Confusion._fields, most_confused(MATRIX, NAMES, min_val=3))
    assert (tmp_path / "confused.csv").read_text().splitlines() == ["actual,predicted,n", "b,a,3"]


def test_cluster_order_puts_confused_classes_together() -> None:
    matrix = 20 * np.eye(7, dtype=np.int64)
    for one, other in [(0, 5), (5, 3), (1, 6)]:
        matrix[one, other] = 6
    order = cluster_order(matrix).tolist()
    assert order[:3] in ([0, 5, 3], [3, 5, 0])
    assert sorted(order[3:5]) == [1, 6]
    assert order[5:] == [2, 4]


@given(matrix=matrices)
def test_cluster_order_is_a_permutation(matrix: np.ndarray) -> None:
    assert sorted(cluster_order(matrix).tolist()) == list(range(len(matrix)))


def test_the_costliest_mistakes_are_mistakes(make_predictions: MakePredictions) -> None:
    made = make_predictions([[0.4, 0.35, 0.25], [0.9, 0.1, 0.0], [0.2, 0.8, 0.0], [0.1, 0.5, 0.4]], [0, 1, 1, 2])
    assert top_losses(made, 3).tolist() == [1, 0, 3]
    assert top_losses(made, 3, mistakes=True).tolist() == [1, 3]


def test_top_losses_are_largest_first_and_stable(make_predictions: MakePredictions) -> None:
    made = make_predictions([[0.5, 0.5], [0.1, 0.9], [0.5, 0.5], [0.9, 0.1]], [0, 0, 1, 0])
    assert top_losses(made, 3).tolist() == [1, 0, 2]
    assert len(top_losses(made, 9)) == 4


@pytest.mark.parametrize("n", [0, 3])
def test_no_confusion_gives_no_rows(n: int) -> None:
    matrix = n * np.eye(3, dtype=np.int64)
    assert most_confused(matrix, NAMES[:3]) == []
    assert most_confused_pairs(matrix, NAMES[:3]) == []
    assert cluster_order(matrix).tolist() == [0, 1, 2]
