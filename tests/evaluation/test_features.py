"""The feature store: what the last layer receives, computed once for all who ask, and found again for nobody else."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from pets.augment.batch import BatchTransform
from pets.data.batch import Batch
from pets.data.cache.folder import user_folder
from pets.data.datamodule import ImageDataModule
from pets.data.labels import RegexLabeller
from pets.data.presize import Presize
from pets.data.sources.folder import ImageFolder
from pets.data.splits import SplitRule
from pets.evaluation import features as module
from pets.evaluation.features import FeatureStore
from pets.model.network import Network
from pets.settings.data import Cache

KINDS: tuple[Cache, ...] = ("none", "ram", "disk")


@pytest.fixture(autouse=True)
def _caches(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr(module, "_in_memory", {})
    monkeypatch.setattr(module, "CHUNK", 5)


@pytest.fixture
def network() -> Network:
    torch.manual_seed(0)
    head = {"kind": "linear", "normalize": True}
    return Network("resnet18", classes=["Birman", "great_pyrenees", "pug"], weights=None, head=head)


@pytest.fixture
def data(tiny_pets: Path) -> Callable[..., ImageDataModule]:
    def make(features: Cache = "disk", **given: Any) -> ImageDataModule:
        options: dict[str, Any] = {"batch_transform": BatchTransform(size=32), "presize": Presize(40), **given}
        return ImageDataModule(
            ImageFolder(tiny_pets), RegexLabeller(r"^(.+)_\d+\."), SplitRule(valid_pct=0.3),
            num_workers=0, features=features, **options,
        )  # fmt: skip

    return make


@pytest.fixture
def computed(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The indices of the images that went through the body."""
    seen: list[int] = []
    forward = FeatureStore._forward

    def watched(self: FeatureStore, raw: Batch) -> Tensor:
        seen.extend(raw.indices.tolist())
        return forward(self, raw)

    monkeypatch.setattr(FeatureStore, "_forward", watched)
    return seen


@pytest.mark.parametrize("kind", KINDS)
def test_they_are_what_the_last_layer_receives(
    kind: Cache, network: Network, data: Callable[..., ImageDataModule]
) -> None:
    images = data(kind)
    images.batch_size = 100
    found = FeatureStore(network, images).features("train")
    received: list[Tensor] = []
    network.head[-1].register_forward_hook(lambda _, inputs, __: received.append(inputs[0]))
    batch = images.batch_transform.evaluate(next(iter(images.loader("train"))))
    with torch.no_grad():
        network.eval()(batch.images)
    order = batch.indices.argsort()
    torch.testing.assert_close(found.values, received[0][order], rtol=1e-4, atol=1e-5)
    assert torch.equal(found.targets, batch.targets[order])
    assert found.rows.tolist() == sorted(images.splits.train.tolist())


