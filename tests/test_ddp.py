"""Two processes train one network: `trainer=ddp_cpu`, started in each way in which a person can start it."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.ddp


STARTS = {"train.py": [str(ROOT / "train.py")], "python -m pets": ["-m", "pets", "ema=default"], "pets": ["pets"]}
"""What follows `python`; the last is the script that pip writes for the command `pets`, which the test writes too.
One of the runs averages its weights."""
SCRIPT = "import sys\nfrom pets.__main__ import main\nif __name__ == '__main__':\n    sys.exit(main())\n"


@pytest.fixture(scope="module", params=STARTS)
def run(request: pytest.FixtureRequest, tiny_pets: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a run of a frozen and an unfrozen epoch after a range test, with a record of each process."""
    folder = tmp_path_factory.mktemp("ddp")
    (folder / "pets").write_text(SCRIPT)
    command = [
        "trainer=ddp_cpu", "data=regex", f"data.root={tiny_pets}", "data.presize.size=40", "augment.size=32",
        "data.batch_size=2", "data.split.valid_pct=0.3", "data.num_workers=0", "model=timm", "model.arch=test_resnet",
        "model.weights=null", "model.head.hidden=8", "recipe.epochs=1", "lr_finder=apply", "lr_finder.num_steps=30",
        "evaluate.at_end=false", "+callbacks.probe._target_=ddp_probe.Probe", f"+callbacks.probe.folder={folder}",
    ]  # fmt: skip
    path = os.pathsep.join([str(ROOT), str(ROOT / "tests" / "probes")])
    environment = os.environ | {"PYTHONPATH": path, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, *STARTS[request.param], *command], cwd=folder, env=environment, capture_output=True, text=True,
        check=False, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (folder / "stderr").write_text(done.stderr)
    return folder


@pytest.fixture(scope="module")
def ranks(run: Path) -> list[dict[str, Any]]:
    return [torch.load(run / f"rank{rank}.pt") for rank in (0, 1)]


def test_parameters_are_equal_in_both_processes_at_every_step_and_the_body_learns(ranks: list[dict[str, Any]]) -> None:
    ours, theirs = (torch.stack(rank["parameters"]) for rank in ranks)
    assert torch.equal(ours, theirs)
    frozen, unfrozen = ours.diff(dim=0)[:3], ours.diff(dim=0)[4:]
    assert (frozen == 0).all(dim=0).float().mean() > 0.9
    assert (unfrozen == 0).all(dim=0).float().mean() < 0.1


def test_torch_does_not_advise_against_what_freezing_needs(run: Path) -> None:
    assert "find_unused_parameters" not in (run / "stderr").read_text()


def test_processes_train_on_different_images_with_different_random_numbers(ranks: list[dict[str, Any]]) -> None:
    ours, theirs = ranks
    assert len(ours["train"]) == len(theirs["train"]) == 16
    for epoch in (slice(0, 8), slice(8, 16)):
        assert not set(ours["train"][epoch]) & set(theirs["train"][epoch])
    assert not set(ours["seeds"]) & set(theirs["seeds"])
    draws = torch.cat([*ours["draws"], *theirs["draws"]])
    assert len(draws.unique(dim=0)) == len(draws)


def test_seven_images_are_evaluated_once_each(run: Path, ranks: list[dict[str, Any]]) -> None:
    evaluated = [index for rank in ranks for index in rank["valid"]]
    assert len(evaluated) == len(set(evaluated)) == 7
    assert json.loads(next(run.rglob("metrics.json")).read_text())["n"] == {"train": 17, "valid": 7, "test": 0}
    assert {name: value for name, value in ranks[0]["metrics"].items() if name.startswith("valid")} == {
        name: value for name, value in ranks[1]["metrics"].items() if name.startswith("valid")
    }


def test_the_network_evaluated_is_the_network_saved(run: Path, ranks: list[dict[str, Any]]) -> None:
    saved = torch.load(next(run.rglob("last.ckpt")), weights_only=True)["state_dict"]
    statistics = [name for name in ranks[0]["buffers"] if "running" in name]
    assert statistics
    for rank in ranks:
        assert all(torch.equal(rank["buffers"][name], saved[name]) for name in statistics)


def test_the_range_test_gives_both_processes_one_curve(ranks: list[dict[str, Any]]) -> None:
    assert len(ranks[0]["losses"]) > 1
    assert ranks[0]["losses"] == ranks[1]["losses"]


def test_one_run_leaves_one_folder(run: Path) -> None:
    assert len(list(run.rglob("checkpoints"))) == len(list(run.rglob(".hydra"))) == 1
    assert len(list(run.rglob("config.yaml"))) == 2  # ours and Hydra's
    assert not list(run.rglob("*ddp_process*"))
