"""What a person does with a run, typed as they type it, through `train.py`'s own entry: every task, every place."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from pets.__main__ import main
from pets.model.classifier import Classifier

TINY = (
    "data=regex", "data.presize.size=40", "augment.size=32", "data.batch_size=8", "data.num_workers=0", "trainer=cpu",
    "model=timm", "model.arch=test_resnet", "model.weights=null", "model.head.hidden=8", "evaluate.at_end=false",
    "trainer.log_every_n_steps=1",
)  # fmt: skip
PHASES = (
    "recipe=one_cycle", "recipe.phases=[{epochs: 1, frozen: true, lr: 0.01, size: 24}, "
    "{epochs: 2, frozen: false, lr: [1e-4, 1e-3], size: ${augment.size}}]",
)  # fmt: skip
"""Phases as those of experiment=best, with an interpolation inside a list."""

Typed = Callable[..., tuple[int, str]]

pytestmark = [
    pytest.mark.filterwarnings("ignore:Checkpoint directory"),
    pytest.mark.filterwarnings("ignore:The dirpath has changed"),  # the best so far lies in the other folder
    pytest.mark.filterwarnings("ignore:You're resuming from a checkpoint that ended before the epoch ended"),
]


@pytest.fixture
def typed(tmp_path: Path, tiny_pets: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]) -> Typed:
    """Runs a command line in a folder with photographs; returns its exit code and what it said."""
    monkeypatch.chdir(tmp_path)
    shutil.copytree(tiny_pets, tmp_path / "photos")

    def run(*words: str) -> tuple[int, str]:
        monkeypatch.setattr(sys, "argv", ["train.py", *words])
        capfd.readouterr()
        code = 0
        try:
            main()
        except SystemExit as ended:
            code = int(ended.code or 0)
        said = capfd.readouterr()
        return code, said.out + said.err

    return run


@pytest.fixture
def finished(typed: Typed, tmp_path: Path) -> Path:
    """A finished run of two epochs in outputs/run."""
    code, said = typed(*TINY, "data.root=photos", "recipe.epochs=1", "hydra.run.dir=outputs/run")
    assert code == 0, said
    return tmp_path / "outputs" / "run"


def weights(run: Path) -> dict[str, Any]:
    content: dict[str, Any] = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"]
    return content


def same(ours: Path, theirs: Path) -> bool:
    a, b = weights(ours), weights(theirs)
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def snapshot(folder: Path) -> dict[str, bytes]:
    """Every file of a run but its log, which a later command may add a line to."""
    files = (path for path in folder.rglob("*") if path.is_file() and path.name != "train.log")
    return {str(path.relative_to(folder)): path.read_bytes() for path in files}


@pytest.mark.parametrize(
    "words",
    [
        ["task=evaluate", "ckpt_path=last"],
        ["task=evaluate", "ckpt_path=last", "evaluate.part=train"],
        ["task=predict", "ckpt_path=last", "source=photos"],
        ["task=export", "ckpt_path=last", "export.onnx=false"],
        ["task=inspect", "ckpt_path=last"],
        ["task=find_lr", "ckpt_path=last"],
        ["task=fit", "ckpt_path=last"],
    ],
    ids=" ".join,
)
def test_every_task_on_the_last_run_with_nothing_else_typed(finished: Path, typed: Typed, words: list[str]) -> None:
    before = snapshot(finished)
    code, said = typed(*words)
    assert code == 0, said
    assert snapshot(finished) == before, "a later command changed the run"


def test_check_looks_at_the_predictions_of_the_last_run(finished: Path, typed: Typed) -> None:
    pytest.importorskip("imagehash")
    assert typed("task=evaluate", "ckpt_path=last", "hydra.run.dir=measured")[0] == 0
    code, said = typed("task=check", "check.predictions=measured")
    assert code == 0, said
    assert "24 images of 3 classes in photos" in said


@pytest.fixture
def straight(typed: Typed, tmp_path: Path) -> Path:
    """A run of three epochs that was never stopped, with phases."""
    assert typed(*TINY, *PHASES, "data.root=photos", "hydra.run.dir=straight")[0] == 0
    return tmp_path / "straight"


class Killed(BaseException):
    """Ends a run as abruptly as an exception can."""


@pytest.fixture
def killed(typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The same run, killed in the first step of its third epoch."""
    step = Classifier.training_step

    def kill(self: Classifier, batch: Any, batch_idx: int) -> Any:
        if self.current_epoch == 2:
            raise Killed
        return step(self, batch, batch_idx)

    monkeypatch.setattr(Classifier, "training_step", kill)
    with pytest.raises(Killed):
        typed(*TINY, *PHASES, "data.root=photos", "hydra.run.dir=cut")
    monkeypatch.setattr(Classifier, "training_step", step)
    return tmp_path / "cut"


