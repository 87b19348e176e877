"""`ckpt_path=<run folder>` and `ckpt_path=last` take up the command of a run, and nothing differs silently."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import DictConfig, OmegaConf

from pets.runs import resume

Compose = Callable[..., DictConfig]


def make_run(folder: Path, *command: str) -> Path:
    """Make a folder as a run leaves it, and return it."""
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    resume.remember(folder, command)
    return folder


def completed(*typed: str) -> dict[str, str]:
    """Return the values that Hydra reads from a completed command line, the last one of each key."""
    overrides = OverridesParser.create().parse_overrides(resume.arguments(["train.py", *typed])[1:])
    return {override.key_or_group: override.value() for override in overrides}


def test_a_run_folder_takes_up_its_command_and_what_is_typed_wins(tmp_path: Path) -> None:
    run = make_run(tmp_path / "run", "experiment=demo", "recipe.epochs=3", "seed=1", "~callbacks.dashboards")
    argv = resume.arguments(["train.py", f"ckpt_path={run}", "recipe.epochs=5"])
    assert argv[1:5] == ["experiment=demo", "seed=1", "~callbacks.dashboards", "recipe.epochs=5"]
    assert completed(f"ckpt_path={run}")["hydra.run.dir"] == str(run)
    assert completed(f"ckpt_path={run}")["ckpt_path"] == str(run / "checkpoints" / "last.ckpt")


@pytest.mark.parametrize("name", ["with space", "lr=0.1,wd=0", "it's", "a\\b", "ä(1)"])
def test_a_folder_may_be_called_anything(tmp_path: Path, name: str) -> None:
    run = make_run(tmp_path / name, "seed=1")
    assert completed(f"ckpt_path={run}") == {
        "seed": 1,
        "hydra.run.dir": str(run),
        "ckpt_path": str(run / "checkpoints" / "last.ckpt"),
        "hydra.output_subdir": None,
    }


def test_last_is_the_run_that_saved_last_or_the_one_that_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"no run below .*outputs has a checkpoint"):
        resume.arguments(["train.py", "ckpt_path=last"])
    runs = [make_run(tmp_path / "outputs" / "day" / name, f"seed={name}") for name in ("2", "1")]
    for age, run in enumerate(reversed(runs)):
        os.utime(run / "checkpoints" / "last.ckpt", (1000 - age, 1000 - age))
    assert completed("ckpt_path=last")["seed"] == 1
    assert completed("ckpt_path=last", "hydra.run.dir=outputs/day/2")["seed"] == 2


def test_one_command_starts_a_run_and_goes_on_with_it(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    command = ["train.py", "seed=1", f"hydra.run.dir={tmp_path / 'run'}", "ckpt_path=last"]
    assert resume.arguments(command) == command[:-1]
    assert "has no checkpoint yet, the run starts" in caplog.text
    make_run(tmp_path / "run", "seed=1")
    assert completed(*command[1:])["ckpt_path"] == str(tmp_path / "run" / "checkpoints" / "last.ckpt")


def test_what_does_not_resume_is_left_as_it_is(tmp_path: Path) -> None:
    run = make_run(tmp_path, "seed=1")
    for typed in (
        ["seed=2"],
        [f"ckpt_path={run}", "task=evaluate"],
        [f"ckpt_path={run / 'checkpoints' / 'last.ckpt'}"],
    ):
        assert resume.arguments(["train.py", *typed]) == ["train.py", *typed]


def test_a_folder_without_a_checkpoint_and_a_sweep_are_errors(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"holds no checkpoints/last.ckpt"):
        resume.arguments(["train.py", f"ckpt_path={tmp_path}"])
    with pytest.raises(ValueError, match="one by one"):
        resume.arguments(["train.py", "-m", "ckpt_path=last"])


def test_the_command_of_a_resumed_run_is_the_next_ones(tmp_path: Path) -> None:
    run = make_run(tmp_path, "seed=1", "recipe.epochs=3")
    argv = resume.arguments(["train.py", f"ckpt_path={run}", "recipe.epochs=5"])
    resume.remember(run, [text for text in argv[1:] if not text.startswith("hydra.")])
    assert resume.read_command(run) == ["seed=1", "recipe.epochs=5"]


@pytest.fixture
def resumed(tiny_config: Compose, tmp_path: Path) -> Callable[..., None]:
    """Checks a configuration, of which some overrides were typed now, against that of a saved run."""

    def check(*now: str, typed: tuple[str, ...] = ()) -> None:
        run = make_run(tmp_path / "a", "recipe.epochs=3") if not (tmp_path / "a").exists() else tmp_path / "a"
        saved = OmegaConf.to_container(tiny_config("recipe.epochs=3"), resolve=True)
        (run / "config.yaml").write_text(yaml.safe_dump(saved))
        checkpoint = f"ckpt_path={run}/checkpoints/last.ckpt"
        resume.check(tiny_config(checkpoint, *now), ["recipe.epochs=3", *typed])

    return check


def test_the_same_configuration_resumes_without_a_word(
    resumed: Callable[..., None], caplog: pytest.LogCaptureFixture
) -> None:
    resumed("recipe.epochs=3")
    assert not caplog.records


def test_a_forgotten_override_is_an_error_that_names_it(resumed: Callable[..., None]) -> None:
    with pytest.raises(ValueError, match=r"recipe.epochs=1, but the run of .* has recipe.epochs=3: type"):
        resumed()
    with pytest.raises(ValueError, match=r"optimizer.eps=\(nothing\), but .* has optimizer.eps=1e-05"):
        resumed("recipe.epochs=3", "~optimizer.eps")


def test_what_is_typed_may_differ_and_is_said(resumed: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    resumed("recipe.epochs=5", "data.batch_size=4", typed=("recipe.epochs=5", "data.batch_size=4"))
    assert "resumed with data.batch_size=4 instead of 8, recipe.epochs=5 instead of 3" in caplog.text
    resumed("recipe.epochs=3", "trainer=default", typed=("trainer=default",))


def test_a_run_goes_on_compiled_or_not(resumed: Callable[..., None], caplog: pytest.LogCaptureFixture) -> None:
    resumed("recipe.epochs=3", "model.compile=true", typed=("model.compile=true",))
    assert "resumed with model.compile=True instead of False" in caplog.text


@pytest.mark.parametrize("change", ["seed=1", "model.head.dropout=0.1", "data.split.seed=1", "optimizer=sgd"])
def test_another_run_is_not_a_resumed_one_even_if_typed(resumed: Callable[..., None], change: str) -> None:
    with pytest.raises(ValueError, match="cannot be resumed: the run of"):
        resumed("recipe.epochs=3", change, typed=(change,))
