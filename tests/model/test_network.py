import subprocess
import sys
from dataclasses import asdict
from typing import Any

import pytest
import torch
from torch import nn

from pets.model.layer_groups import layer_groups, norm_layers
from pets.model.losses import OneVsRest
from pets.model.network import Network
from pets.settings.model import Head

CLASSES = ["Birman", "pug", "beagle"]


def small(**options: Any) -> Network:
    torch.manual_seed(0)
    return Network("resnet18", **({"classes": CLASSES, "weights": None, "head": {"hidden": 8}} | options))


def trainable_layers(network: Network) -> set[str]:
    return {name for name, members in layer_groups(network).items() if any(p.requires_grad for p in members)}


def norm_parameters(network: Network) -> list[nn.Parameter]:
    return [p for norm in norm_layers(network.backbone) for p in norm.parameters()]


def test_norms_keep_their_statistics_when_everything_learns_with_always() -> None:
    network = small(frozen_bn="always")
    network.weights = "pretrained.pt"
    network.train().unfreeze()
    before = {name: buffer.clone() for name, buffer in network.backbone.named_buffers()}
    network(torch.rand(4, 3, 32, 32)).sum().backward()
    assert all(torch.equal(buffer, before[name]) for name, buffer in network.backbone.named_buffers())
    assert all(parameter.grad is not None for parameter in network.backbone.parameters())


def test_norms_of_random_weights_have_nothing_to_keep_and_learn_once_unfrozen() -> None:
    network = small(frozen_bn="always")
    network.freeze_to("head")
    assert not any(norm.training for norm in norm_layers(network.backbone))
    network.train().unfreeze()
    assert all(norm.training for norm in norm_layers(network.backbone))


def test_convolutions_see_channels_last_and_the_values_stay() -> None:
    network = small().eval()
    images = torch.rand(2, 3, 48, 48)
    convolution = network.backbone.body.conv1
    assert isinstance(convolution, nn.Conv2d)
    assert convolution.weight.is_contiguous(memory_format=torch.channels_last)
    seen = []
    convolution.register_forward_hook(lambda _, inputs, output: seen.append((inputs[0], output)))
    with torch.no_grad():
        network(images)
    given, made = seen[0]
    assert given.is_contiguous(memory_format=torch.channels_last)
    expected = nn.functional.conv2d(given.contiguous(), convolution.weight.contiguous(), stride=2, padding=3)
    torch.testing.assert_close(made, expected)


def test_forward_is_normalise_body_head_once() -> None:
    network = small().eval()
    images = torch.rand(2, 3, 48, 48)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    normalised = (images - mean[:, None, None]) / std[:, None, None]
    with torch.no_grad():
        normalised = normalised.contiguous(memory_format=torch.channels_last)
        assert torch.equal(network(images), network.head(network.backbone(normalised)))
        assert torch.equal(network.head(network.feature_map(images)), network(images))
    assert {"mean", "std"} <= network.state_dict().keys()


def test_raw_images_are_an_error_that_says_why() -> None:
    with pytest.raises(ValueError, match=r"raw torch.uint8 images: .* the datamodule's batch transform"):
        small()(torch.zeros(1, 3, 32, 32, dtype=torch.uint8))


@pytest.mark.parametrize(
    ("group", "frozen"),
    [
        ("head", ("early", "late")),
        (-1, ("early", "late")),
        ("late", ("early",)),
        (1, ("early",)),
        ("early", ()),
        (0, ()),
    ],
)
def test_freeze_map_with_frozen_norms_that_learn(group: str | int, frozen: tuple[str, ...]) -> None:
    network = small(frozen_bn="train")
    for _ in range(2):
        network.freeze_to(group)
        assert network.frozen_groups == frozen
        assert trainable_layers(network) == set(layer_groups(network)) - {f"{layer}/decay" for layer in frozen}
        assert all(p.requires_grad for p in norm_parameters(network))
        assert all(module.training for module in network.modules())
    assert all(p.requires_grad for p in network.unfreeze().parameters())
    assert network.frozen_groups == ()


