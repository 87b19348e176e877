"""The pretrained part of a model: images in, a feature map out, with the statistics and layer groups of its weights."""

from collections.abc import Mapping

from torch import Tensor, nn

from pets.errors import UserError

Statistics = tuple[float, float, float]


class Backbone(nn.Module):
    """A body without pooling or classifier: normalised float (B, 3, h, w) -> feature map (B, n_features, h', w').

    Attributes:
        arch: Name of the architecture in its library.
        library: "torchvision" or "timm".
        n_features: Channels of the feature map.
        mean: Of the red, green and blue values in [0, 1] that the weights were trained with.
        std: Standard deviations of the same.
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
    ) -> None:
        """Args: see the attributes; `groups` maps the name of each of the body's parameters to "early" or "late"."""
        super().__init__()
        self.body = body
        self.arch = arch
        self.library = library
        self.n_features = n_features
        self.mean = mean
        self.std = std
        self._groups = {f"body.{name}": group for name, group in groups.items()}

    def group_of(self, name: str) -> str:
        """Return the layer group, "early" or "late", of a parameter named as in `named_parameters()`.

        Raises:
            ValueError: No layer group claims the parameter.
        """
        if name not in self._groups:
            raise UserError(f"{self.arch}: parameter {name!r} belongs to no layer group")
        return self._groups[name]

    def forward(self, images: Tensor) -> Tensor:
        features: Tensor = self.body(images)
        return features
