"""The experiment tells breeds it has seen from others, and says so with intervals and spread."""

import argparse
from pathlib import Path

import numpy as np
import torch

from benchmarks.held_out_breeds import LIKE_PETS, OURS, one_seed, some_of_each, table


def test_separable_breeds_are_told_from_unknown_ones() -> None:
    rng = np.random.default_rng(0)
    labels = np.repeat([f"breed_{number}" for number in range(6)], 10)
    features = torch.from_numpy(np.repeat(4 * np.eye(6), 10, axis=0) + rng.normal(0, 0.3, (60, 6))).float()
    others = torch.from_numpy(rng.normal(0, 1, (15, 6))).float()
    options = argparse.Namespace(held_out=2, penalty=1e-3)
    results = [one_seed(features, labels, others, seed, options)[0] for seed in (0, 1)]
    for result in results:
        assert (len(result["held_out"]), result["n_train"]) == (2, 32)
        for name in ("one-vs-rest", "softmax", "nearest neighbour, length 1", OURS):
            assert (result[name]["breeds"]["n_known"], result[name]["breeds"]["n_unknown"]) == (8, 20)
            assert result[name]["breeds"]["auroc"]["value"] > 0.75
        assert result[OURS]["others"]["auroc"]["value"] > 0.95
    assert results[0]["held_out"] != results[1]["held_out"]
    first, *rows = table(results).splitlines()
    assert first.startswith("2 seeds, 8 known photographs, 20 photographs of breeds, 15 photographs of others; ")
    assert rows[0].startswith("one-vs-rest")
    assert rows[-1].startswith(f"{OURS} ")


def test_of_every_class_but_pets_some_are_shown(tmp_path: Path) -> None:
    for name in ("anchor", "dalmatian", "wrench"):
        (tmp_path / name).mkdir()
        for number in range(3 if name == "anchor" else 1):
            (tmp_path / name / f"image_{number}.jpg").touch()
    assert "dalmatian" in LIKE_PETS
    shown = some_of_each(tmp_path, 2)
    assert [Path(file).parent.name for file in shown] == ["anchor", "anchor", "wrench"]
    assert some_of_each(tmp_path, 2) == shown
