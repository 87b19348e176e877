"""`import pets`: lazy at run time, and fully typed for whoever checks a program that uses it."""

import ast
import re
import subprocess
import sys
from pathlib import Path

import pytest

import pets

WRONG = """\
import pets

pets.fine_tune(epochs="two")
pets.Presize(384, methd="crop")
pets.fine_tun(2)
label: int = pets.Predictor.load("model")("cat.jpg").label
pets.open_image("cat.jpg").shpae
"""
ERRORS = {3: "arg-type", 4: "call-arg", 5: "attr-defined", 6: "assignment", 7: "attr-defined"}
"""Code of mypy's only error by line of the program."""
RIGHT = """\
from pathlib import Path

from pets import ImageDataModule, ImageFolder, OneCycle, ParentLabeller, Predictor, Presize, fine_tune
from pets.data.splits import SplitRule

recipe = fine_tune(epochs=2, base_lr=2e-3)
callback = OneCycle(recipe)
presize = Presize(384, method="pad")
source = ImageFolder(Path("photos"))
best: tuple[str, float] = Predictor.load("model")(["a.jpg", b"bytes"])[0].top[0]
"""


def test_type_checkers_and_python_see_the_same_names() -> None:
    module = ast.parse(Path(pets.__file__).read_text(encoding="utf-8"))
    block = next(node for node in module.body if isinstance(node, ast.If))
    typed = {
        alias.asname: node.module for node in block.body if isinstance(node, ast.ImportFrom) for alias in node.names
    }
    assert typed == pets._HOMES
    assert all(getattr(pets, name) is not None for name in pets.__all__)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="module 'pets' has no attribute 'fine_tun'"):
        _ = pets.fine_tun


def test_mypy_finds_what_is_wrong_in_a_users_program_and_nothing_else(
    tmp_path: Path, pytestconfig: pytest.Config
) -> None:
    if not pytestconfig.pluginmanager.has_plugin("cacheprovider"):
        pytest.skip("without pytest's cache mypy would check torch anew")
    (tmp_path / "wrong.py").write_text(WRONG)
    (tmp_path / "right.py").write_text(RIGHT)
    assert pytestconfig.cache is not None
    cache = pytestconfig.cache.mkdir("mypy")
    mypy = [sys.executable, "-m", "mypy", "--strict", "--config-file=", f"--cache-dir={cache}"]
    done = subprocess.run(
        [*mypy, "wrong.py", "right.py"], cwd=tmp_path, capture_output=True, text=True, check=False, timeout=600
    )
    found = re.findall(r"^(\S+):(\d+): error: .*\[(\S+)\]$", done.stdout, re.MULTILINE)
    assert {(file, int(line)): code for file, line, code in found} == {
        ("wrong.py", line): code for line, code in ERRORS.items()
    }, done.stdout + done.stderr
    assert len(found) == len(ERRORS)
