"""A prediction is the evaluation's, whatever form the image has, whatever stands beside it in a list."""

import dataclasses
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pets import Predictor
from pets.augment.batch import BatchTransform
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule
from pets.deploy.artifact import read_artifact
from pets.deploy.predictor import Prediction
from pets.errors import UserError
from pets.evaluation.predictions import infer
from pets.model.losses import OneVsRest
from pets.settings.data import METHODS, PresizeMethod
from tests.deploy.conftest import BREEDS, SIDE, SIZE, save_checkpoint


@pytest.fixture(scope="module")
def predictor(exported: Path) -> Predictor:
    return Predictor.load(exported, batch_size=3)


@pytest.fixture(scope="module")
def photos(tiny_pets: Path) -> list[Path]:
    return sorted(tiny_pets.glob("*.jpg"))[::3]


def probabilities(predictions: list[Prediction]) -> np.ndarray:
    return np.stack([prediction.probabilities for prediction in predictions])


@pytest.mark.parametrize("method", METHODS)
def test_predictions_are_those_of_an_evaluation(method: PresizeMethod, tiny_pets: Path, tmp_path: Path) -> None:
    side = 48 if method == "native" else SIDE  # some photos are larger, some smaller
    trained = save_checkpoint(tmp_path / "last.ckpt", presize=Presize(side, method))
    data = ImageDataModule(
        ImageFolder(tiny_pets), RegexLabeller(), SplitRule(), BatchTransform(size=SIZE), presize=Presize(side, method),
        batch_size=4, num_workers=0,
    )  # fmt: skip
    loader = data.loader("valid")
    evaluated = infer(trained, loader, data.batch_transform.evaluate, data.table.files, BREEDS)
    predictions = Predictor.load(tmp_path / "last.ckpt", batch_size=4)([tiny_pets / file for file in evaluated.files])
    assert np.array_equal(probabilities(predictions), evaluated.probabilities)
    assert [prediction.label for prediction in predictions] == [BREEDS[i] for i in evaluated.predicted]


def test_a_prediction_says_what_and_how_sure(predictor: Predictor, photos: list[Path]) -> None:
    prediction = predictor(photos[0])
    assert predictor.classes == BREEDS
    assert prediction.label == BREEDS[prediction.probabilities.argmax()] == prediction.top[0][0]
    assert prediction.probability == prediction.probabilities.max() == prediction.top[0][1]
    assert sorted(label for label, _ in prediction.top) == sorted(BREEDS)
    assert [p for _, p in prediction.top] == sorted(prediction.probabilities.tolist(), reverse=True)
    assert prediction.probabilities.dtype == np.float32
    assert prediction.accepted
    assert str(prediction).startswith(f"{prediction.label} {prediction.probability:.3f}, ")


def test_a_list_gives_a_list_in_its_order(predictor: Predictor, photos: list[Path]) -> None:
    together = predictor([photos[0], photos[1].read_bytes(), str(photos[2]), *photos[3:]])
    alone = [predictor(photo) for photo in photos]
    assert np.allclose(probabilities(together), probabilities(alone), atol=1e-6)
    assert predictor([]) == []
    assert len(predictor(photos[:1])) == 1
    assert len(predictor(tuple(photos[:2]))) == 2


def test_an_image_that_cannot_be_read_is_named(predictor: Predictor, photos: list[Path], tmp_path: Path) -> None:
    broken = tmp_path / "broken.jpg"
    broken.write_bytes(photos[0].read_bytes()[:200])
    for images in (broken, [photos[0], broken]):
        with pytest.raises(ValueError, match=r"broken.jpg: cannot be decoded"):
            predictor(images)
    with pytest.raises(ValueError, match="<bytes>: cannot be decoded") as caught:
        predictor([photos[0], broken.read_bytes()])
    assert caught.value.__notes__ == ["This was image 1 of 2."]
    with pytest.raises(FileNotFoundError, match="no such file"):
        predictor(tmp_path / "nowhere.jpg")
    with pytest.raises(TypeError, match="an image must be"):
        predictor({"file": photos[0]})  # type: ignore[call-overload]


