"""Imports only point to the left, and the command line needs no torch until a task starts."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "pets"
FLOW = """
escape errors private_api settings files console machine signals runs schedule data augment model evaluation deploy
callbacks build records tasks api sweep cli __main__
"""
"""Files and folders of the package from left to right: a module imports from its left only."""
WITHIN = {
    "data": "rng batch sources labels images duplicates groups manifest splits image_table survey presize cache "
    "sampler dataset loading datamodule",
    "data/sources": "folder part_folders table oxford_pets drawn",
    "data/sources/drawn": "canvas animal photograph demo_set",
    "data/cache": "resized contents folder row_file build",
    "settings": "declare metrics parts run data augment model recipe training config help",
    "runs": "output run_folder overrides compose saved resume",
    "schedule": "recipe one_cycle lr_range",
    "augment": "uniforms geometry lighting steps erasing trivial mix batch",
    "model": "weights backbone resnet timm_backbone library closed_form logistic head_solver head losses metrics "
    "layer_groups network precision unknown checkpoint classifier",
    "evaluation": "intervals comparison predictions features threshold interpretation label_doubts learning_curve "
    "report tta unknown gradcam evaluate figures embedding artifacts walkthrough",
    "evaluation/figures": "style lr_curve learning_curve choice schedule sweep classes confusion reliability grids "
    "batches",
    "deploy": "metadata artifact exportable export predictor input_files prediction_file predict model_card "
    "corrections page server",
    "callbacks": "plain_values ema training_state checkpoint_io boards step_seed sync_buffers stop mid_epoch "
    "finite_loss head_init one_cycle history progress dashboards range_test lr_finder evaluation",
    "tasks": "find_lr inspect fit evaluate export predict serve check learning_curve",
    "sweep": "record ranking luck jobs leaderboard",
}
"""The same inside each folder."""
TORCH_FREE = [
    "pets",
    "pets.settings.config",
    "pets.settings.metrics",
    "pets.settings.parts",
    "pets.runs.resume",
    "pets.cli",
    "pets.console",
    "pets.sweep.leaderboard",
    "pets.schedule.recipe",
    "pets.data.labels",
    "pets.data.splits",
    "pets.data.sources.drawn.demo_set",
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


def order(folder: str) -> list[str]:
    """Return the declared order of a folder's files and folders."""
    return (FLOW if folder == "." else WITHIN[folder]).split()


def rooms() -> list[Path]:
    """Return the package and every folder in it that holds modules."""
    return sorted({path.parent for path in PACKAGE.rglob("*.py")})


@pytest.mark.parametrize("room", rooms(), ids=lambda room: room.relative_to(PACKAGE).as_posix())
def test_every_module_has_a_declared_place(room: Path) -> None:
    here = {path.stem for path in room.glob("*.py")} | {path.name for path in room.iterdir() if path in rooms()}
    assert here - {"__init__"} == set(order(room.relative_to(PACKAGE).as_posix()))


@pytest.mark.parametrize("path", sorted(PACKAGE.rglob("*.py")), ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_import_points_to_the_right(path: Path) -> None:
    here = ("pets", *path.relative_to(PACKAGE).with_suffix("").parts)
    for name in imported_modules(path):
        there = tuple(name.split("."))
        shared = next((i for i, (a, b) in enumerate(zip(here, there, strict=False)) if a != b), None)
        if shared is None or path.stem == "__init__":
            continue
        places = order("/".join(here[1:shared]) or ".")
        if there[shared] in places:  # else a name that the folder itself gives
            assert places.index(there[shared]) < places.index(here[shared]), f"{'.'.join(here)} imports {name}"


@pytest.mark.parametrize("module", TORCH_FREE)
def test_imports_without_torch(module: str) -> None:
    code = f"import sys, {module}; sys.exit('torch' in sys.modules or 'lightning' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
