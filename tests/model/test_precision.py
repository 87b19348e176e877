"""What trainer.precision=auto stands for: the faster one by injected times, and a timing that leaves no trace."""

import copy
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from omegaconf import DictConfig

from pets import build, machine
from pets.model import precision
from pets.model.network import Network
from pets.model.precision import Work, choose, faster, step_seconds, work_of
from pets.runs.saved import decided_precision
from pets.schedule.recipe import fine_tune, one_cycle
from pets.tasks import fit

BFLOAT_WINS, FLOAT_WINS = {"32-true": 0.4, "bf16-mixed": 0.3}, {"32-true": 0.3, "bf16-mixed": 0.4}
FROZEN, LEARNS = Work(True, 64), Work(False, 64)


@pytest.fixture
def native(monkeypatch: pytest.MonkeyPatch) -> None:
    """A CPU that multiplies bfloat16."""
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: {"avx512_bf16": True})


@pytest.fixture
def network() -> Network:
    return Network("test_resnet", classes=["a", "b"], weights=None, library="timm", head={"hidden": 4})


def chosen(work: dict[Work, int], clock: Any, **options: Any) -> tuple[str, dict[str, float]]:
    options = {"batch_size": 64, "accelerator": "cpu", "alone": True} | options
    return choose(None, work, clock=clock, **options)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("float32", "bfloat16", "expected"),
    [(1.0, 0.5, "bf16-mixed"), (1.0, 0.95, "bf16-mixed"), (1.0, 0.96, "32-true"), (1.0, 2.0, "32-true")],
)
def test_bfloat16_has_to_be_faster(float32: float, bfloat16: float, expected: str) -> None:
    assert faster({"32-true": float32, "bf16-mixed": bfloat16}) == expected


@pytest.mark.usefixtures("native")
def test_steps_count_by_the_epochs_that_have_them(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO", "pets")
    times = {FROZEN: {"32-true": 0.1, "bf16-mixed": 0.05}, LEARNS: {"32-true": 0.3, "bf16-mixed": 0.5}}

    def clock(model: Any, work: Work, images: int) -> dict[str, float]:
        assert images == 16
        return times[work]

    precision, seconds = chosen({FROZEN: 1, LEARNS: 3}, clock)
    assert precision == "32-true"
    assert seconds == pytest.approx({"32-true": 0.25, "bf16-mixed": 0.3875})
    assert caplog.messages == [
        "trainer.precision=auto: 32-true; a step of 16 images takes 0.250 s in 32-true, 0.388 s in bf16-mixed"
    ]
    assert chosen({FROZEN: 20, LEARNS: 1}, clock)[0] == "bf16-mixed"


def test_the_work_of_a_recipe() -> None:
    phases = [{"epochs": 1, "frozen": True, "lr": 1}, {"epochs": 2, "frozen": False, "lr": 1, "size": 96}]
    phases += [{"epochs": 3, "frozen": False, "lr": 1}, {"epochs": 4, "frozen": False, "lr": 1, "size": 64}]
    assert work_of(one_cycle(phases).phases, 64) == {FROZEN: 1, Work(False, 96): 2, LEARNS: 7}
    assert work_of(fine_tune(epochs=2).phases, 64) == {FROZEN: 1, LEARNS: 2}


def never(*arguments: Any) -> Any:
    pytest.fail("timed")


@pytest.mark.usefixtures("native")
def test_several_processes_do_not_time() -> None:
    assert chosen({LEARNS: 1}, never, alone=False) == ("bf16-mixed", {})


def test_without_native_products_nothing_is_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", dict)
    assert chosen({LEARNS: 1}, never) == ("32-true", {})


def test_a_gpu_is_not_timed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(machine, "resolve_precision", lambda precision, accelerator: "bf16-mixed")
    assert chosen({LEARNS: 1}, never, accelerator="gpu") == ("bf16-mixed", {})


@pytest.mark.parametrize("frozen", [True, False])
def test_timing_leaves_no_trace(network: Network, frozen: bool) -> None:
    before, state = copy.deepcopy(network.state_dict()), torch.get_rng_state()
    seconds = step_seconds(network, Work(frozen, 32), 4)
    assert seconds.keys() == {"32-true", "bf16-mixed"}
    assert all(value > 0 for value in seconds.values())
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    assert all(one.grad is None and one.requires_grad for one in network.parameters())


@pytest.mark.usefixtures("native")
@pytest.mark.parametrize(("times", "typed"), [(BFLOAT_WINS, "bf16-mixed"), (FLOAT_WINS, "32-true")])
def test_a_run_is_the_one_whose_precision_was_typed(
    tiny_config: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch, times: dict[str, float], typed: str
) -> None:
    monkeypatch.setattr(precision, "step_seconds", lambda *arguments: step_seconds(*arguments) and times)
    small = (
        "model=timm", "model.arch=test_resnet", "model.head.hidden=8", "model.head.dropout=0.5",
        "recipe.freeze_epochs=0", "evaluate.at_end=false",
    )  # fmt: skip
    runs = []
    for name in ("auto", typed):
        cfg = tiny_config(*small, f"trainer.precision={name}")
        fit.run(cfg)
        folder = Path(cfg.run_dir)
        runs.append(torch.load(folder / "checkpoints" / "last.ckpt", weights_only=True)["state_dict"])
        metrics = json.loads((folder / "metrics.json").read_text())
        assert metrics["precision"] == yaml.safe_load((folder / "config.yaml").read_text())["trainer"]["precision"]
        assert (metrics["precision"], metrics.get("precision_seconds")) == (typed, times if name == "auto" else None)
    assert all(torch.equal(value, runs[1][name]) for name, value in runs[0].items())


def test_a_resumed_run_has_the_precision_that_it_chose(
    tiny_config: Callable[..., DictConfig], tmp_path: Path, network: Any
) -> None:
    last, page = tmp_path / "checkpoints" / "last.ckpt", tmp_path / ".hydra" / "config.yaml"
    page.parent.mkdir()
    page.write_text("trainer: {precision: 32-true}")
    cfg = tiny_config("trainer.precision=auto")
    cfg.ckpt_path = str(last)
    assert build.decide_precision(cfg, network) == {}
    assert cfg.trainer.precision == "32-true"


@pytest.mark.parametrize("page", ["trainer: {precision: auto}", "trainer: 32-true", "[]", "trainer: {precision: [1]}"])
def test_what_no_run_has_chosen_is_not_taken(tmp_path: Path, page: str) -> None:
    assert decided_precision(tmp_path / "checkpoints" / "last.ckpt") is None
    (tmp_path / ".hydra").mkdir()
    (tmp_path / ".hydra" / "config.yaml").write_text(page)
    assert decided_precision(tmp_path / "checkpoints" / "last.ckpt") is None
