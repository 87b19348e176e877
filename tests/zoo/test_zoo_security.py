"""What strangers may send: nothing in it runs, and it is refused in one line that names the file."""

import json
import os
import pickle
import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from pets.evaluation.predictions import Predictions
from pets.model.network import Network
from pets.model.weights import read_state_dict
from pets.runs import resume, run_folder

CANARY = "canary"


class Payload:
    """Makes a file when it is unpickled."""

    def __reduce__(self) -> tuple[object, ...]:
        return os.system, (f"touch {CANARY}",)


@pytest.fixture(autouse=True)
def nothing_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> object:
    """Every test runs in a folder of its own, in which the payload must not have left its file."""
    monkeypatch.chdir(tmp_path)
    yield
    assert not Path(CANARY).exists()


def test_the_payload_would_be_noticed() -> None:
    pickle.loads(pickle.dumps(Payload()))
    Path(CANARY).unlink()


def spec(**changes: object) -> dict[str, object]:
    return Network("resnet18", classes=["Birman", "great_pyrenees", "pug"], weights=None).spec() | changes


def checkpoint(**changes: object) -> dict[str, object]:
    data = {
        "classes": [],
        "presize": {"size": 40, "method": "crop", "interpolation": "bilinear"},
        "size": 32,
        "interpolation": "bilinear, antialiased",
    }
    return {"pets": spec(), "state_dict": {}, "ImageDataModule": data, "global_step": 1, "epoch": 0} | changes


CHECKPOINTS: dict[str, object] = {
    "the whole": Payload(),
    "in the weights": checkpoint(state_dict={"conv": Payload()}),
    "in the description": checkpoint(pets=spec(arch=Payload())),
    "in the optimizer": checkpoint(optimizer_states=[Payload()]),
    "in a callback": checkpoint(callbacks={"ModelCheckpoint": Payload()}),
    "as a key": checkpoint(**{"loops": {Payload(): 1}}),
}
TASKS = {
    "fit": [],
    "evaluate": [],
    "predict": ["source=${data.root}"],
    "export": ["export.folder=exported"],
}


