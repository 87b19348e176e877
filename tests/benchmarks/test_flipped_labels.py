"""The experiment flips labels and counts those that are listed first."""

import numpy as np

from benchmarks.flipped_labels import one_seed


def test_flipped_labels_of_separable_classes_are_found() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([f"class_{number}" for number in range(5)], 40)
    features = (np.repeat(4 * np.eye(5), 40, axis=0) + rng.normal(0, 0.5, (200, 5))).astype(np.float32)
    result = one_seed(features, labels, 0, flipped=0.05, first=0.06)
    assert (result["flipped"], result["found_share"]) == (10, 1.0)
    assert result["looked_at"] <= 12
