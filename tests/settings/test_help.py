"""`--help` shows every key with its sentence and what it may be."""

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

import pytest
from omegaconf import OmegaConf

from pets import cli
from pets.errors import UserError
from pets.runs.compose import Conf
from pets.settings.config import declared_nodes
from pets.settings.declare import allowed, fields, sentences
from pets.settings.help import help_text
from pets.settings.parts import TASKS


@pytest.fixture(scope="module")
def conf() -> tuple[Mapping[str, Any], dict[str, list[str]]]:
    files = Conf()
    raw: Any = OmegaConf.to_container(files.compose(["recipe=one_cycle", "lr_finder=report"]))
    return {name: value for name, value in raw.items() if name != "hydra"}, files.files()


def flat(text: str) -> str:
    return " ".join(text.split())


def assert_shown(text: str, raw: Mapping[str, Any], group: str | None) -> None:
    """Every key of the groups with its sentence, and its range where the sentence does not name it; no other key."""
    for prefix, declaration, node in declared_nodes(raw):
        for name, field in fields(declaration).items():
            key = f"{prefix}.{name}" if prefix else name
            here = name in node and group in (None, key.split(".")[0]) and (prefix != "" or group is None)
            assert (f"  {key}=" in text) == here, key
            if here:
                entry = flat(text[text.index(f"  {key}=") :].partition("\n  ")[2])
                sentence, words = sentences(declaration)[name], allowed(field)
                assert sentence in flat(text)
                assert words in flat(text) or words == "a text"
                assert entry


def test_help_lists_every_key_task_and_file(conf: tuple[Mapping[str, Any], dict[str, list[str]]]) -> None:
    raw, files = conf
    text = help_text(raw, files)
    assert_shown(text, raw, None)
    for task, about in TASKS.items():
        assert f"{task} " in text
        assert about in flat(text)
    for group, names in files.items():
        assert group in text
        assert ", ".join(names) in flat(text)
    assert max(map(len, text.splitlines())) <= 120


@pytest.mark.parametrize("group", ["data", "augment", "model", "recipe", "trainer", "evaluate", "callbacks"])
def test_help_of_a_group_lists_its_keys_alone(group: str, conf: tuple[Mapping[str, Any], dict[str, list[str]]]) -> None:
    raw, files = conf
    text = help_text(raw, files, group)
    assert_shown(text, raw, group)
    assert "Tasks (" not in text


def test_a_key_stands_with_value_sentence_and_range(conf: tuple[Mapping[str, Any], dict[str, list[str]]]) -> None:
    text = help_text(*conf, "augment")
    assert (
        "  augment.size=224\n      side of the images given to the model, in pixels [a whole number from 8 to 8192]\n"
        in text
    )


def test_an_unknown_group_is_one_line(conf: tuple[Mapping[str, Any], dict[str, list[str]]]) -> None:
    for wrong, says in (
        ("dta", r"^--help=dta: no such group; did you mean data\?; there are data, "),
        ("seed", "seed"),
    ):
        with pytest.raises(UserError, match=says) as caught:
            help_text(*conf, wrong)
        assert "\n" not in str(caught.value)


def test_the_command_line_answers(capsys: pytest.CaptureFixture[str]) -> None:
    with ExitStack() as held, pytest.raises(SystemExit) as ended:
        cli.prepare(["train.py", "--help=data"], held)
    assert ended.value.code == 0
    assert "  data.batch_size=64\n" in capsys.readouterr().out
    with ExitStack() as held, pytest.raises(SystemExit) as ended:
        cli.prepare(["train.py", "--help=banana"], held)
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert error.startswith("error: --help=banana: no such group")
    assert len(error.splitlines()) == 1