@pytest.mark.parametrize("how", ["same", "moved", "copied", "a file, elsewhere", "photographs moved"])
def test_a_killed_run_ends_as_if_it_had_not_been_killed(
    typed: Typed, tmp_path: Path, straight: Path, killed: Path, how: str
) -> None:
    words, end = ["ckpt_path=cut"], killed
    if how == "moved":
        end = Path(shutil.move(killed, tmp_path / "another place"))
        words = [f"ckpt_path={end}"]
    elif how == "copied":
        end = Path(shutil.copytree(killed, tmp_path / "copy"))
        words = ["ckpt_path=copy"]
    elif how == "a file, elsewhere":
        end = tmp_path / "new"
        words = ["ckpt_path=cut/checkpoints/last.ckpt", "hydra.run.dir=new"]
    elif how == "photographs moved":
        (tmp_path / "photos").rename(tmp_path / "elsewhere")
        words.append("data.root=elsewhere")
    code, said = typed(*words)
    assert code == 0, said
    assert same(end, straight)
    ours, theirs = (json.loads((run / "metrics.json").read_text()) for run in (end, straight))
    assert {**ours, "seconds": 0} == {**theirs, "seconds": 0}


def test_a_finished_run_stays_byte_for_byte_what_it_is(finished: Path, typed: Typed) -> None:
    before = snapshot(finished)
    code, said = typed("ckpt_path=outputs/run")
    assert (code, "the run is finished" in said) == (0, True), said
    assert snapshot(finished) == before


def test_a_refused_second_run_changes_no_byte(finished: Path, typed: Typed) -> None:
    before = snapshot(finished)
    code, said = typed(*TINY, "data.root=photos", "seed=3", "hydra.run.dir=outputs/run")
    assert code == 2
    assert "hydra.run.dir=outputs/run holds a run: ckpt_path=outputs/run resumes it" in said
    assert snapshot(finished) == before


def test_a_run_that_was_interrupted_after_its_last_epoch_has_the_metrics_of_training(
    finished: Path, typed: Typed
) -> None:
    whole = json.loads((finished / "metrics.json").read_text())
    (finished / "metrics.json").unlink()
    code, said = typed("ckpt_path=outputs/run", "optimized_metric=train/loss")
    assert code == 0, said
    again = json.loads((finished / "metrics.json").read_text())
    assert {**again, "seconds": 0} == {**whole, "seconds": 0}


@pytest.mark.parametrize(
    "name", ["jörg's photos", "trailing\\", "a,b [c] {d}", "line\nbreak", "/".join(["x" * 200] * 3)], ids=ascii
)
def test_photographs_and_run_folders_may_be_called_anything(typed: Typed, tmp_path: Path, name: str) -> None:
    (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
    (tmp_path / "photos").rename(tmp_path / name)
    code, said = typed(*TINY, f"data.root={name}", "recipe.epochs=1", f"hydra.run.dir=runs/{name}")
    assert code == 0, said
    code, said = typed(f"ckpt_path=runs/{name}", "recipe.epochs=2")
    assert code == 0, said
    code, said = typed("task=evaluate", f"ckpt_path=runs/{name}/checkpoints/last.ckpt")
    assert code == 0, said


@pytest.mark.parametrize("name", ["history.csv", "checkpoints/.last.ckpt.part", ".hydra/overrides.yaml"])
def test_a_run_folder_with_a_link_in_it_is_not_resumed(finished: Path, typed: Typed, tmp_path: Path, name: str) -> None:
    victim = tmp_path / "victim"
    place = finished / name
    place.rename(victim) if place.exists() else victim.write_text("precious")
    place.symlink_to(victim)
    before = victim.read_bytes()
    code, said = typed("ckpt_path=outputs/run", "recipe.epochs=2")
    assert code == 2
    assert f"{place.relative_to(tmp_path)}: is a link" in said
    assert victim.read_bytes() == before


def test_a_secret_is_in_no_file_of_a_run_an_export_or_a_sweep(
    typed: Typed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "hunter2")
    secrets = ["export.licence=${oc.env:TOKEN}", "+logger.tensorboard.comment=${oc.env:TOKEN}"]
    command = [*TINY, "data.root=photos", "recipe.epochs=1", *secrets]
    said = []
    for words in (
        [*command, "hydra.run.dir=run"],
        ["task=export", "ckpt_path=run", "export.onnx=false", "hydra.run.dir=exported", *secrets],
        ["-m", *command, "recipe.epochs=0", "seed=1,2", "hydra.sweep.dir=sweep"],
    ):
        code, lines = typed(*words)
        assert code == 0, lines
        said.append(lines)
    assert "hunter2" not in "".join(said)
    written = [path for folder in ("run", "exported", "sweep") for path in (tmp_path / folder).rglob("*")]
    assert len(written) > 60
    assert [str(path) for path in written if path.is_file() and b"hunter2" in path.read_bytes()] == []


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["+trainer.profiler=simple"], "Profiler Report"),
        (["+trainer.fast_dev_run=true"], ""),
        (["+trainer.overfit_batches=2"], ""),
        (["callbacks.progress=null"], ""),
        (["+callbacks.lr._target_=lightning.pytorch.callbacks.LearningRateMonitor"], ""),
        (["+logger.second={_target_: lightning.pytorch.loggers.CSVLogger, save_dir: more}"], ""),
        (["debug=fast"], ""),
        (["debug=overfit"], ""),
        (["debug=profile"], "Profiler Report"),
    ],
    ids=str,
)
def test_what_lightnings_users_expect_works(typed: Typed, tmp_path: Path, words: list[str], says: str) -> None:
    code, said = typed(*TINY, "data.root=photos", "recipe.epochs=1", "hydra.run.dir=run", *words)
    assert code == 0, said
    assert not says or said.count(says) == 1  # not once more by Lightning's own handler
    if "second" in words[0]:
        assert list((tmp_path / "more").rglob("metrics.csv"))
