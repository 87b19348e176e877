"""What architectures of timm can do, without their weights: the table in docs/training.md.

python -m benchmarks.zoo [ARCH ...]
"""

import argparse
from collections.abc import Iterable, Mapping
from typing import Any

import torch

from pets.errors import UserError
from pets.model.backbone import Backbone
from pets.model.library import build_backbone
from pets.settings.model import Model

ARCHITECTURES = (
    "vit_small_patch14_dinov2", "vit_small_patch16_dinov3", "vit_base_patch16_224", "vit_base_patch16_siglip_224",
    "vit_base_patch16_clip_224", "deit_tiny_patch16_224", "beit_base_patch16_224", "swin_tiny_patch4_window7_224",
    "swinv2_tiny_window8_256", "convnext_atto", "convnextv2_atto", "efficientnet_b0", "tf_efficientnetv2_b0",
    "mobilenetv3_small_050", "mobilenetv4_conv_small_035", "regnety_002", "resnet50d", "repvit_m0_9", "vgg11",
)  # fmt: skip
SIZES = (154, 160, 192, 222, 224, 256, 299, 384)


def row(arch: str) -> dict[str, str]:
    """Return what an architecture can do, a cell a column."""
    plain = build(arch)
    if plain is None:
        return {"arch": arch, "sizes": "no feature map"}
    taken = [size for size in SIZES if takes(plain, size)]
    without = build(arch, class_token=False)
    summary = without is not None and without.n_features < plain.n_features
    return {
        "arch": arch,
        "sizes": "any" if len(taken) == len(SIZES) else ", ".join(map(str, taken)),
        "class token": "yes" if summary else "",
        "drop_path": "yes" if build(arch, drop_path=0.1) else "no",
        "checkpointing": "yes" if build(arch, grad_checkpointing=True) else "no",
    }


def build(arch: str, **options: Any) -> Backbone | None:
    """Return an architecture without memory, or None if it cannot be had with these options."""
    with torch.device("meta"):
        try:
            return build_backbone(Model("timm", arch, None, **options))
        except UserError:
            return None


def takes(backbone: Backbone, size: int) -> bool:
    """Return whether a body takes square images of a size."""
    try:
        backbone.check_size(size, "size")
    except UserError:
        return False
    return True


def markdown(rows: Iterable[Mapping[str, str]]) -> str:
    """Lay the rows out as a table in Markdown."""
    columns = ("arch", "sizes", "class token", "drop_path", "checkpointing")
    lines = ["| " + " | ".join(columns) + " |", "|---" * len(columns) + "|"]
    return "\n".join(lines + ["| " + " | ".join(row.get(name, "") for name in columns) + " |" for row in rows])


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.zoo", description=__doc__)
    parser.add_argument("arch", nargs="*", default=ARCHITECTURES, help="names of timm")
    print(markdown(row(arch) for arch in parser.parse_args().arch))


if __name__ == "__main__":
    main()
