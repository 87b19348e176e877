"""A fit takes up from a checkpoint what a fit saves, in its types and shapes, and no path that stands in it."""

import copy
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from omegaconf import DictConfig

from pets import build
from pets.callbacks.checkpoint_io import AtomicCheckpointIO
from pets.callbacks.training_state import check_fits
from pets.data.datamodule import ImageDataModule
from pets.model.classifier import Classifier
from pets.tasks import fit

Change = Callable[[dict[str, Any]], object]
SMALL = (
    "model=timm", "model.arch=test_resnet", "model.weights=null", "model.head.hidden=8", "recipe.freeze_epochs=0",
    "evaluate.at_end=false", "trainer.limit_train_batches=1",
)  # fmt: skip


@pytest.fixture(scope="module")
def cfg(tiny_config: Callable[..., DictConfig]) -> DictConfig:
    """A run of one epoch, which has ended."""
    cfg = tiny_config(*SMALL)
    fit.run(cfg)
    return cfg


@pytest.fixture(scope="module")
def parts(cfg: DictConfig) -> tuple[ImageDataModule, Classifier]:
    data = build.data_module(cfg)
    return data, build.classifier(cfg, data.vocab)


def last(cfg: DictConfig) -> Path:
    return Path(cfg.run_dir) / "checkpoints" / "last.ckpt"


def checkpoint_of(states: dict[str, Any], monitored: bool) -> dict[str, Any]:
    """Return the state of the ModelCheckpoint with or without a metric."""
    return next(
        state
        for name, state in states.items()
        if name.startswith("ModelCheckpoint") and (state["monitor"] is not None) == monitored
    )


def changed(cfg: DictConfig, change: Change, folder: Path) -> Path:
    """Save the run's checkpoint with a change, in a run folder of its own."""
    content = torch.load(last(cfg), weights_only=True)
    change(content)
    path = folder / "checkpoints" / "last.ckpt"
    path.parent.mkdir()
    torch.save(content, path)
    return path


def same(ours: Any, theirs: Any) -> bool:
    if isinstance(ours, torch.Tensor):
        return torch.equal(ours, theirs)
    if isinstance(ours, dict):
        return list(ours) == list(theirs) and all(same(ours[key], theirs[key]) for key in ours)
    if isinstance(ours, list | tuple):
        return len(ours) == len(theirs) and all(map(same, ours, theirs))
    return type(ours) is type(theirs) and ours == theirs


def test_a_checkpoint_of_ours_comes_back_bit_for_bit(cfg: DictConfig) -> None:
    read = AtomicCheckpointIO(last(cfg).parent).load_checkpoint(last(cfg))
    for name, state in torch.load(last(cfg), weights_only=True).items():
        if name != "callbacks":
            assert same(read[name], state), name
        else:
            assert all(same(dict(sorted(read[name][key].items())), dict(sorted(state[key].items()))) for key in state)
    assert read["callbacks"].keys() == torch.load(last(cfg), weights_only=True)["callbacks"].keys()


def test_a_checkpoint_of_version_0_1_is_taken_up(cfg: DictConfig, tmp_path: Path, parts: Any) -> None:
    path = changed(cfg, lambda content: content.update(PetsDataModule=content.pop("ImageDataModule")), tmp_path)
    assert "ImageDataModule" in AtomicCheckpointIO(path.parent).load_checkpoint(path)
    check_fits(path, build.trainer(cfg), parts[1], 20)


def test_what_early_stopping_has_counted_is_taken_up(cfg: DictConfig, tmp_path: Path) -> None:
    stopping = {"wait_count": 2, "stopped_epoch": 0, "best_score": torch.tensor(0.5), "patience": 3}
    path = changed(
        cfg, lambda content: content["callbacks"].update({"EarlyStopping{'monitor': 'x'}": stopping}), tmp_path
    )
    assert (
        AtomicCheckpointIO(path.parent).load_checkpoint(path)["callbacks"]["EarlyStopping{'monitor': 'x'}"] == stopping
    )