def test_a_stream_puts_errors_in_their_places(predictor: Predictor, photos: list[Path], tmp_path: Path) -> None:
    missing = tmp_path / "no.jpg"
    mixed = [photos[0], missing, missing, photos[1], tmp_path, photos[2], missing]
    results = list(predictor.stream(mixed))
    assert [type(r) for r in results] == [
        Prediction, FileNotFoundError, FileNotFoundError, Prediction, UserError, Prediction, FileNotFoundError,
    ]  # fmt: skip
    good = [result for result in results if isinstance(result, Prediction)]
    assert np.allclose(probabilities(good), probabilities(predictor(photos[:3])), atol=1e-6)
    assert [type(r) for r in predictor.stream([tmp_path, tmp_path])] == [UserError, UserError]


def test_a_stream_reads_only_a_little_ahead(predictor: Predictor, photos: list[Path]) -> None:
    asked = 0

    def endless() -> Iterator[Path]:
        nonlocal asked
        while True:
            asked += 1
            yield photos[asked % len(photos)]

    stream = predictor.stream(endless())
    for _ in range(7):
        next(stream)
    assert asked <= 7 + 3 * predictor.batch_size
    stream.close()


def test_a_failure_of_the_source_is_not_taken_for_an_image(predictor: Predictor) -> None:
    def source() -> Iterator[Path]:
        raise RuntimeError("the list ends here")
        yield Path()

    with pytest.raises(RuntimeError, match="the list ends here"):
        list(predictor.stream(source()))


def test_of_equal_probabilities_the_first_class_wins(exported: Path, photos: list[Path]) -> None:
    predictor = Predictor.load(exported)
    for parameter in predictor.network.head.parameters():
        torch.nn.init.zeros_(parameter)
    assert [label for label, _ in predictor(photos[0]).top] == list(BREEDS)


def test_top_k(exported: Path, photos: list[Path]) -> None:
    assert len(Predictor.load(exported, top_k=2)(photos[0]).top) == 2
    assert len(Predictor.load(exported, top_k=50)(photos[0]).top) == len(BREEDS)


def test_below_the_threshold_it_is_none_of_the_classes(tmp_path: Path, photos: list[Path]) -> None:
    save_checkpoint(tmp_path / "last.ckpt", loss=OneVsRest())
    artifact = read_artifact(tmp_path / "last.ckpt")
    highest = Predictor(artifact)(photos[0]).probability
    for threshold, accepted in ((highest, True), (highest + 1e-4, False)):
        metadata = dataclasses.replace(artifact.metadata, threshold=threshold)
        prediction = Predictor(artifact._replace(metadata=metadata))(photos[0])
        assert prediction.accepted is accepted
        assert str(prediction).startswith("none of the classes (") is not accepted


def test_spoiled_weights_are_not_believed(exported: Path, photos: list[Path]) -> None:
    predictor = Predictor.load(exported)
    output = predictor.network.head[-1]
    assert isinstance(output, torch.nn.Linear)
    output.weight.data.fill_(float("nan"))
    with pytest.raises(ValueError, match="outputs are not finite"):
        predictor(photos[0])


@pytest.mark.parametrize(
    "options", [{"top_k": 0}, {"batch_size": 0}, {"device": "abacus"}, {"device": "cuda:99"}], ids=str
)
def test_a_wrong_option_is_named(options: dict[str, Any], exported: Path) -> None:
    with pytest.raises(ValueError, match=rf"^predict\.{next(iter(options))}="):
        Predictor.load(exported, **options)


ALONE = """
import sys
blocked = "hydra omegaconf lightning pytorch_lightning lightning_fabric timm torchmetrics matplotlib tensorboard"
sys.modules.update(dict.fromkeys([*blocked.split(), "onnx", "onnxruntime", "tqdm", "yaml", "filelock"]))
from pets import Predictor
predictor = Predictor.load(sys.argv[1])
print(predictor(sys.argv[2]).probabilities.tolist())
"""


@pytest.mark.parametrize("form", ["run", "exported"])
def test_needs_torch_torchvision_safetensors_numpy_pillow_and_pydantic_only(
    form: str, run_dir: Path, exported: Path, photos: list[Path], predictor: Predictor
) -> None:
    path = run_dir if form == "run" else exported
    done = subprocess.run(
        [sys.executable, "-c", ALONE, str(path), str(photos[0])], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert eval(done.stdout) == pytest.approx(predictor(photos[0]).probabilities.tolist(), abs=1e-6)
