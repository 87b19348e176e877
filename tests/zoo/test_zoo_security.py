"""What strangers may send: nothing in it runs, and it is refused in one line that names the file."""

import json
import os
import pickle
import socket
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import safetensors.torch as safetensors_torch
import torch
import yaml
from omegaconf import DictConfig, OmegaConf

from pets import records
from pets.data.presize import Presize
from pets.deploy.metadata import Metadata, write_metadata
from pets.deploy.predictor import Predictor
from pets.evaluation.predictions import Predictions
from pets.model.network import Network
from pets.model.weights import read_state_dict

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
    "serve": ["serve.port=0"],
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


def test_a_checkpoint_deletes_nothing_and_contacts_nobody(
    start: Callable[..., None], tiny_config: Callable[..., DictConfig], tmp_path: Path
) -> None:
    """Lightning removes the best checkpoint before the new one, wherever it is said to be."""
    victim = tmp_path / "victim"
    victim.mkdir()
    (victim / "precious").touch()
    run, tiny = tmp_path / "run", ("model=timm", "model.arch=test_resnet", "evaluate.at_end=false")
    start(*tiny, "recipe.epochs=1", f"run_dir={run}")
    content = torch.load(run / "checkpoints" / "last.ckpt", weights_only=True)
    with socket.create_server(("127.0.0.1", 0)) as server:
        server.settimeout(0)
        paths = [
            f"local://{victim}",
            f"{run}/checkpoints/../../victim",
            f"http://127.0.0.1:{server.getsockname()[1]}/x",
        ]
        for path in paths:
            for name, state in content["callbacks"].items():
                if name.startswith("ModelCheckpoint"):
                    state.update(best_model_path=path, kth_best_model_path=path, last_model_path=path)
                    state.update(best_k_models={path: torch.tensor(9.0)}, kth_value=torch.tensor(9.0))
            torch.save(content, run / "checkpoints" / "evil.ckpt")
            other = tmp_path / f"run{paths.index(path)}"
            (other / "checkpoints").mkdir(parents=True)
            (run / "checkpoints" / "evil.ckpt").rename(other / "checkpoints" / "evil.ckpt")
            start(*tiny, "recipe.epochs=2", f"run_dir={other}", f"ckpt_path={other}/checkpoints/evil.ckpt")
            assert (other / "checkpoints" / "best.ckpt").is_file()
            assert (victim / "precious").exists()
        with pytest.raises(BlockingIOError):
            server.accept()


@pytest.mark.parametrize("name", ["model.pt2", "model.onnx", "README.md", "optimizer.pt"])
def test_of_an_exported_folder_only_two_files_are_opened(name: str, start: Callable[..., None]) -> None:
    """A FIFO would be waited for, and a pickle would leave its file."""
    metadata = Metadata(spec(), Presize(40), 32, None)
    Path("evil").mkdir()
    write_metadata(metadata, Path("evil"))
    network = Network("resnet18", classes=metadata.classes, weights=None)
    safetensors_torch.save_file(
        {key: value.contiguous() for key, value in network.state_dict().items()}, "evil/model.safetensors"
    )
    os.mkfifo(f"evil/{name}")
    assert Predictor.load("evil")(np.zeros((40, 40, 3), np.uint8)).label in metadata.classes
    Path("evil", name).unlink()
    Path("evil", name).write_bytes(pickle.dumps(Payload()))
    start("task=export", "ckpt_path=evil", f"export.folder={Path.cwd() / 'exported'}", "export.onnx=false")
    assert {path.name for path in Path("exported").iterdir()} == {
        "model.json", "model.safetensors", "model.pt2", "README.md", "predict.py",
    }  # fmt: skip


@pytest.mark.parametrize("name", ["model.onnx", "model.pt2"])
@pytest.mark.parametrize("content", [b"", pickle.dumps(Payload()), b"PK\x03\x04" + bytes(50), b"\x08\x0a" + bytes(99)])
def test_a_program_is_no_model(name: str, content: bytes, start: Callable[..., None], capsys: Any) -> None:
    Path(name).write_bytes(content)
    assert_refused(start, capsys, name, {"predict": ["source=${data.root}"], "export": ["export.folder=exported"]})


def test_predictions_of_other_files_than_the_data_sets_open_none(start: Callable[..., None], capsys: Any) -> None:
    Path("secret.jpg").touch()
    probabilities = np.array([[0.0, 0.0, 1.0]], np.float32)
    classes = ("Birman", "great_pyrenees", "pug")
    Predictions(probabilities, np.array([0]), np.ones(1, np.float32), np.array(["secret.jpg"]), classes).save(Path())
    with pytest.raises(SystemExit):
        start("task=check", f"check.predictions={Path.cwd()}")
    error = capsys.readouterr().err.strip()
    assert "check.predictions=" in error
    assert "'secret.jpg'" in error
    assert len(error.splitlines()) == 1


def test_values_of_the_environment_stay_out_of_the_records(
    tiny_config: Callable[..., DictConfig], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TOKEN", "s3cr3t")
    cfg = tiny_config("data.root='/mnt/${oc.env:TOKEN}'", "+logger.web={_target_: web.Log, key: '${oc.env:TOKEN}'}")
    assert cfg.data.source.root == "/mnt/s3cr3t"
    recorded = yaml.safe_dump(records.plain(cfg))
    assert "s3cr3t" not in recorded
    assert records.plain(cfg)["data"]["source"]["root"] == "/mnt/${oc.env:TOKEN}"
    assert OmegaConf.create({"key": "${oc.env:TOKEN}"}).key == "s3cr3t"
