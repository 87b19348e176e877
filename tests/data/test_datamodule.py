"""The data module: what it reads, how it shares it out, and which transform each stage gets."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch

from pets.augment.batch import BatchTransform
from pets.data.batch import Batch
from pets.data.datamodule import ImageDataModule
from pets.data.images import open_image
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.rng import Stream
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule


def datamodule(root: Path, **options: Any) -> ImageDataModule:
    defaults = {"batch_size": 4, "num_workers": 0, "seed": 0, "presize": Presize(16)}
    return ImageDataModule(
        ImageFolder(root),
        RegexLabeller(),
        options.pop("split", SplitRule(valid_pct=0.3)),
        options.pop("batch_transform", BatchTransform(size=8)),
        **{**defaults, **options},
    )


@pytest.fixture
def pets_copy(tiny_pets: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(tiny_pets, tmp_path / "pets"))


def assert_same(batches: list[Batch], others: list[Batch]) -> None:
    assert len(batches) == len(others)
    for batch, other in zip(batches, others, strict=True):
        for field, other_field in zip(batch, other, strict=True):
            assert torch.equal(field, other_field)


def epochs(data: ImageDataModule, n: int = 2) -> Iterator[list[Batch]]:
    loader = data.train_dataloader()
    for epoch in range(n):
        loader.sampler.set_epoch(epoch)
        yield list(loader)


def test_works_without_a_trainer(tiny_pets: Path) -> None:
    data = datamodule(tiny_pets)
    data.prepare_data()
    data.setup()
    items = data.table
    data.setup("fit")
    assert data.table is items
    assert list(data.vocab) == ["Birman", "great_pyrenees", "pug"]
    assert [len(part) for part in data.splits] == [17, 7, 0]
    assert data.summary() == f"24 images of 3 classes in {tiny_pets}: 17 train, 7 valid"
    batch = next(iter(data.val_dataloader()))
    assert type(batch) is Batch
    assert batch.images.shape == (4, 3, 16, 16)
    for index, image, target in zip(batch.indices, batch.images, batch.targets, strict=True):
        assert torch.equal(image, Presize(16)(open_image(items.path(int(index))))[0])
        assert items.files[index].startswith(data.vocab[target] + "_")


def test_any_number_of_workers_gives_the_same_batches_in_every_epoch(tiny_pets: Path) -> None:
    alone = list(epochs(datamodule(tiny_pets)))
    for num_workers in (1, 2):
        for mine, others in zip(alone, epochs(datamodule(tiny_pets, num_workers=num_workers)), strict=True):
            assert_same(mine, others)


def test_epochs_and_seeds_differ(tiny_pets: Path) -> None:
    seen = [
        (batch.indices.tolist(), batch.uniforms.tolist())
        for seed in (0, 1)
        for batch, *_ in epochs(datamodule(tiny_pets, seed=seed))
    ]
    for field in range(2):
        values = [one[field] for one in seen]
        assert all(values.count(value) == 1 for value in values)


def test_training_drops_an_incomplete_batch_unless_it_is_the_only_one(tiny_pets: Path) -> None:
    assert [len(batch.targets) for batch in datamodule(tiny_pets).train_dataloader()] == [4] * 4
    assert [len(batch.targets) for batch in datamodule(tiny_pets, batch_size=32).train_dataloader()] == [17]
    assert [len(batch.targets) for batch in datamodule(tiny_pets).val_dataloader()] == [4, 3]


def test_validates_in_order(tiny_pets: Path) -> None:
    data = datamodule(tiny_pets)
    indices = torch.cat([batch.indices for batch in data.val_dataloader()])
    assert indices.tolist() == data.splits.valid.tolist()


def test_a_loader_for_augmented_looks_at_any_part(tiny_pets: Path) -> None:
    data = datamodule(tiny_pets)
    looks = []
    for epoch in range(2):
        loader = data.loader("valid", training=True, stream=Stream.TTA, epoch=epoch)
        loader.sampler.set_epoch(5)  # as Lightning does: the look stays the one asked for
        looks.append(list(loader))
    assert [batch.indices.tolist() for batch in looks[0]] == [batch.indices.tolist() for batch in looks[1]]
    assert not torch.equal(looks[0][0].uniforms, looks[1][0].uniforms)
    assert_same(looks[0], list(data.loader("valid", training=True, stream=Stream.TTA)))


@pytest.mark.parametrize(
    ("part", "message"), [("test", r"'test' is empty; data\.split\.test_pct"), ("val", "must be one of train, valid")]
)
def test_a_part_that_is_not_there(tiny_pets: Path, part: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        datamodule(tiny_pets).loader(part)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"batch_size": 0}, r"^data\.batch_size=0 is not allowed: a whole number, at least 1$"),
        ({"num_workers": -1}, r"^data\.num_workers=-1 is not allowed: a whole number from 0 to 256, or null$"),
        ({"seed": -1}, r"^data\.seed=-1 is not allowed: a whole number, at least 0$"),
        ({"on_error": "ignore"}, r"^data\.on_error='ignore' is not allowed: raise, skip$"),
    ],
)
def test_wrong_options(options: dict[str, Any], message: str, tiny_pets: Path) -> None:
    with pytest.raises(ValueError, match=message):
        datamodule(tiny_pets, **options)


def test_an_explicit_list_of_classes_keeps_its_order(tiny_pets: Path) -> None:
    data = datamodule(tiny_pets, classes=["pug", "great_pyrenees", "Birman"])
    assert list(data.vocab) == ["pug", "great_pyrenees", "Birman"]
    assert data.table.targets.tolist() == [2] * 8 + [1] * 8 + [0] * 8
    with pytest.raises(ValueError, match="'Birman'"):
        datamodule(tiny_pets, classes=["pug", "great_pyrenees"]).setup()


def test_raise_names_the_image_when_it_is_met(pets_copy: Path) -> None:
    (pets_copy / "pug_1.jpg").write_bytes(b"broken")
    data = datamodule(pets_copy)
    data.setup()
    with pytest.raises(ValueError, match=r"^\S+/pug_1\.jpg: not an image"):
        [list(data.loader(part)) for part in ("train", "valid")]


def test_a_checkpoint_carries_how_images_are_treated(tiny_pets: Path) -> None:
    state = datamodule(tiny_pets).state_dict()
    assert json.loads(json.dumps(state)) == state
    assert state == {
        "classes": ["Birman", "great_pyrenees", "pug"],
        "presize": {"size": 16, "method": "crop", "interpolation": "bicubic"},
        "size": 8,
        "interpolation": "bilinear, antialiased",
    }


def test_a_run_is_not_resumed_on_other_data(tiny_pets: Path) -> None:
    data = datamodule(tiny_pets)
    data.load_state_dict(data.state_dict())
    with pytest.raises(ValueError, match=r"trained with classes=\['a', 'b'\], this run has \['Birman'"):
        data.load_state_dict(data.state_dict() | {"classes": ["a", "b"]})


def fake_trainer(rank: int, world_size: int, use_distributed_sampler: bool = False) -> Any:
    return SimpleNamespace(
        global_rank=rank,
        world_size=world_size,
        num_devices=world_size,
        is_global_zero=rank == 0,
        training=False,
        _accelerator_connector=SimpleNamespace(use_distributed_sampler=use_distributed_sampler),
    )


def test_two_processes_share_the_data(tiny_pets: Path) -> None:
    train, valid = [], []
    for rank in range(2):
        data = datamodule(tiny_pets)
        data.trainer = fake_trainer(rank, 2)
        train.append([batch.indices for batch in data.train_dataloader()])
        valid += [batch.indices[~batch.padding] for batch in data.val_dataloader()]
    assert [len(batches) for batches in train] == [2, 2]
    assert len(torch.cat(train[0] + train[1]).unique()) == 16
    assert sorted(torch.cat(valid).tolist()) == data.splits.valid.tolist()
    assert len(data.splits.valid) == 7


def test_shares_are_not_divided_again_by_the_trainer(tiny_pets: Path) -> None:
    data = datamodule(tiny_pets)
    data.trainer = fake_trainer(0, 2, use_distributed_sampler=True)
    with pytest.raises(ValueError, match=r"trainer\.use_distributed_sampler=true must be false"):
        data.val_dataloader()


@pytest.mark.parametrize(("cores", "processes", "workers"), [(64, 1, 8), (4, 1, 4), (4, 2, 2), (2, 4, 1)])
def test_workers_default_to_the_cores_of_the_process(
    cores: int, processes: int, workers: int, tiny_pets: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda pid: set(range(cores)))
    monkeypatch.setattr("torch.utils.data.dataloader.DataLoader.check_worker_number_rationality", lambda self: None)
    data = datamodule(tiny_pets, num_workers=None)
    data.trainer = fake_trainer(0, processes)
    loader = data.val_dataloader()
    assert loader.num_workers == workers
    assert loader.persistent_workers
