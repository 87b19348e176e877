"""Fine-grained image classification by transfer learning.

The public names are imported when they are first used, so that `import pets` costs nothing.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "BatchTransform": "pets.augment.batch",
    "Classifier": "pets.model.classifier",
    "ImageFolder": "pets.data.sources.folder",
    "LRFinder": "pets.callbacks.lr_finder",
    "OneCycle": "pets.callbacks.one_cycle",
    "ParentLabeller": "pets.data.labels",
    "ImageDataModule": "pets.data.datamodule",
    "PetsDataModule": "pets.data.datamodule",
    "Phase": "pets.schedule.recipe",
    "Predictor": "pets.deploy.predictor",
    "Presize": "pets.data.presize",
    "Recipe": "pets.schedule.recipe",
    "RegexLabeller": "pets.data.labels",
    "SplitRule": "pets.data.splits",
    "StepSeed": "pets.callbacks.step_seed",
    "fine_tune": "pets.schedule.recipe",
    "one_cycle": "pets.schedule.recipe",
    "open_image": "pets.data.images",
}
__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'pets' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return [*globals(), *_HOMES]