PATHS = (
    "/etc/passwd", "{victim}", "local://{victim}", "{folder}/../../../victim", "{folder}/link.ckpt",
    "{folder}/sub.ckpt", "http://127.0.0.1:9/ping", "../last.ckpt/..", "", "last.ckpt/../../victim.ckpt", "\x00.ckpt",
    "a" * 5000 + ".ckpt",
)  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_no_path_of_a_checkpoint_leads_out_of_the_run(path: str, cfg: DictConfig, tmp_path: Path) -> None:
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").touch()

    def change(content: dict[str, Any]) -> None:
        said = path.format(victim=victim, folder=tmp_path / "checkpoints")
        state = checkpoint_of(content["callbacks"], monitored=True)
        state.update(best_model_path=said, kth_best_model_path=said, last_model_path=said)
        state.update(best_k_models={said: torch.tensor(0.0)}, dirpath=said)

    file = changed(cfg, change, tmp_path)
    (file.parent / "link.ckpt").symlink_to(victim)
    (file.parent / "sub.ckpt").mkdir()
    plugin = AtomicCheckpointIO(file.parent)
    state = checkpoint_of(plugin.load_checkpoint(file)["callbacks"], monitored=True)
    assert state["dirpath"] == str(file.parent)
    for kept in (*(state[key] for key in ("best_model_path", "kth_best_model_path")), *state["best_k_models"]):
        assert kept in ("", str(file))
    before = {each for each in tmp_path.rglob("*") if each.name != "last.ckpt"}
    plugin.remove_checkpoint(path.format(victim=victim, folder=file.parent)) if "\x00" not in path else None
    assert before <= set(tmp_path.rglob("*"))


def test_the_files_of_a_run_that_was_moved_are_found_by_their_names(cfg: DictConfig, tmp_path: Path) -> None:
    file = changed(cfg, lambda content: None, tmp_path)
    (file.parent / "best.ckpt").touch()
    state = checkpoint_of(AtomicCheckpointIO(file.parent).load_checkpoint(file)["callbacks"], monitored=True)
    assert list(state["best_k_models"]) == [state["best_model_path"]] == [str(file.parent / "best.ckpt")]
    assert state["dirpath"] == str(file.parent)


def test_only_regular_files_of_the_runs_own_folders_are_removed(tmp_path: Path) -> None:
    inside, other, outside = (tmp_path / name for name in ("checkpoints", "other", "outside"))
    for folder in (inside, other, outside):
        folder.mkdir()
        (folder / "a.ckpt").touch()
    (inside / "folder.ckpt").mkdir()
    (inside / "link.ckpt").symlink_to(outside / "a.ckpt")
    (inside / "away").symlink_to(outside)
    plugin = AtomicCheckpointIO(inside, [other])
    for name in ("folder.ckpt", "link.ckpt", "away/a.ckpt", "../outside/a.ckpt", "missing.ckpt", "", "..", "."):
        plugin.remove_checkpoint(inside / name)
        plugin.remove_checkpoint(f"local://{inside / name}")
    plugin.remove_checkpoint(outside / "a.ckpt")
    assert {path.name for path in inside.iterdir()} == {"a.ckpt", "folder.ckpt", "link.ckpt", "away"}
    assert (outside / "a.ckpt").exists()
    plugin.remove_checkpoint(inside / "a.ckpt")
    plugin.remove_checkpoint(str(other / "a.ckpt"))
    assert not (inside / "a.ckpt").exists()
    assert not (other / "a.ckpt").exists()


def test_a_folder_of_checkpoints_that_is_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "victim").mkdir()
    (tmp_path / "checkpoints").symlink_to(tmp_path / "victim")
    with pytest.raises(FileExistsError, match="is a link"):
        AtomicCheckpointIO(tmp_path / "checkpoints")


def first_state(content: dict[str, Any]) -> dict[str, Any]:
    states: dict[int, dict[str, Any]] = content["optimizer_states"][0]["state"]
    return next(iter(states.values()))


def fit_loop(content: dict[str, Any]) -> dict[str, Any]:
    loop: dict[str, Any] = content["loops"]["fit_loop"]
    return loop