@pytest.mark.parametrize("kind", KINDS)
def test_a_second_store_computes_only_what_is_not_kept(
    kind: Cache, network: Network, data: Callable[..., ImageDataModule], computed: list[int],
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    caplog.set_level(logging.INFO, "pets")
    first = FeatureStore(network, data(kind)).features("train")
    assert sorted(computed) == first.rows.tolist()
    computed.clear()
    second = FeatureStore(network, data(kind)).features("train")
    assert torch.equal(first.values, second.values)
    assert sorted(computed) == (first.rows.tolist() if kind == "none" else [])
    says = [record.getMessage().partition(" computed in")[0] for record in caplog.records]
    assert says[0] == "features: 17 images, 0 MB, 17"
    assert says[1] == ("features: 17 images, 0 MB, " + ("17" if kind == "none" else "reused"))


def test_no_bit_depends_on_which_rows_were_missing(network: Network, data: Callable[..., ImageDataModule]) -> None:
    at_once = FeatureStore(network, data("none")).of(np.arange(24))
    for rows in ([20, 3, 7], [1], list(range(24))):
        assert torch.equal(FeatureStore(network, data()).of(np.array(rows)), at_once[rows])


def test_what_a_killed_run_had_computed_is_kept(
    network: Network, data: Callable[..., ImageDataModule], monkeypatch: pytest.MonkeyPatch, computed: list[int]
) -> None:
    forward, calls = FeatureStore._forward, iter(range(99))

    def killed(self: FeatureStore, raw: Batch) -> Tensor:
        if next(calls) == 2:
            raise KeyboardInterrupt
        return forward(self, raw)

    with monkeypatch.context() as patched:
        patched.setattr(FeatureStore, "_forward", killed)
        with pytest.raises(KeyboardInterrupt):
            FeatureStore(network, data()).of(np.arange(24))
    computed.clear()
    FeatureStore(network, data()).of(np.arange(24))
    assert computed == list(range(10, 24))


def test_nothing_is_found_that_something_else_decided(
    network: Network, data: Callable[..., ImageDataModule], computed: list[int]
) -> None:
    rows = np.arange(3)
    FeatureStore(network, data()).of(rows)
    other_mean = Network.from_spec(network.spec() | {"mean": [0.5, 0.5, 0.5]})
    other_mean.load_state_dict(network.state_dict() | {"mean": other_mean.mean})
    pooled = Network.from_spec(network.spec() | {"head": {"kind": "concat_pool"}})
    pooled.backbone.load_state_dict(network.backbone.state_dict())
    others = [
        FeatureStore(network, data(presize=Presize(41))),
        FeatureStore(network, data(presize=Presize(40, "pad"))),
        FeatureStore(network, data(batch_transform=BatchTransform(size=24))),
        FeatureStore(other_mean, data()),
        FeatureStore(pooled, data()),
    ]
    for store in others:
        computed.clear()
        store.of(rows)
        assert len(computed) == 3
    with torch.no_grad():
        next(network.backbone.parameters()).mul_(1.001)
    computed.clear()
    FeatureStore(network, data()).of(rows)
    assert len(computed) == 3


def test_the_head_and_the_augmentation_decide_nothing(
    network: Network, data: Callable[..., ImageDataModule], computed: list[int]
) -> None:
    FeatureStore(network, data()).of(np.arange(3))
    plain = Network.from_spec(network.spec() | {"head": {"kind": "linear"}, "classes": ["a", "b"]})
    plain.backbone.load_state_dict(network.backbone.state_dict())
    computed.clear()
    FeatureStore(plain, data(batch_transform=BatchTransform(size=32, p_flip=0.0), seed=5, batch_size=2)).of(
        np.arange(3)
    )
    assert computed == []


def test_a_transform_of_the_users_own_is_not_known_by_its_size(
    network: Network, data: Callable[..., ImageDataModule], computed: list[int]
) -> None:
    class Darker(BatchTransform):
        def evaluate(self, batch: Batch) -> Batch:
            plain = super().evaluate(batch)
            return plain._replace(images=plain.images / 2)

    FeatureStore(network, data()).of(np.arange(3))
    for _ in range(2):
        computed.clear()
        FeatureStore(network, data(batch_transform=Darker(size=32))).of(np.arange(3))
        assert computed == [0, 1, 2]


def test_a_folder_that_others_can_write_to_is_not_believed(
    network: Network, data: Callable[..., ImageDataModule]
) -> None:
    FeatureStore(network, data()).of(np.arange(3))
    user_folder("features", "data.features").chmod(0o777)
    with pytest.raises(ValueError, match=r"^data\.features=disk: .*pets/features cannot be used: .*XDG_CACHE_HOME"):
        FeatureStore(network, data()).of(np.arange(3))


def test_the_network_keeps_its_mode(network: Network, data: Callable[..., ImageDataModule]) -> None:
    network.train()
    modes = [part.training for part in network.modules()]
    FeatureStore(network, data("none")).of(np.arange(2))
    assert [part.training for part in network.modules()] == modes
