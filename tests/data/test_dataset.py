"""The dataset: a sample is a function of its position, and nothing else."""

import gc
import pickle
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from pets.data.batch import N_UNIFORMS, Batch, Request
from pets.data.dataset import ImageDataset, Sample, collate
from pets.data.image_table import ImageTable, SampleError
from pets.data.images import open_image
from pets.data.labels import Vocab
from pets.data.presize import Presize
from pets.data.rng import Stream, random_uniforms
from pets.data.sampler import SeededSampler


@pytest.fixture
def items(tiny_pets: Path) -> ImageTable:
    files = sorted(path.name for path in tiny_pets.iterdir())
    labels = [file.rsplit("_", 1)[0] for file in files]
    vocab = Vocab.from_labels(labels)
    return ImageTable(tiny_pets, np.array(files), vocab.encode(labels), vocab)


def dataset(items: ImageTable, **options: Any) -> ImageDataset:
    return ImageDataset(items, np.array([1, 3, 5, 20, 22]), Presize(16), **options)


def test_a_training_sample_is_a_function_of_its_position(items: ImageTable) -> None:
    sample = dataset(items, seed=7, training=True)[Request(2, 3)]
    draws = random_uniforms(7, Stream.AUGMENT, 2, 20, n=N_UNIFORMS)
    canvas, side = Presize(16)(open_image(items.path(20)), float(draws[0]))
    assert torch.equal(sample.image, canvas)
    assert sample.uniforms.numpy().tobytes() == draws.tobytes()
    assert (sample.target, sample.row, sample.side.item(), sample.padding) == (items.targets[20], 20, side, False)


def test_the_random_numbers_of_an_image_do_not_depend_on_the_part(items: ImageTable) -> None:
    other = ImageDataset(items, np.array([20]), Presize(16), training=True)
    assert torch.equal(other[Request(1, 0)].uniforms, dataset(items, training=True)[Request(1, 3)].uniforms)


@pytest.mark.parametrize(
    "change", [{"seed": 1}, {"stream": Stream.TTA}, {"request": Request(1, 0)}, {"request": Request(0, 1)}], ids=str
)
def test_random_numbers_differ_by_seed_stream_epoch_and_item(items: ImageTable, change: dict[str, Any]) -> None:
    request = change.pop("request", Request(0, 0))
    before = dataset(items, seed=0, training=True)[Request(0, 0)]
    after = dataset(items, **{"seed": 0, "training": True, **change})[request]
    assert not torch.equal(before.uniforms, after.uniforms)


def test_numbers_for_steps_come_after_the_others_which_stay(items: ImageTable) -> None:
    request = Request(2, 3)
    few, many = (dataset(items, seed=7, training=True, n_uniforms=n)[request].uniforms for n in (N_UNIFORMS, 31))
    assert len(many) == 31
    assert torch.equal(many[:N_UNIFORMS], few)
    assert len(dataset(items, n_uniforms=31)[request].uniforms) == 31


def test_an_evaluation_sample_is_centred_and_draws_nothing(items: ImageTable) -> None:
    evaluation = dataset(items)
    sample = evaluation[Request(0, 1)]
    assert torch.equal(sample.image, Presize(16)(open_image(items.path(3)))[0])
    assert not sample.uniforms.any()
    assert torch.equal(evaluation[Request(5, 1)].image, sample.image)


def test_an_int_is_a_request_of_epoch_0(items: ImageTable) -> None:
    training = dataset(items, training=True)
    assert torch.equal(training[2].uniforms, training[Request(0, 2)].uniforms)


def test_collate_stacks_to_a_batch(items: ImageTable) -> None:
    samples = [dataset(items, training=True)[Request(0, i, padding=i == 2)] for i in range(3)]
    assert isinstance(samples[0], Sample)
    batch = collate(samples)
    assert type(batch) is Batch
    assert [(tuple(field.shape), field.dtype) for field in batch] == [
        ((3, 3, 16, 16), torch.uint8),
        ((3,), torch.int64),
        ((3,), torch.int64),
        ((3,), torch.float32),
        ((3, N_UNIFORMS), torch.float32),
        ((3,), torch.bool),
    ]
    assert batch.indices.tolist() == [1, 3, 5]
    assert batch.padding.tolist() == [False, False, True]


@pytest.mark.parametrize("num_workers", [0, 1])
@pytest.mark.parametrize("damage", ["cut", "gone"])
def test_an_image_that_cannot_be_loaded_is_named_and_not_replaced(
    tmp_path: Path, num_workers: int, damage: str, items: ImageTable
) -> None:
    data = items.path(0).read_bytes()
    (tmp_path / "pug_1.jpg").write_bytes(data)
    if damage == "cut":
        (tmp_path / "pug_2.jpg").write_bytes(data[:-40])
    broken = ImageTable(tmp_path, np.array(["pug_1.jpg", "pug_2.jpg"]), np.zeros(2, np.int64), Vocab(["pug"]))
    part = ImageDataset(broken, np.arange(2), Presize(16))
    loader = DataLoader(part, sampler=SeededSampler(2), num_workers=num_workers, collate_fn=collate)
    with pytest.raises(SampleError) as caught:
        list(loader)
    reason = "cannot be decoded: Image is incomplete or truncated" if damage == "cut" else "no such file"
    way_out = "data.on_error=skip leaves such images out, task=check lists them"
    assert str(caught.value) == f"{tmp_path / 'pug_2.jpg'}: {reason}; {way_out}"
    assert isinstance(caught.value, ValueError)


def test_the_dataset_holds_no_list_of_python_objects(tiny_pets: Path) -> None:
    n = 500
    many = ImageTable(tiny_pets, np.array([f"pug_{i}.jpg" for i in range(n)]), np.zeros(n, np.int64), Vocab(["pug"]))
    part = ImageDataset(many, np.arange(n), Presize(16))
    seen, todo = set(), [part]
    while todo:
        holder = todo.pop()
        if id(holder) in seen or isinstance(holder, type) or callable(holder):
            continue
        seen.add(id(holder))
        if isinstance(holder, (list, tuple, dict, set)):
            assert len(holder) < 20
        todo += gc.get_referents(holder)
    assert len(pickle.dumps(part)) < n * 100