def cycle() -> list[Any]:
    around: list[Any] = []
    around.append(around)
    return around


WRONG: dict[str, tuple[Change, str]] = {
    "no loops": (lambda c: c.pop("loops"), "loops is missing"),
    "no fit loop": (lambda c: c["loops"].clear(), r"loops\.fit_loop is missing"),
    "no progress": (lambda c: fit_loop(c).pop("epoch_progress"), r"epoch_progress is missing"),
    "half a progress": (lambda c: fit_loop(c)["epoch_progress"].pop("current"), r"epoch_progress\.current is missing"),
    "a text in a progress": (lambda c: fit_loop(c)["epoch_progress"]["current"].update(ready="1"), r"ready='1'"),
    "below 0": (lambda c: fit_loop(c)["epoch_progress"]["current"].update(ready=-1), r"current\.ready=-1"),
    "an attribute": (lambda c: fit_loop(c)["epoch_progress"]["current"].update(reset=1), r"current\.reset=1"),
    "no smoothed loss": (lambda c: c.pop("smoothed_loss"), "smoothed_loss is missing"),
    "half a smoothed loss": (lambda c: c["smoothed_loss"].pop("total"), r"smoothed_loss\.total is missing"),
    "a wide smoothed loss": (lambda c: c["smoothed_loss"].update(total=torch.zeros(3)), r"total=a tensor"),
    "a smoothed loss of text": (lambda c: c.update(smoothed_loss="0.5"), "smoothed_loss='0.5'"),
    "no optimizer": (lambda c: c.pop("optimizer_states"), "optimizer_states is missing"),
    "two optimizers": (lambda c: c["optimizer_states"].append({}), "optimizer_states=a list"),
    "a wrong shape": (lambda c: first_state(c).update(exp_avg=torch.zeros(2, 2)), "optimizer_states: cannot be"),
    "no second moment": (lambda c: first_state(c).pop("exp_avg_sq"), "optimizer_states: cannot be"),
    "a text for a step": (lambda c: first_state(c).update(step="7"), "optimizer_states: cannot be"),
    "fewer groups": (lambda c: c["optimizer_states"][0]["param_groups"].pop(), "the groups are not early/decay"),
    "a rate of text": (lambda c: c["optimizer_states"][0]["param_groups"][0].update(lr="x"), "optimizer_states"),
    "a huge view": (
        lambda c: first_state(c).update(exp_avg=torch.zeros(1).expand(10**9)), "a tensor with values of its own",
    ),
    "an unknown key in start": (lambda c: c["start"].update(batch=1), r"start\.batch=1"),
    "half a start": (lambda c: c["start"].pop("images"), r"start\.images is missing"),
    "a text in start": (lambda c: c["start"].update(epoch="1"), r"start\.epoch='1'"),
    "a start beyond the end": (lambda c: c["start"].update(images=21), r"start\.images=21"),
    "complex weights": (
        lambda c: c["state_dict"].update(mean=torch.zeros(3, 1, 1, dtype=torch.complex64)), "mean=a tensor",
    ),
    "a start of text": (lambda c: c.update(start="x"), "start='x'"),
    "a scheduler": (lambda c: c.update(lr_schedulers=[{"step_size": 1}]), "lr_schedulers"),
    "an old version": (lambda c: c.update({"pytorch-lightning_version": "1.5.0"}), "pytorch-lightning_version='1.5.0'"),
    "no version": (lambda c: c.update({"pytorch-lightning_version": 2}), "pytorch-lightning_version=2"),
    "an epoch of text": (lambda c: c.update(epoch="1"), "epoch='1'"),
    "a step of text": (lambda c: c.update(global_step="1"), "global_step='1'"),
    "a wrong weight": (lambda c: c["state_dict"].update(mean=torch.zeros(4)), "the state dict does not fit the model"),
    "a missing weight": (lambda c: c["state_dict"].pop("mean"), "the state dict does not fit the model"),
    "trained weights of an average that is off": (
        lambda c: c.update(trained_state_dict=dict(c["state_dict"])), "a run that started with ema=default is resumed",
    ),
    "a trained weight of text": (
        lambda c: c.update(trained_state_dict={"mean": "x"}), r"trained_state_dict\.mean='x' is not allowed: a tensor",
    ),
    "trained weights of text": (lambda c: c.update(trained_state_dict="x"), "trained_state_dict='x'"),
    "a weight of text": (lambda c: c["state_dict"].update(mean="x"), r"state_dict\.mean='x'"),
    "callbacks of text": (lambda c: c.update(callbacks="x"), "callbacks='x'"),
    "a callback of text": (lambda c: c["callbacks"].update(History="x"), r"callbacks\.History='x'"),
    "a rate below 0": (lambda c: c["callbacks"]["OneCycle"].update(base_lr="1"), r"OneCycle\.base_lr='1'"),
    "rows of text": (lambda c: c["callbacks"]["History"].update(rows="x"), r"History\.rows='x'"),
    "a row of text": (lambda c: c["callbacks"]["History"].update(rows=["x"]), r"History\.rows\.0='x'"),
    "a formula": (lambda c: c["callbacks"]["History"]["rows"][0].update(accuracy="=1+1"), r"accuracy='=1\+1'"),
    "a path": (lambda c: c["callbacks"].update(Mine={"file": "/etc/passwd"}), r"callbacks\.Mine\.file"),
    "a path above": (lambda c: c["callbacks"].update(Mine={"file": ["a/../../b"]}), r"callbacks\.Mine\.file\.0"),
    "an address": (lambda c: c["callbacks"].update(Mine={"file": "http://x"}), r"callbacks\.Mine\.file"),
    "a list in itself": (lambda c: c["callbacks"].update(Mine={"x": cycle()}), "30 levels"),
    "a set": (lambda c: c["callbacks"].update(Mine={"x": {1}}), r"callbacks\.Mine\.x=a set"),
    "a path of a list": (
        lambda c: checkpoint_of(c["callbacks"], True).update(best_model_path=[1]), r"best_model_path=a list",
    ),
    "a score of text": (
        lambda c: checkpoint_of(c["callbacks"], True).update(best_model_score="x"), r"best_model_score='x'",
    ),
    "half a scaler": (lambda c: c.update(MixedPrecision={"scale": 1.0}), r"MixedPrecision\.growth_factor is missing"),
    "classes of text": (lambda c: c["ImageDataModule"].update(classes="abc"), "how images are treated"),
    "sizes of text": (lambda c: c["ImageDataModule"]["presize"].update(size="40"), "how images are treated"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_a_wrong_part_is_one_line_that_names_file_and_key(
    kind: str, cfg: DictConfig, parts: Any, tmp_path: Path
) -> None:
    change, says = WRONG[kind]
    path = changed(cfg, change, tmp_path)
    weights = copy.deepcopy(parts[1].state_dict())
    trainer = build.trainer(cfg)
    with pytest.raises(ValueError, match=says) as caught:
        check_fits(path, trainer, parts[1], 20)
    message = str(caught.value)
    assert message.startswith(f"{path}: ")
    assert len(message.splitlines()) == 1
    assert len(message) < 1000
    assert same(dict(parts[1].state_dict()), dict(weights))
    assert trainer.fit_loop.epoch_progress.current.ready == 0


@pytest.mark.parametrize("kind", ["fifo", "device", "socket", "packed"])
def test_a_checkpoint_that_is_no_plain_file_is_refused_at_once(kind: str, tmp_path: Path) -> None:
    import socket
    import zipfile

    path = tmp_path / "last.ckpt"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "device":
        path.symlink_to("/dev/zero")
    elif kind == "socket":
        with socket.socket(socket.AF_UNIX) as server:
            server.bind(os.path.relpath(path))
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            archive.writestr("archive/data.pkl", bytes(10**7))
    with pytest.raises(ValueError, match=r"last\.ckpt: .*is (a FIFO|a device|a socket)|it is compressed"):
        AtomicCheckpointIO(tmp_path).load_checkpoint(path)
