"""The simulation of sweeps among equals counts false claims, and would find a comparison that is too bold."""

import numpy as np
import pytest

from benchmarks.luck import false_claims, train_runs


@pytest.mark.parametrize(("rows", "seeds"), [(2, 1), (3, 2)])
def test_equals_are_seldom_told_apart_and_others_are_found(rows: int, seeds: int) -> None:
    rng = np.random.default_rng(0)
    equal = (rng.random((300, 20)) < 0.2).astype(float)
    assert false_claims(equal, rows, seeds, 40) <= 4
    apart = (rng.random((300, rows * seeds)) < np.linspace(0.05, 0.9, rows * seeds)).astype(float)
    assert false_claims(apart, rows, 1, 10) == 10


def test_runs_differ_by_their_seed_and_by_nothing_else() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], 30)
    features = (np.repeat(np.eye(3), 30, axis=0) + rng.normal(0, 0.8, (90, 3))).astype(np.float32)
    first, again = train_runs(features, labels, 3, 2), train_runs(features, labels, 3, 2)
    assert first.shape == (18, 3)
    assert (first == again).all()
    assert (first[:, 0] != first[:, 1]).any()
