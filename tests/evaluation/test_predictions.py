import csv
import subprocess
import sys
import zipfile
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from pets.data.batch import N_UNIFORMS, Batch
from pets.evaluation.predictions import Predictions, evaluating, infer
from tests.evaluation.conftest import MakePredictions

FILES = np.array([f"{number}.jpg" for number in range(10)])


def batch(indices: list[int], padding: list[bool]) -> Batch:
    """Images whose pixels tell their index."""
    images = torch.stack([torch.full((3, 8, 8), 20 * index, dtype=torch.uint8) for index in indices])
    n = len(indices)
    return Batch(
        images, torch.tensor(indices) % 3, torch.tensor(indices), torch.full((n,), 8.0), torch.zeros(n, N_UNIFORMS),
        torch.tensor(padding),
    )  # fmt: skip


def to_float(b: Batch) -> Batch:
    return b._replace(images=b.images / 255)


def test_infer_keeps_item_order_and_drops_padding(classifier: Any) -> None:
    loader = [batch([5, 2, 9], [False, False, False]), batch([4, 2, 5], [False, True, True])]
    predictions = infer(classifier, loader, to_float, FILES, "abc")
    assert predictions.files.tolist() == ["2.jpg", "4.jpg", "5.jpg", "9.jpg"]
    assert predictions.targets.tolist() == [2, 1, 2, 0]
    images = torch.stack([torch.full((3, 8, 8), 20 * index / 255) for index in (2, 4, 5, 9)])
    with torch.no_grad(), evaluating(classifier):
        expected = classifier(images).softmax(dim=1).numpy()
    np.testing.assert_allclose(predictions.probabilities, expected, atol=1e-6)
    np.testing.assert_allclose(predictions.losses, -np.log(predictions.p_actual), atol=1e-6)
    assert [getattr(predictions, name).dtype for name in ("probabilities", "targets", "losses")] == [
        np.float32, np.int64, np.float32,
    ]  # fmt: skip


def test_infer_leaves_the_classifier_as_it_was(classifier: Any, capfd: pytest.CaptureFixture[str]) -> None:
    modes = [module.training for module in classifier.modules()]
    state = {name: value.clone() for name, value in classifier.state_dict().items()}
    infer(classifier, [batch([0, 1], [False, False])], to_float, FILES, "abc")
    assert [module.training for module in classifier.modules()] == modes
    assert True in modes[1:]
    assert False in modes[1:]
    assert all(torch.equal(value, state[name]) for name, value in classifier.state_dict().items())
    assert all(parameter.grad is None for parameter in classifier.parameters())
    assert capfd.readouterr() == ("", ""), "a progress bar belongs on a terminal only"


def test_mode_is_restored_after_an_error(classifier: Any) -> None:
    modes = [module.training for module in classifier.modules()]
    with pytest.raises(RuntimeError, match="channels"):
        infer(classifier, [batch([0], [False])], lambda b: b._replace(images=b.images[:, :1] / 255), FILES, "abc")
    assert [module.training for module in classifier.modules()] == modes


def test_infer_names_an_empty_part(classifier: Any) -> None:
    with pytest.raises(ValueError, match="no image"):
        infer(classifier, [batch([0], [True])], to_float, FILES, "abc")


def test_infer_refuses_other_classes(classifier: Any) -> None:
    with pytest.raises(
        ValueError, match=r"the data have the 3 classes c, b, a; the classifier was trained on .* a, b, c$"
    ):
        infer(classifier, [], to_float, FILES, "cba")


def test_save_and_load_are_exact(make_predictions: MakePredictions, tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    made = make_predictions(rng.dirichlet(np.ones(3), 7), rng.integers(0, 3, 7), ["Birman", "pug", "Große Dogge"])
    made.save(tmp_path)
    loaded = Predictions.load(tmp_path)
    for field in fields(Predictions):
        before, after = getattr(made, field.name), getattr(loaded, field.name)
        assert type(before) is type(after)
        np.testing.assert_array_equal(before, after)
    assert loaded.probabilities.dtype == np.float32
    with zipfile.ZipFile(tmp_path / "predictions.npz") as archive:
        headers = [archive.read(name)[:128] for name in archive.namelist()]
    assert len(headers) == 5
    assert not any(b"|O" in header for header in headers), "object arrays are pickles"


def test_csv_reads_well(make_predictions: MakePredictions, tmp_path: Path) -> None:
    made = make_predictions([[0.25, 0.75], [0.9, 0.1]], [0, 0], ["great_pyrenees", "pug"])
    replace(made, files=np.array(["pets/a, b.jpg", "c.jpg"])).save(tmp_path)
    with open(tmp_path / "predictions.csv", newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))
    assert rows == [
        ["file", "actual", "predicted", "p_actual", "p_predicted", "loss"],
        ["pets/a, b.jpg", "great_pyrenees", "pug", "0.2500", "0.7500", "1.3863"],
        ["c.jpg", "great_pyrenees", "great_pyrenees", "0.9000", "0.9000", "0.1054"],
    ]


def test_load_names_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match=r"predictions\.npz"):
        Predictions.load(tmp_path)


def test_inconsistent_predictions_are_refused(make_predictions: MakePredictions) -> None:
    made = make_predictions([[0.5, 0.5], [1.0, 0.0]], [0, 1])
    with pytest.raises(ValueError, match="3 classes"):
        replace(made, classes=("a", "b", "c"))
    with pytest.raises(ValueError, match="shapes"):
        replace(made, losses=made.losses[:1])
    with pytest.raises(ValueError, match="0 to 1, got 0 to 2"):
        replace(made, targets=np.array([0, 2]))


TWO_PROCESSES = """
import sys

import numpy as np
import torch
import torch.distributed as dist

from pets.data.batch import Batch
from pets.data.sampler import SeededSampler
from pets.evaluation.predictions import infer
from pets.model.losses import CrossEntropy

rank = int(sys.argv[1])
dist.init_process_group("gloo", init_method="file://" + sys.argv[2], rank=rank, world_size=2)
net = torch.nn.Linear(1, 2)
net.classes, net.loss = ("x", "y"), CrossEntropy()
loader = [
    Batch(torch.ones(1, 1), torch.tensor([0]), torch.tensor([request.place]), *torch.zeros(2, 1),
          torch.tensor([request.padding]))
    for request in SeededSampler(7, seed=0, shuffle=False, rank=rank, world_size=2)
]
print(infer(net, loader, lambda batch: batch, np.array(list("abcdefg")), net.classes).files.tolist())
dist.destroy_process_group()
"""


@pytest.mark.ddp
def test_two_processes_count_each_of_seven_images_once(tmp_path: Path) -> None:
    commands = [[sys.executable, "-c", TWO_PROCESSES, str(rank), str(tmp_path / "store")] for rank in (0, 1)]
    processes = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for command in commands]
    outputs = [process.communicate(timeout=120)[0].strip() for process in processes]
    assert outputs == [str(list("abcdefg"))] * 2


def test_properties(make_predictions: MakePredictions) -> None:
    made = make_predictions([[0.2, 0.8], [0.5, 0.5]], [0, 1])
    assert made.predicted.tolist() == [1, 0]
    assert made.correct.tolist() == [False, False]
    assert made.confidence.tolist() == pytest.approx([0.8, 0.5])
    assert made.p_actual.tolist() == pytest.approx([0.2, 0.5])
    assert len(made) == 2
