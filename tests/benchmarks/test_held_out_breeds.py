"""The experiment tells breeds it has seen from others, and says so with intervals and spread."""

import argparse

import numpy as np
import torch

from benchmarks.held_out_breeds import line, one_seed, summary


def test_separable_breeds_are_told_from_unknown_ones() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([f"breed_{number}" for number in range(6)], 10)
    features = torch.from_numpy(np.repeat(4 * np.eye(6), 10, axis=0) + rng.normal(0, 0.3, (60, 6))).float()
    options = argparse.Namespace(held_out=2, precision=0.95, penalty=1e-3)
    results = [one_seed(features, labels, seed, options)[0] for seed in (0, 1)]
    for result in results:
        assert (len(result["held_out"]), result["n_train"]) == (2, 32)
        for name in ("one-vs-rest", "softmax"):
            assert (result[name]["n_known"], result[name]["n_unknown"]) == (8, 20)
            assert result[name]["error_of_known"] == 0
            assert result[name]["auroc"]["value"] > 0.75
    assert results[0]["held_out"] != results[1]["held_out"]
    assert line(results[0]).startswith("seed  0   one-vs-rest: AUROC ")
    assert summary(results).startswith("AUROC over 2 seeds, 8 known and 20 unknown photographs each: one-vs-rest ")
