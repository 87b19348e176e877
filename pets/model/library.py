"""The libraries that backbones come from."""

from pets.model.backbone import Backbone
from pets.model.resnet import build_resnet
from pets.settings.model import Library, Model


def build_backbone(arch: str, weights: str | None = "IMAGENET1K_V1", library: Library = "torchvision") -> Backbone:
    """Build a backbone and load its weights.

    Args:
        arch: One of `RESNETS`, or with `library="timm"` any name of timm that keeps a feature map.
        weights: Name of published weights, path of a state dict (its classifier is left out), or None for random
            ones. For torchvision a member of its weights enum such as "IMAGENET1K_V1"; never "DEFAULT", which changes
            meaning between releases. For timm a tag, or "default".
        library: The library that defines the architecture.

    A ResNet's input is normalised with ImageNet's mean and std whatever its weights, so that the same images give
    the same input with and without them.

    Raises:
        ValueError: Unknown library or arch, or a state dict that does not fit.
        FileNotFoundError: `weights` is neither a known name nor a file.
        OSError: Published weights could not be downloaded.
        ImportError: `library="timm"` without the extra `timm`.
    """
    Model(library, arch, weights)
    if library == "torchvision":
        return build_resnet(arch, weights)
    from pets.model.timm_backbone import build_timm_backbone

    return build_timm_backbone(arch, weights)
