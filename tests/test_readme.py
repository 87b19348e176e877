"""The front page: short, and its two commands are what CI does. What every page owes is in tests/test_docs.py."""

from pathlib import Path

ROOT = Path(__file__).parents[1]
README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_it_is_short() -> None:
    assert len(README.splitlines()) <= 150


def test_ci_installs_and_starts_it_as_it_says() -> None:
    ci = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    for step in ("python3 -m venv .venv && . .venv/bin/activate && pip install", '-e ".[dev]"', "python train.py"):
        assert step in README
        assert step in ci
    assert "python train.py experiment=demo" in README
    assert "python train.py experiment=demo" in ci
    assert README.count('```bash\npip install -e ".[dev]" && pytest -n 4\n```') == 1
    assert ci.splitlines()[-1] == "pytest -n 4"
