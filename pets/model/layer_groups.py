"""Named layer groups of a network: what the optimizer, the schedule and freezing speak of."""

from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Any, NamedTuple, Protocol

from torch import nn

from pets.errors import UserError
from pets.model.backbone import Backbone

NORMS = (
    nn.BatchNorm1d,
    nn.BatchNorm2d,
    nn.BatchNorm3d,
    nn.SyncBatchNorm,
    nn.InstanceNorm1d,
    nn.InstanceNorm2d,
    nn.InstanceNorm3d,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)


class Layered(Protocol):
    """A module whose parameters are those of a backbone and a head."""

    @property
    def backbone(self) -> Backbone: ...
    @property
    def head(self) -> nn.Module: ...
    def named_parameters(self) -> Iterator[tuple[str, nn.Parameter]]: ...


def layer_groups(network: Layered) -> dict[str, list[nn.Parameter]]:
    """Partition the parameters by layer and weight decay: "early/decay", "early/no_decay", ..., "head/no_decay".

    The layers are those of `network.backbone.group_names`.

    Vectors, that is all biases and the scales and shifts of norms, are not decayed, as in fastai. Membership goes by
    identity, whatever the values. A part without parameters, such as the decay of a head of vectors only, is left
    out; a layer without any is an error.

    Raises:
        ValueError: A layer is empty, or a parameter belongs to none.
    """
    layers = network.backbone.group_names
    groups: dict[str, list[nn.Parameter]] = {
        f"{layer}/{part}": [] for layer in layers for part in ("decay", "no_decay")
    }

    def add(layer: str, parameter: nn.Parameter) -> None:
        groups[f"{layer}/{'decay' if parameter.ndim > 1 else 'no_decay'}"].append(parameter)

    for name, parameter in network.backbone.named_parameters():
        add(network.backbone.group_of(name), parameter)
    for parameter in network.head.parameters():
        add(layers[-1], parameter)
    for layer in layers:
        if not groups[f"{layer}/decay"] and not groups[f"{layer}/no_decay"]:
            raise UserError(f"layer group {layer!r} of {network.backbone.arch} has no parameters")
    grouped = {id(parameter) for members in groups.values() for parameter in members}
    for name, parameter in network.named_parameters():
        if id(parameter) not in grouped:
            raise UserError(f"parameter {name!r} belongs to no layer group: it is outside backbone and head")
    return {name: members for name, members in groups.items() if members}


def param_groups(network: Layered) -> list[dict[str, Any]]:
    """Return the layer groups in the form an optimizer takes: `name`, `params`, and weight decay 0 where none is due.

    All parameters are in it, frozen or not, so that freezing never changes the groups.
    """
    return [
        {"name": name, "params": members} | ({"weight_decay": 0.0} if name.endswith("/no_decay") else {})
        for name, members in layer_groups(network).items()
    ]


def norm_layers(backbone: Backbone, layers: Collection[str] | None = None) -> Iterator[nn.Module]:
    """Yield the normalisation modules of a backbone, of some or all layer groups; one without parameters is in none."""
    layers = backbone.group_names if layers is None else layers
    for name, module in backbone.named_modules():
        if isinstance(module, NORMS):
            own = next((key for key, _ in module.named_parameters(recurse=False)), None)
            if own is not None and backbone.group_of(f"{name}.{own}") in layers:
                yield module


def set_trainable(network: Layered, frozen: Collection[str], *, keep_norms: bool) -> None:
    """Let only the parameters outside the frozen layers learn, and with `keep_norms` the norms inside them too."""
    kept = norm_layers(network.backbone, frozen) if keep_norms else ()
    exempt = {id(parameter) for norm in kept for parameter in norm.parameters()}
    for name, members in layer_groups(network).items():
        layer = name.split("/")[0]
        for parameter in members:
            parameter.requires_grad_(layer not in frozen or id(parameter) in exempt)
            if not parameter.requires_grad:
                # A stale gradient would keep moving the weights: optimizers skip only those that are None.
                parameter.grad = None


class GroupRow(NamedTuple):
    """One layer group: its name, its number of parameters, how many of them are trainable, its learning rate."""

    group: str
    parameters: int
    trainable: int
    lr: float | None


def group_table(groups: Iterable[Mapping[str, Any]]) -> list[GroupRow]:
    """Count the parameters of `optimizer.param_groups`, or of `param_groups(...)`, which has no rates yet.

    Parameters with and without decay are one row: they learn at the same rate.
    """
    rows: dict[str, GroupRow] = {}
    for group in groups:
        layer = group["name"].split("/")[0]
        before = rows.get(layer, GroupRow(layer, 0, 0, None))
        rows[layer] = GroupRow(
            layer,
            before.parameters + sum(parameter.numel() for parameter in group["params"]),
            before.trainable + sum(parameter.numel() for parameter in group["params"] if parameter.requires_grad),
            group.get("lr"),
        )
    return list(rows.values())


def format_group_table(rows: Iterable[GroupRow]) -> str:
    """Lay the rows out as text, with a total."""
    rows = list(rows)
    lines = [f"{'group':<16}{'parameters':>12}{'trainable':>12}{'start lr':>10}"]
    for row in rows:
        lr = "-" if row.lr is None else f"{row.lr:.2e}"
        lines.append(f"{row.group:<16}{row.parameters:>12,}{row.trainable:>12,}{lr:>10}")
    lines.append(f"{'total':<16}{sum(r.parameters for r in rows):>12,}{sum(r.trainable for r in rows):>12,}")
    return "\n".join(lines)
