"""The pretrained part of a model: images in, a feature map out, with the statistics and layer groups of its weights."""

from collections.abc import Callable, Mapping, Sequence

from torch import Tensor, nn

from pets.errors import UserError
from pets.settings.parts import GROUPS, layer_group_names

Statistics = tuple[float, float, float]


class Backbone(nn.Module):
    """A body without pooling or classifier: normalised float (B, 3, h, w) -> feature map (B, n_features, h', w').

    Attributes:
        arch: Name of the architecture in its library.
        library: "torchvision" or "timm".
        n_features: Channels of the feature map.
        mean: Of the red, green and blue values in [0, 1] that the weights were trained with.
        std: Standard deviations of the same.
        group_names: Names of the layer groups in the order of the forward pass; the last is that of the head.
    """

    def __init__(
        self,
        body: nn.Module,
        *,
        arch: str,
        library: str,
        n_features: int,
        mean: Statistics,
        std: Statistics,
        groups: Mapping[str, str],
        group_names: Sequence[str] = GROUPS,
        unfit: Callable[[int], str] = lambda side: "",
    ) -> None:
        """Build from a body; for the other arguments see the attributes.

        Args:
            groups: The layer group of each of the body's parameters, by its name.
            unfit: Says which sides of images are allowed, if the given one is not.
        """
        super().__init__()
        self.body = body
        self.arch = arch
        self.library = library
        self.n_features = n_features
        self.mean = mean
        self.std = std
        self.group_names = tuple(group_names)
        self._unfit = unfit
        self._groups = {f"body.{name}": group for name, group in groups.items()}

    def group_of(self, name: str) -> str:
        """Return the layer group of a parameter named as in `named_parameters()`.

        Raises:
            ValueError: No layer group claims the parameter.
        """
        if name not in self._groups:
            raise UserError(f"{self.arch}: parameter {name!r} belongs to no layer group")
        return self._groups[name]

    def check_size(self, side: int, key: str) -> None:
        """Check that the body takes square images of a size.

        Args:
            side: In pixels.
            key: What an error names.

        Raises:
            UserError: It does not; the message says which sizes near it are allowed.
        """
        if allowed := self._unfit(side):
            raise UserError(f"{key}={side} is not allowed: {allowed} for {self.arch}")

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(images)
        return features


def divide(depths: Sequence[Mapping[str, int]], count: int, arch: str) -> dict[str, str]:
    """Divide the parameters of a body evenly by depth into the layer groups of a network, without the head's.

    Args:
        depths: The depth of each parameter by its name, counted from 0 without gaps: first by stages, then by blocks.
            The first that is deep enough decides.
        count: Layer groups of the network, that of the head among them.
        arch: Name of the architecture.

    Raises:
        UserError: The body has too few layers.
    """
    names, deepest = layer_group_names(count)[:-1], 0
    for places in depths:
        deepest = max(places.values()) + 1
        if deepest >= len(names):
            return {parameter: names[place * len(names) // deepest] for parameter, place in places.items()}
    raise UserError(f"model.groups={count} is not allowed: from {len(GROUPS)} to {deepest + 1} for {arch}")
