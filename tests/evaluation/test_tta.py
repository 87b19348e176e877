from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pets.augment.batch import BatchTransform
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule
from pets.evaluation.intervals import wilson
from pets.evaluation.predictions import infer
from pets.evaluation.tta import blend, compare, tta
from tests.evaluation.conftest import MakePredictions, TinyClassifier


def make_data(root: Path, **options: Any) -> ImageDataModule:
    return ImageDataModule(
        ImageFolder(root),
        RegexLabeller(),
        SplitRule(method="stratified", valid_pct=0.5),
        BatchTransform(size=16, mix="mixup"),
        presize=Presize(24),
        classes=["Birman", "great_pyrenees", "pug"],
        **{"batch_size": 5, "num_workers": 0, "seed": 1} | options,
    )


@pytest.fixture
def pets_classifier(classifier: TinyClassifier) -> TinyClassifier:
    classifier.classes = ("Birman", "great_pyrenees", "pug")
    return classifier


def test_blend_by_hand(make_predictions: MakePredictions) -> None:
    plain = make_predictions([[0.8, 0.2], [0.6, 0.4]], [0, 1])
    passes = [make_predictions([[0.4, 0.6], [0.1, 0.9]], [0, 1]), make_predictions([[0.6, 0.4], [0.3, 0.7]], [0, 1])]
    blended = blend(plain, passes, beta=0.25)
    np.testing.assert_allclose(blended.probabilities, [[0.575, 0.425], [0.3, 0.7]], rtol=1e-6)
    np.testing.assert_allclose(blended.losses, [-np.log(0.575), -np.log(0.7)], rtol=1e-6)
    assert blended.probabilities.dtype == blended.losses.dtype == np.float32
    np.testing.assert_array_equal(blend(plain, passes, beta=1.0).probabilities, plain.probabilities)
    np.testing.assert_allclose(blend(plain, passes, beta=0.0).probabilities, [[0.5, 0.5], [0.2, 0.8]], rtol=1e-6)


def test_blend_refuses_other_images(make_predictions: MakePredictions) -> None:
    plain = make_predictions([[0.8, 0.2]], [0])
    with pytest.raises(ValueError, match="same 1 images"):
        blend(plain, [replace(plain, files=np.array(["other.jpg"]))])
    with pytest.raises(ValueError, match=r"tta\.beta=1\.5"):
        blend(plain, [plain], beta=1.5)


def test_compare_counts_what_changed(make_predictions: MakePredictions) -> None:
    plain = make_predictions([[0.9, 0.1, 0], [0.9, 0.1, 0], [0.9, 0.1, 0], [0.9, 0.1, 0]], [0, 1, 0, 2])
    blended = make_predictions([[0.9, 0.1, 0], [0.1, 0.9, 0], [0.1, 0.9, 0], [0.1, 0.9, 0]], [0, 1, 0, 2])
    assert compare(plain, blended) == {
        "n": 4,
        "error_rate": {"plain": wilson(2, 4)._asdict(), "tta": wilson(2, 4)._asdict()},
        "changed": 3,
        "corrected": 1,
        "spoiled": 1,
    }


def test_tta_depends_on_the_seed_alone(tiny_pets: Path, pets_classifier: Any) -> None:
    def run(**options: Any) -> tuple[np.ndarray, np.ndarray]:
        data = make_data(tiny_pets, **options)
        transform = data.batch_transform.evaluate
        plain = infer(pets_classifier, data.loader("valid"), transform, data.table.files, data.vocab.classes)
        return plain.probabilities, tta(pets_classifier, data, "valid", plain, n=2).probabilities

    plain, blended = run()
    torch.rand(7)
    for options in ({"batch_size": 3}, {"num_workers": 2}):
        np.testing.assert_allclose(run(**options)[1], blended, atol=1e-6)
    assert abs(blended - plain).max() > 1e-4
    assert abs(run(seed=2)[1] - blended).max() > 1e-4


def test_each_pass_draws_anew_and_none_repeats_training(tiny_pets: Path, pets_classifier: Any) -> None:
    data = make_data(tiny_pets)
    files, classes = data.table.files, data.vocab.classes
    plain = infer(pets_classifier, data.loader("valid"), data.batch_transform.evaluate, files, classes)
    one, two = (tta(pets_classifier, data, "valid", plain, n=n, beta=0.0).probabilities for n in (1, 2))
    second = 2 * two - one
    assert abs(second - one).max() > 1e-4
    augment = replace(data.batch_transform, mix="none").train
    training = infer(pets_classifier, data.loader("valid", training=True), augment, files, classes)
    assert abs(training.probabilities - one).max() > 1e-4


def test_tta_needs_a_pass(tiny_pets: Path, pets_classifier: Any, make_predictions: MakePredictions) -> None:
    with pytest.raises(ValueError, match=r"tta\.n=0"):
        tta(pets_classifier, make_data(tiny_pets), "valid", make_predictions([[1.0, 0.0]], [0]), n=0)