@pytest.mark.parametrize("zipped", [True, False], ids=["zip", "legacy"])
@pytest.mark.parametrize("place", CHECKPOINTS)
def test_a_checkpoint_with_code_is_refused_by_every_task(
    place: str, zipped: bool, start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(CHECKPOINTS[place], "evil.ckpt", _use_new_zipfile_serialization=zipped)
    assert_refused(start, capsys, "evil.ckpt", TASKS if place == "in the weights" else {"fit": []})


def test_a_bare_pickle_is_refused_by_every_task(start: Callable[..., None], capsys: pytest.CaptureFixture[str]) -> None:
    Path("evil.ckpt").write_bytes(pickle.dumps(checkpoint(state_dict=Payload())))
    assert_refused(start, capsys, "evil.ckpt", TASKS)


@pytest.mark.parametrize(
    "changes",
    [
        {"_target_": "os.system", "command": f"touch {CANARY}"},
        {"arch": {"_target_": "os.system", "command": f"touch {CANARY}"}},
        {"head": {"_target_": "os.system", "command": f"touch {CANARY}"}},
        {"loss": {"_target_": "os.system", "command": f"touch {CANARY}", "kind": "cross_entropy"}},
        {"arch": "os.system"},
        {"arch": "hf_hub:stranger/model", "source": "timm"},
        {"arch": "local-dir:.", "source": "timm"},
        {"source": "os"},
    ],
    ids=str,
)
def test_nothing_is_instantiated_that_a_checkpoint_names(
    changes: dict[str, object], start: Callable[..., None], capsys: pytest.CaptureFixture[str]
) -> None:
    torch.save(checkpoint(pets=spec(**changes)), "evil.ckpt")
    assert_refused(start, capsys, "evil.ckpt", {"evaluate": [], "predict": ["source=${data.root}"]})


def assert_refused(
    start: Callable[..., None], capsys: pytest.CaptureFixture[str], name: str, tasks: dict[str, list[str]]
) -> None:
    for task, options in tasks.items():
        with pytest.raises(SystemExit) as ended:
            start(f"task={task}", f"ckpt_path={name}", *options)
        error = capsys.readouterr().err.strip()
        assert ended.value.code == 2
        assert name in error
        assert "no such file" not in error
        assert len(error.splitlines()) == 1
        assert not Path("exported").exists()


def safetensors(header: object, length: int | None = None, data: bytes = bytes(24)) -> bytes:
    text = header if isinstance(header, bytes) else json.dumps(header).encode()
    return struct.pack("<Q", len(text) if length is None else length) + text + data


def tensor(**changes: object) -> dict[str, object]:
    return {"weight": {"dtype": "F32", "shape": [2, 3], "data_offsets": [0, 24]} | changes}


@pytest.mark.parametrize(
    "content",
    [
        safetensors(tensor(), length=2**63),
        safetensors(tensor(), length=2**40),
        safetensors(tensor(), length=0),
        safetensors(tensor(data_offsets=[0, 2**40])),
        safetensors(tensor(data_offsets=[-8, 16])),
        safetensors(tensor(shape=[2**31, 2**31])),
        safetensors(tensor(shape=[-2, -3])),
        safetensors(tensor(dtype="OBJECT")),
        safetensors(tensor() | {"other": tensor()["weight"]}),
        safetensors(b"{" * 100_000),
        safetensors(pickle.dumps(Payload())),
        pickle.dumps(Payload()),
    ],
    ids=range(12),
)
def test_a_lying_header_of_safetensors_is_refused(content: bytes) -> None:
    Path("evil.safetensors").write_bytes(content)
    with pytest.raises(ValueError, match=r"^evil\.safetensors: cannot be read") as caught:
        read_state_dict(Path("evil.safetensors"))
    assert len(str(caught.value).splitlines()) == 1


def test_pickled_predictions_are_refused() -> None:
    np.savez("predictions.npz", probabilities=np.array([Payload()], dtype=object), targets=[0], losses=[0], files=["a"])
    with pytest.raises(ValueError, match=r"^predictions\.npz: cannot be read as predictions: Object arrays"):
        Predictions.load(Path())


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04" + bytes(50), pickle.dumps(Payload())])
def test_damaged_predictions_are_refused(content: bytes) -> None:
    Path("predictions.npz").write_bytes(content)
    with pytest.raises(ValueError, match=r"^predictions\.npz: cannot be read as predictions: "):
        Predictions.load(Path())


def run_of_a_stranger(overrides: str) -> Path:
    folder = Path("stranger")
    (folder / "checkpoints").mkdir(parents=True)
    (folder / "checkpoints" / "last.ckpt").touch()
    (folder / ".hydra").mkdir()
    (folder / ".hydra" / "overrides.yaml").write_text(overrides)
    return folder


@pytest.mark.parametrize(
    "overrides",
    [
        f"- +model.head={{_target_: os.system, command: touch {CANARY}}}",
        "- callbacks.progress._target_=os.getcwd",
        "- hydra.searchpath=[file:///tmp/stranger]",
        f"!!python/object/apply:os.system [touch {CANARY}]",
        "seed: 1",
        "- [seed=1]",
        "\t- broken",
    ],
)
def test_the_command_of_a_strangers_run_folder_runs_no_code(overrides: str) -> None:
    folder = run_of_a_stranger(overrides)
    with pytest.raises(ValueError, match=r"overrides\.yaml") as caught:
        resume.arguments(["train.py", f"ckpt_path={folder}"])
    assert len(str(caught.value).splitlines()) == 1


def test_a_target_that_is_typed_again_is_the_users_own() -> None:
    folder = run_of_a_stranger("- callbacks.progress._target_=mine.Bar")
    typed = ["train.py", "callbacks.progress._target_=mine.Bar", f"ckpt_path={folder}"]
    assert "callbacks.progress._target_=mine.Bar" in resume.arguments(typed)


def test_values_of_the_environment_stay_out_of_the_records(
    tiny_config: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t")
    cfg = tiny_config("data.root='/mnt/${oc.env:TOKEN}'", "+logger.web={_target_: web.Log, key: '${oc.env:TOKEN}'}")
    assert cfg.data.source.root == "/mnt/s3cr3t"
    recorded = yaml.safe_dump(run_folder.plain(cfg))
    assert "s3cr3t" not in recorded
    assert run_folder.plain(cfg)["data"]["source"]["root"] == "/mnt/${oc.env:TOKEN}"
    assert OmegaConf.create({"key": "${oc.env:TOKEN}"}).key == "s3cr3t"
