"""Damaged files by the thousand: each is read or refused in one line; none crashes, hangs or takes the memory.

PETS_FUZZ=20000 tries that many of each kind; `python tests/zoo/fuzz.py --help` for more.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

INPUTS = int(os.environ.get("PETS_FUZZ", "2000"))
FILES = (
    "photo.jpg", "labels.csv", "exclude.csv", "splits.json", "model.json", "model.safetensors", "last.ckpt",
    "resumed.ckpt", "predictions.npz", "config.yaml", "metrics.json",
)  # fmt: skip
MOST_BYTES = 3 * 2**30


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, int]]:
    """What became of the damaged files, by the name of the file; all readers share one process and its imports."""
    folder = tmp_path_factory.mktemp("damaged")
    script = Path(__file__).with_name("fuzz.py")
    done = subprocess.run(
        [sys.executable, script, *FILES, "--n", str(INPUTS), "--folder", folder],
        capture_output=True,
        text=True,
        timeout=60 + INPUTS // 10,
        check=False,
    )
    assert done.returncode == 0, f"see the last file in {folder}: {done.stderr[-2000:]}"
    return {result.pop("file"): result for result in map(json.loads, done.stdout.splitlines())}


@pytest.mark.parametrize("file", FILES)
def test_damaged_files_are_read_or_refused(file: str, results: dict[str, dict[str, int]]) -> None:
    result = results[file]
    wrong = {says: count for says, count in result.items() if says.startswith("wrong")}
    assert not wrong
    assert result["refused"] + result.get("read", 0) == result["inputs"] == INPUTS
    assert result["refused"] > INPUTS // 4, "too little damage"
    assert result["peak_bytes"] < MOST_BYTES
