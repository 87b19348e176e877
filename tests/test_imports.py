"""Imports only point to the left, and the command line needs no torch until a task starts."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pets"
FLOW = [
    "allowed", "rules", "errors", "cores", "hardware", "data", "augment", "model", "training", "evaluation", "deploy",
    "callbacks", "build", "resume", "run_folder", "tasks", "isolation", "sweep", "cli",
]  # fmt: skip
WITHIN_DATA = [
    "positions",
    "batch",
    "files",
    "labels",
    "items",
    "splits",
    "download",
    "demo",
    "images",
    "survey",
    "presize",
    "shrunk",
    "cache",
    "dataset",
    "datamodule",
]
TORCH_FREE = [
    "pets",
    "pets.rules",
    "pets.cli",
    "pets.sweep.leaderboard",
    "pets.training.recipe",
    "pets.data.labels",
    "pets.data.splits",
    "pets.data.demo",
]


def imported_modules(path: Path) -> list[str]:
    """Return the dotted names of every module of the package that a file imports, anywhere in it."""
    names = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.module and node.module.split(".")[0] == "pets":
            names += [f"{node.module}.{alias.name}" for alias in node.names]
        elif isinstance(node, ast.Import):
            names += [alias.name for alias in node.names if alias.name.split(".")[0] == "pets"]
    return names


def stages(path: Path) -> list[tuple[str, str]]:
    """Return (stage of the file, stage of an import) for each import of a file below the package."""
    here = path.relative_to(PACKAGE).with_suffix("").parts[0]
    return [(here, name.split(".")[1]) for name in imported_modules(path) if name.count(".")]


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_points_to_the_right(path: Path) -> None:
    if path == PACKAGE / "__init__.py":
        return
    backward = [f"{here} imports {there}" for here, there in stages(path) if FLOW.index(there) > FLOW.index(here)]
    assert not backward


def test_within_data_too() -> None:
    for path in sorted((PACKAGE / "data").glob("*.py")):
        for name in imported_modules(path):
            here, there = path.stem, name.split(".")[2] if name.startswith("pets.data.") else ""
            if here in WITHIN_DATA and there in WITHIN_DATA:
                assert WITHIN_DATA.index(there) < WITHIN_DATA.index(here), f"{here} imports {there}"


@pytest.mark.parametrize("module", TORCH_FREE)
def test_imports_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_every_public_name_exists() -> None:
    import pets

    assert all(getattr(pets, name) is not None for name in pets.__all__)