def test_freeze_map_with_frozen_norms_in_eval_mode() -> None:
    network = small(frozen_bn="eval")
    network.freeze_to("late")
    assert trainable_layers(network) == {"late/decay", "late/no_decay", "head/decay", "head/no_decay"}
    for mode in (True, False, True):
        network.train(mode)
        assert [norm.training for norm in norm_layers(network.backbone, ["early"])] == [False] * 10
        assert {norm.training for norm in norm_layers(network.backbone, ["late"])} == {mode}
        assert network.head.training is mode
    network.unfreeze()
    assert all(module.training for module in network.modules())


def test_freezing_drops_gradients_so_that_no_optimizer_moves_the_frozen() -> None:
    network = small(frozen_bn="eval")
    optimizer = torch.optim.AdamW(network.parameters(), lr=0.1, weight_decay=0.1)
    network(torch.rand(2, 3, 32, 32)).sum().backward()
    network.freeze_to("head")
    before = {name: value.clone() for name, value in network.backbone.state_dict().items()}
    optimizer.step()
    assert all(torch.equal(value, before[name]) for name, value in network.backbone.state_dict().items())
    assert all(p.grad is None for p in network.backbone.parameters())


def test_a_frozen_body_in_eval_mode_keeps_no_graph() -> None:
    network = small(frozen_bn="eval")
    network.freeze_to("head")
    assert not network.feature_map(torch.rand(2, 3, 32, 32)).requires_grad
    assert network(torch.rand(2, 3, 32, 32)).requires_grad


@pytest.mark.parametrize("group", ["body", 3, -4, None])
def test_an_unknown_group_is_an_error(group: Any) -> None:
    with pytest.raises(ValueError, match=r"freeze_to\(.*must be one of early, late, head"):
        small().freeze_to(group)


def test_a_network_is_rebuilt_from_its_spec_and_state_dict() -> None:
    network = small(head={"kind": "linear", "dropout": 0.1}, loss=OneVsRest(), frozen_bn="eval").eval()
    network.mean += 0.1
    spec = network.spec()
    assert spec["weights"] is None
    assert spec["head"] == asdict(Head(kind="linear", dropout=0.1))
    rebuilt = Network.from_spec(spec)
    torch.testing.assert_close(rebuilt.mean, network.mean)
    rebuilt.load_state_dict(network.state_dict())
    images = torch.rand(2, 3, 48, 48)
    with torch.no_grad():
        assert torch.equal(rebuilt.eval()(images), network(images))
    assert rebuilt.spec() == spec
    assert rebuilt.classes == tuple(CLASSES)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"version": 2}, "version 2: this release reads version 1"),
        ({"arch": "os.system"}, r"model\.arch='os\.system'"),
        ({"arch": ["resnet18"]}, r"model\.arch="),
        ({"source": "hf-hub"}, r"model\.library='hf-hub'"),
        ({"head": {"_target_": "os.system"}}, r"^no key model\.head\._target_"),
        ({"head": {"hidden": "many"}}, r"model\.head\.hidden='many'"),
        ({"head": 3}, "model spec: "),
        ({"classes": ["a", "a"]}, "two or more different names"),
        ({"classes": "abc"}, "two or more different names"),
        ({"classes": [1, 2]}, "two or more different names"),
        ({"loss": {"kind": "x"}}, r"loss\.kind='x'"),
        ({"loss": None}, "model spec: "),
        ({"mean": [0.5]}, "model spec: "),
        ({"std": "abc"}, "model spec: "),
        ({"frozen_bn": "maybe"}, r"model\.frozen_bn='maybe'"),
    ],
)
def test_a_strangers_spec_is_only_read_as_plain_values(change: dict[str, Any], message: str) -> None:
    spec = {
        "version": 1, "arch": "resnet18", "source": "torchvision", "head": {"hidden": 8}, "classes": CLASSES,
        "mean": [0.5] * 3, "std": [0.5] * 3, "loss": {"kind": "cross_entropy"}, "frozen_bn": "train",
    }  # fmt: skip
    with pytest.raises(ValueError, match=message) as caught:
        Network.from_spec(spec | change)
    assert "\n" not in str(caught.value)
    with pytest.raises(ValueError, match="lacks arch"):
        Network.from_spec({"version": 1})


def test_the_network_needs_no_lightning() -> None:
    code = (
        "import sys, pets.model.network; assert not {'lightning', 'hydra', 'torchmetrics', 'timm'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
