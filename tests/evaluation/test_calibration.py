import numpy as np
import pytest
import torch
from torchmetrics.functional.classification import multiclass_calibration_error

from pets.evaluation.calibration import expected_calibration_error, reliability_bins


def test_bins_and_ece_by_hand(make_predictions) -> None:
    # Confidences 0.6, 0.7 (one right) and 1, 1, 1 (two right): gaps 0.15 and 1/3, weighted 2 and 3.
    made = make_predictions([[0.6, 0.4], [0.7, 0.3], [1, 0], [1, 0], [0, 1]], [0, 1, 0, 0, 0])
    bins = reliability_bins(made, n_bins=4)
    assert [b.n for b in bins] == [0, 0, 2, 3]
    assert [b.correct for b in bins] == [0, 0, 1, 2]
    assert (bins[0].low, bins[0].high, bins[0].confidence, bins[0].accuracy) == (0.0, 0.25, None, None)
    assert bins[2].confidence == pytest.approx(0.65)
    assert bins[3].accuracy == pytest.approx(2 / 3)
    assert expected_calibration_error(bins) == pytest.approx((2 * 0.15 + 3 * (1 / 3)) / 5)


def test_ece_agrees_with_torchmetrics(make_predictions) -> None:
    rng = np.random.default_rng(0)
    made = make_predictions(rng.dirichlet(np.full(5, 0.4), 300), rng.integers(0, 5, 300))
    probabilities, targets = torch.from_numpy(made.probabilities), torch.from_numpy(made.targets)
    theirs = multiclass_calibration_error(probabilities, targets, num_classes=5, n_bins=15)
    assert expected_calibration_error(reliability_bins(made)) == pytest.approx(float(theirs), abs=1e-6)
