"""No source file of the project loads what could run, and only the rooms that see the configuration instantiate."""

import ast
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = sorted([*(ROOT / "pets").rglob("*.py"), *(ROOT / "hydra_plugins").rglob("*.py"), ROOT / "train.py"])
FORBIDDEN = {
    "pickle.load", "pickle.loads", "torch.hub.load", "yaml.load", "yaml.full_load", "yaml.unsafe_load", "eval", "exec",
    "os.system", "os.popen", "shutil.unpack_archive", "joblib.load", "marshal.loads", "shelve.open", "np.fromregex",
}  # fmt: skip
ONLY_WITH = {
    "torch.load": ("weights_only", True),
    "get_state_dict": ("weights_only", True),
    "np.load": ("allow_pickle", False),
    "numpy.load": ("allow_pickle", False),
}
MAY_INSTANTIATE = {"cli.py", "build.py", "tasks", "sweep"}
"""Rooms that see the configuration, which is code, and no file of a stranger."""


def calls(path: Path) -> list[tuple[str, dict[str, Any]]]:
    """Return (dotted name, constant keyword arguments) of every call in a file."""
    found = []
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            constants = {k.arg: k.value.value for k in node.keywords if k.arg and isinstance(k.value, ast.Constant)}
            found.append((ast.unparse(node.func), constants | {"": [k.arg for k in node.keywords]}))
    return found


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_source_loads_what_can_run(path: Path) -> None:
    for name, constants in calls(path):
        method = name.rsplit(".", 1)[-1]
        assert name not in FORBIDDEN
        assert method not in ("extractall", "load_from_checkpoint")
        assert constants.get("shell") is not True
        for key in (name, method):
            if key in ONLY_WITH:
                argument, value = ONLY_WITH[key]
                assert constants.get(argument) is value, f"{name} without {argument}={value}"
        if "ckpt_path" in constants[""] and method in ("fit", "validate", "test", "predict"):
            assert constants.get("weights_only") is True, f"{name} without weights_only=True"


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_only_what_sees_the_configuration_instantiates(path: Path) -> None:
    inside = path.relative_to(ROOT).parts
    if inside[0] == "pets" and not MAY_INSTANTIATE & set(inside):
        assert not [
            name for name, _ in calls(path) if name.rsplit(".", 1)[-1] in ("instantiate", "get_class", "get_method")
        ]
