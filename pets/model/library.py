"""The libraries that backbones come from."""

from pets.model.backbone import Backbone
from pets.model.resnet import build_resnet
from pets.settings.model import Model


def build_backbone(options: Model) -> Backbone:
    """Build a backbone and load its weights.

    `options.arch` is one of `RESNETS`, or with `library="timm"` any name of timm that keeps a feature map.
    `options.weights` is the name of published weights, the path of a state dict (its classifier is left out), or None
    for random ones. For torchvision a name is a member of its weights enum such as "IMAGENET1K_V1"; never "DEFAULT",
    which changes meaning between releases. For timm it is a tag, or "default".

    A ResNet's input is normalised with ImageNet's mean and std whatever its weights, so that the same images give
    the same input with and without them.

    Raises:
        ValueError: An unknown arch, an option that the architecture lacks, or a state dict that does not fit.
        FileNotFoundError: `weights` is neither a known name nor a file.
        OSError: Published weights could not be downloaded.
        ImportError: `library="timm"` without the extra `timm`.
    """
    if options.library == "torchvision":
        return build_resnet(options)
    from pets.model.timm_backbone import build_timm_backbone

    return build_timm_backbone(options)
