"""conf/ is the page that people read: its defaults and sentences are those of the declarations, word for word."""

import inspect
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, get_args

import pytest
from hydra.utils import get_object
from lightning import Trainer
from omegaconf import OmegaConf

from pets.schedule.lr_range import RULES
from pets.settings import declare, training
from pets.settings.config import declared_nodes
from pets.settings.declare import BY_PREFIX, BY_TARGET, fields

PHASES = "recipe.phases[]"
CONF = Path(__file__).parents[2] / "conf"
WHOLE = [
    path
    for path in (CONF / "config.yaml", *sorted(CONF.glob("*/*.yaml")))
    if path.parent.name not in ("experiment", "sweep") and "_target_:" in path.read_text(encoding="utf-8")
]
"""The files that are the page of a declaration; the others hold only what differs from one of these."""
KEY = re.compile(r"^( *)(\w+):(?: |$)")
VARIES = {
    "data.root": "each kind of data says what its root holds",
    "recipe.phases": "an example stands in the file",
}
"""Keys whose default or sentence the page cannot repeat."""


def sentences(path: Path) -> dict[str, str]:
    """Return the comment behind each key of a file, by dotted key; phases in a list are left out."""
    found: dict[str, str] = {}
    above: list[tuple[int, str]] = []
    for line in path.read_text(encoding="utf-8").splitlines():
        if key := KEY.match(line):
            above = [entry for entry in above if entry[0] < len(key[1])] + [(len(key[1]), key[2])]
            found[".".join(name for _, name in above)] = line.partition(" # ")[2].strip()
    return found


def pages() -> Iterator[tuple[str, str, type, Mapping[str, Any], Mapping[str, str]]]:
    """Yield (file, key, declaration, values, sentences) of every declared node that conf/ shows in whole."""
    for path in WHOLE:
        values: Any = OmegaConf.to_container(OmegaConf.load(path))
        group = "" if path.parent == CONF else path.parent.name
        said = {f"{group}.{key}".strip("."): text for key, text in sentences(path).items()}
        for prefix, declaration, node in declared_nodes({group: values} if group else values):
            if prefix or not group:
                yield str(path.relative_to(CONF)), prefix, declaration, node, said


PAGES = list(pages())
IDS = [f"{path} {prefix}".strip() for path, prefix, *_ in PAGES]


def test_every_declaration_has_its_page() -> None:
    shown = {declaration for _, _, declaration, *_ in PAGES}
    assert {one for one in [*BY_PREFIX.values(), *BY_TARGET.values()] if one not in shown} == {BY_PREFIX[PHASES]}


@pytest.mark.parametrize(("path", "prefix", "declaration", "node", "said"), PAGES, ids=IDS)
def test_a_page_has_every_key_with_its_default_and_its_sentence(
    path: str, prefix: str, declaration: type, node: Mapping[str, Any], said: Mapping[str, str]
) -> None:
    for name, field in fields(declaration).items():
        key = re.sub(r"\[\d+\]", "", f"{prefix}.{name}" if prefix else name)
        if key in VARIES:
            continue
        assert name in node, f"{path} lacks {key}"
        assert said[key] == declare.sentences(declaration)[name]
        default, value = field.default, node[name]
        if isinstance(value, str) and value.startswith("${"):
            continue
        assert (tuple(value) if isinstance(value, list) else value) == default, key


def test_files_that_vary_another_hold_only_what_differs() -> None:
    for name in ("none", "strong", "erasing", "trivial"):
        varied = yaml_of("augment", name)
        whole = yaml_of("augment", "default")
        assert varied.pop("defaults") == ["default", "_self_"]
        assert [key for key, value in varied.items() if whole[key] == value] == []
        said = sentences(CONF / "augment/default.yaml")
        assert {key: said[key] for key in varied} == {
            key: text for key, text in sentences(CONF / f"augment/{name}.yaml").items() if key in varied
        }


def yaml_of(group: str, name: str) -> dict[str, Any]:
    values: Any = OmegaConf.to_container(OmegaConf.load(CONF / group / f"{name}.yaml"))
    return dict(values)


OURS = sorted(target for target in BY_TARGET if target.startswith("pets."))


@pytest.mark.parametrize("target", OURS)
def test_a_class_has_the_declared_defaults(target: str) -> None:
    taken = inspect.signature(get_object(target)).parameters
    declared = {name: field for name, field in fields(BY_TARGET[target]).items() if name in taken}
    assert declared or not fields(BY_TARGET[target])
    for name, field in declared.items():
        default = inspect.Parameter.empty if field.is_required() else field.default
        assert taken[name].default == default, name


@pytest.mark.parametrize("target", OURS)
def test_every_argument_of_a_class_is_declared(target: str) -> None:
    declaration: Any = BY_TARGET[target]
    built = {"classes", "recipe", "table", *declaration.CHILDREN}  # objects, and the classes of the data
    taken = inspect.signature(get_object(target)).parameters.values()
    named = {one.name for one in taken if one.kind not in (one.VAR_KEYWORD, one.VAR_POSITIONAL)}
    assert named - {"manifest"} <= {*fields(declaration), *built}


def test_the_trainer_takes_what_is_declared_and_what_is_passed_on() -> None:
    ours = {"max_epochs", "callbacks", "logger", "default_root_dir"}
    taken = set(inspect.signature(Trainer).parameters) - ours
    assert {*fields(BY_TARGET["lightning.Trainer"]), *training.PASSED} == taken


def test_the_suggestions_are_the_rules_of_the_range_test() -> None:
    declared = get_args(fields(training.LRFinder)["suggestion"].annotation)
    assert set(declared) == set(RULES)
