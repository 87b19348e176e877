"""The detector of unknown images goes where the weights go and decides the same there; a strange one is refused."""

import json
import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from pets import Predictor
from pets.deploy.artifact import DETECTOR, read_artifact
from pets.deploy.export import missing_for_onnx
from pets.deploy.predictor import square
from pets.runs.run_folder import RunFolder
from tests.deploy.conftest import requires_onnx, save_checkpoint
from tests.deploy.test_predict import OURS, run

Change = Callable[[dict[str, Tensor]], dict[str, Tensor]]


@pytest.fixture(scope="module")
def photos(tiny_pets: Path) -> list[Path]:
    return sorted(tiny_pets.glob("*.jpg"))[::4]


def test_every_form_finds_an_image_as_familiar(wary_run: Path, wary: Path, photos: list[Path]) -> None:
    predictor = Predictor.load(wary_run)
    wanted, exported = (
        np.array([prediction.familiarity for prediction in model(photos)], np.float32)
        for model in (predictor, Predictor.load(wary))
    )
    assert np.array_equal(exported, wanted)
    images = torch.stack([square(photo, predictor.metadata.presize)[0] for photo in photos])
    found = {"program": torch.export.load(wary / "model.pt2").module()(images)[1].detach().numpy()}
    if not missing_for_onnx():
        import onnxruntime

        session = onnxruntime.InferenceSession(wary / "model.onnx", providers=["CPUExecutionProvider"])
        found["onnx"] = session.run(["familiarity"], {"images": images.numpy()})[0]
    for name, given in found.items():
        np.testing.assert_allclose(given, wanted, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.parametrize(
    "missing", [f"{OURS} onnxruntime", pytest.param(f"{OURS} torch", marks=requires_onnx)], ids=["torch", "onnx"]
)
def test_the_script_refuses_what_the_predictor_refuses(missing: str, wary: Path, photos: list[Path]) -> None:
    predictions = Predictor.load(wary)(photos)
    lines = run(wary, missing, *photos).splitlines()
    assert [": none of the classes (" in line for line in lines] == [not one.accepted for one in predictions]


def test_below_zero_it_is_none_of_the_classes(wary: Path, photos: list[Path]) -> None:
    predictor = Predictor.load(wary)
    assert predictor.refuses
    assert predictor.detector is not None
    familiarity = predictor(photos[0]).familiarity
    assert familiarity is not None
    for more, accepted in ((-familiarity + 1, True), (-2.0, False)):
        predictor.detector.bias += more
        prediction = predictor(photos[0])
        assert prediction.accepted is accepted
        assert str(prediction).startswith("none of the classes (") is not accepted


def test_it_belongs_to_the_weights_that_it_was_made_for(
    wary_run: Path, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    run = RunFolder(tmp_path)
    save_checkpoint(run.last, loss=None, head={"hidden": 16, "dropout": 0.1})
    content = torch.load(run.last, weights_only=True)
    content["state_dict"]["mean"] *= 1 + 1e-6
    torch.save(content, run.last)
    os.symlink(RunFolder(wary_run).unknown, run.unknown)
    artifact = read_artifact(run.path)
    assert artifact.detector is None
    assert artifact.metadata.false_alarms is None
    assert f"{run.unknown} is of other weights than {run.last}: unknown images are not told" in caplog.text


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {name: tensor for name, tensor in tensors.items() if name != "weights"},
        lambda tensors: tensors | {"false_alarms": torch.tensor(1.0, dtype=torch.float64)},
        lambda tensors: tensors | {"bias": torch.full((3,), torch.nan)},
        lambda tensors: tensors | {"linear": torch.zeros(3, 17)},
        lambda tensors: tensors | {"quadratic": torch.zeros(16, 16).double()},
        lambda tensors: tensors | {"more": torch.zeros(1)},
    ],
    ids=["no weights", "false alarms", "nan", "shape", "double", "more"],
)
def test_a_strange_file_in_a_run_folder_is_refused(change: Change, wary_run: Path, tmp_path: Path) -> None:
    run = RunFolder(tmp_path)
    run.checkpoints.mkdir()
    os.symlink(RunFolder(wary_run).last, run.last)
    save_file(change(load_file(RunFolder(wary_run).unknown)), run.unknown)
    with pytest.raises(ValueError, match=str(run.unknown)) as caught:
        read_artifact(run.path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors: {name: tensor for name, tensor in tensors.items() if name != f"{DETECTOR}bias"},
        lambda tensors: tensors | {f"{DETECTOR}bias": torch.full((3,), torch.inf)},
        lambda tensors: tensors | {f"{DETECTOR}more": torch.zeros(1)},
    ],
    ids=["lacks one", "infinite", "more"],
)
def test_a_strange_one_in_an_exported_folder_is_refused(change: Change, wary: Path, tmp_path: Path) -> None:
    os.symlink(wary / "model.json", tmp_path / "model.json")
    save_file(change(load_file(wary / "model.safetensors")), tmp_path / "model.safetensors")
    with pytest.raises(ValueError, match=str(tmp_path)):
        read_artifact(tmp_path)


def test_one_that_model_json_does_not_announce_is_refused(wary: Path, tmp_path: Path) -> None:
    os.symlink(wary / "model.safetensors", tmp_path / "model.safetensors")
    values = json.loads((wary / "model.json").read_text()) | {"false_alarms": None}
    (tmp_path / "model.json").write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"the tensor 'unknown\.\w+' is float32 .*, the metadata says none"):
        read_artifact(tmp_path)
