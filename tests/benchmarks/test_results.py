import json
from pathlib import Path

import pytest

from benchmarks.results import markdown, read_runs


def leave_run(folder: Path, seed: int, wrong: int, *overrides: str) -> None:
    """Write what a run of 74 validation images leaves."""
    (folder / ".hydra").mkdir(parents=True)
    typed = ["experiment=few_shot", *overrides, f"seed={seed}", f"data.split.seed={seed}"]
    (folder / ".hydra" / "overrides.yaml").write_text("".join(f"- {text}\n" for text in typed))
    metrics = {
        "valid/error_rate": wrong / 74, "n": {"train": 296, "valid": 74, "test": 0}, "seed": seed,
        "split": {"method": "random", "seed": seed}, "seconds": 90.0, "versions": {"torch": "2.14.1"},
    }  # fmt: skip
    (folder / "metrics.json").write_text(json.dumps(metrics))


def test_runs_that_differ_in_their_seeds_make_one_table(tmp_path: Path) -> None:
    leave_run(tmp_path / "sweep" / "1", 1, 9, "sweep=splits")
    leave_run(tmp_path / "sweep" / "0", 0, 7, "sweep=splits")
    leave_run(tmp_path / "single", 2, 8, "run_dir=elsewhere")
    assert markdown(read_runs([tmp_path / "sweep", tmp_path / "single"])).splitlines()[7:] == [
        "## few_shot",
        "",
        "    python train.py experiment=few_shot seed=S data.split.seed=S",
        "",
        "| seed  | split | n   | wrong | error rate            | 95% interval   | minutes |",
        "|-------|-------|-----|-------|-----------------------|----------------|---------|",
        "| 0     | 0     | 74  | 7     | 0.0946                | 0.047 to 0.183 | 1.5     |",
        "| 1     | 1     | 74  | 9     | 0.1216                | 0.065 to 0.215 | 1.5     |",
        "| 2     | 2     | 74  | 8     | 0.1081                | 0.056 to 0.199 | 1.5     |",
        "| all 3 |       | 222 | 24    | **0.1081**, sd 0.0135 | 0.074 to 0.156 | 1.5     |",
        "",
        "With torch 2.14.1.",
    ]


def test_other_settings_make_another_table(tmp_path: Path) -> None:
    leave_run(tmp_path / "a", 0, 7)
    leave_run(tmp_path / "b", 0, 9, "+recipe.epochs=1", "data.root=/somewhere/photos")
    page = markdown(read_runs([tmp_path]))
    assert page.count("| seed ") == 2
    assert (
        "    python train.py experiment=few_shot +recipe.epochs=1 data.root=photos seed=0 data.split.seed=0\n" in page
    )


def test_a_folder_without_a_finished_run_is_named(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=rf"{tmp_path.name} holds no metrics\.json"):
        read_runs([tmp_path])
