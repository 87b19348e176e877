from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import nn

from pets.model.backbone import Backbone
from pets.model.layer_groups import format_group_table, group_table, layer_groups, norm_layers, param_groups
from pets.model.network import Network

NAMES = ["early/decay", "early/no_decay", "late/decay", "late/no_decay", "head/decay", "head/no_decay"]


@pytest.fixture(scope="module", params=["concat_pool", "linear"])
def network(request: pytest.FixtureRequest) -> Network:
    return Network("resnet18", classes=["a", "b"], weights=None, frozen_bn="train", head={"kind": request.param})


def body_of(groups: dict[str, str]) -> Backbone:
    """A backbone of two convolutions and two norms of equal values."""
    body = nn.Sequential(nn.Conv2d(3, 4, 1), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))
    return Backbone(
        body, arch="tiny", library="torchvision", n_features=4, mean=(0, 0, 0), std=(1, 1, 1), groups=groups
    )


def test_every_parameter_is_in_exactly_one_group(network: Network) -> None:
    groups = layer_groups(network)
    assert list(groups) == NAMES
    grouped = [id(parameter) for members in groups.values() for parameter in members]
    assert sorted(grouped) == sorted(map(id, network.parameters()))
    assert len(set(grouped)) == len(grouped)


def test_membership_goes_by_identity_not_by_value() -> None:
    places = {f"{layer}.{kind}": "early" if layer < 2 else "late" for layer in range(4) for kind in ("weight", "bias")}
    backbone = body_of(places)
    body: Any = backbone.body
    assert torch.equal(body[1].weight, body[3].weight)
    network = SimpleNamespace(backbone=backbone, head=nn.Linear(4, 2), named_parameters=backbone.named_parameters)
    groups = layer_groups(network)
    assert [id(p) for p in groups["early/no_decay"]] == [
        id(body[0].bias), id(body[1].weight), id(body[1].bias)
    ]  # fmt: skip
    assert [id(p) for p in groups["late/decay"]] == [id(body[2].weight)]
    assert sum(map(len, groups.values())) == 8 + 2


def test_only_norms_and_biases_are_not_decayed(network: Network) -> None:
    norms = {id(p) for module in network.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)
             for p in module.parameters()}  # fmt: skip
    biases = {id(p) for name, p in network.named_parameters() if name.endswith("bias")}
    groups = param_groups(network)
    free = {id(p) for group in groups if group["name"].endswith("no_decay") for p in group["params"]}
    assert free == norms | biases
    optimizer = torch.optim.AdamW(groups, lr=1e-3, weight_decay=0.01)
    decays = {group["name"]: group["weight_decay"] for group in optimizer.param_groups}
    assert decays == {name: 0.0 if "no_decay" in name else 0.01 for name in NAMES}


def test_an_empty_layer_is_an_error_and_an_empty_part_is_left_out() -> None:
    every = {f"{layer}.{kind}": "early" for layer in range(4) for kind in ("weight", "bias")}
    network = SimpleNamespace(backbone=body_of(every), head=nn.Linear(4, 2))
    with pytest.raises(ValueError, match="layer group 'late' of tiny has no parameters"):
        layer_groups(network)
    halves = every | {"3.weight": "late", "3.bias": "late"}
    network = SimpleNamespace(backbone=body_of(halves), head=nn.Identity())
    with pytest.raises(ValueError, match="layer group 'head' of tiny"):
        layer_groups(network)
    network = SimpleNamespace(backbone=body_of(halves), head=nn.Linear(4, 2, bias=False), named_parameters=dict)
    network.named_parameters = lambda: []
    assert list(layer_groups(network)) == ["early/decay", "early/no_decay", "late/no_decay", "head/decay"]


def test_a_parameter_outside_backbone_and_head_is_an_error() -> None:
    network = Network("resnet18", classes=["a", "b"], weights=None)
    network.extra = nn.Parameter(torch.zeros(1))
    with pytest.raises(ValueError, match="parameter 'extra' belongs to no layer group"):
        layer_groups(network)


def test_norm_layers_of_a_layer(network: Network) -> None:
    early, late = (list(norm_layers(network.backbone, [layer])) for layer in ("early", "late"))
    assert (len(early), len(late)) == (1 + 4 + 5, 5 + 5)
    assert len(list(norm_layers(network.backbone))) == 20


def test_the_table_counts_what_learns(network: Network) -> None:
    optimizer = torch.optim.SGD(param_groups(network), lr=0.5)
    network.freeze_to("head")
    rows = group_table(optimizer.param_groups)
    network.unfreeze()
    assert [row.group for row in rows] == ["early", "late", "head"]
    assert sum(row.parameters for row in rows) == sum(p.numel() for p in network.parameters())
    assert {row.group: row.trainable for row in rows}["head"] == sum(p.numel() for p in network.head.parameters())
    assert 0 < rows[0].trainable < rows[0].parameters, "the norms of a frozen layer learn, its convolutions do not"
    assert {row.lr for row in rows} == {0.5}
    lines = format_group_table(rows).splitlines()
    assert lines[0].split() == ["group", "parameters", "trainable", "start", "lr"]
    assert lines[1].split() == ["early", f"{rows[0].parameters:,}", f"{rows[0].trainable:,}", "5.00e-01"]
    assert lines[-1].split()[0] == "total"
    assert group_table(param_groups(network))[0].lr is None


@pytest.mark.parametrize(
    ("count", "first", "last"), [(4, "stem,layer1", "layer4"), (6, "stem", "layer4"), (18, "", "")]
)
def test_a_body_is_divided_evenly_by_depth(count: int, first: str, last: str) -> None:
    network = Network("resnet34", classes=["a", "b"], weights=None, groups=count)
    names = network.backbone.group_names
    assert len(names) == count
    assert list(dict.fromkeys(name.split("/")[0] for name in layer_groups(network))) == list(names)
    where: dict[str, list[str]] = {name: [] for name in names[:-1]}
    for name, _ in network.backbone.named_parameters():
        layer = name.split(".")[1]
        where[network.backbone.group_of(name)].append(layer if layer.startswith("layer") else "stem")
    if first:
        assert ",".join(dict.fromkeys(where["body1"])) == first
        assert ",".join(dict.fromkeys(where[names[-2]])) == last
    network.freeze_to("head")
    assert network.frozen_groups == names[:-1]


def test_more_groups_than_layers_is_an_error() -> None:
    with pytest.raises(ValueError, match=r"^model\.groups=11 is not allowed: from 3 to 10 for resnet18$"):
        Network("resnet18", classes=["a", "b"], weights=None, groups=11)
