"""Wrong values at the real command line: exit code 2 and one line within seconds, without torch."""

import subprocess
import sys
from pathlib import Path

import pytest

TRAIN = Path(__file__).parents[2] / "train.py"


@pytest.mark.parametrize(
    ("argument", "says"),
    [
        ("trainer.precision=banana", "error: trainer.precision='banana' is not allowed: auto, 32-true, "),
        ("seed={a:1}", "error: seed={'a': 1} is not allowed: a whole number from 0 to 4294967295"),
        (
            "optimizer.betas=[0.9]",
            "error: optimizer.betas=[0.9] is not allowed: a list of 2, each a number, at least 0 and below 1",
        ),
        ("data.batch_size='64'", "error: data.batch_size='64' is not allowed: a whole number, at least 1"),
        ("augment.max_warp=.nan", "error: augment.max_warp='.nan' is not allowed: a number from 0 to 0.3"),
        ("data.labeller.pattern='(a'", "error: data.labeller.pattern='(a' is not allowed: a regular expression ("),
        ("recipe._target_=banana", "error: recipe: Error loading 'banana'"),
        ("optimized_metric=banana", "error: optimized_metric='banana' is not allowed: train/loss, "),
        ("~seed", "error: "),
    ],
)
def test_a_wrong_value_is_answered_at_once(argument: str, says: str, tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, TRAIN, argument], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 2
    assert says in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
