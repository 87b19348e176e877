"""Fine-grained image classification by transfer learning.

The public names are imported when they are first used, so that `import pets` costs nothing. Type checkers read the
block of imports, Python the table: tests/test_public_names.py compares the two.
"""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pets.api import evaluate as evaluate
    from pets.api import find_lr as find_lr
    from pets.api import fit as fit
    from pets.api import predictor as predictor
    from pets.augment.batch import BatchTransform as BatchTransform
    from pets.callbacks.lr_finder import LRFinder as LRFinder
    from pets.callbacks.one_cycle import OneCycle as OneCycle
    from pets.callbacks.step_seed import StepSeed as StepSeed
    from pets.data.datamodule import ImageDataModule as ImageDataModule
    from pets.data.datamodule import PetsDataModule as PetsDataModule
    from pets.data.images import open_image as open_image
    from pets.data.labels import ParentLabeller as ParentLabeller
    from pets.data.labels import RegexLabeller as RegexLabeller
    from pets.data.presize import Presize as Presize
    from pets.data.sources.drawn.demo_set import DemoSet as DemoSet
    from pets.data.sources.folder import ImageFolder as ImageFolder
    from pets.data.splits import SplitRule as SplitRule
    from pets.deploy.predictor import Predictor as Predictor
    from pets.evaluation.figures.batches import show_batch as show_batch
    from pets.evaluation.figures.lr_curve import lr_curve_figure as lr_curve_figure
    from pets.model.classifier import Classifier as Classifier
    from pets.schedule.recipe import Phase as Phase
    from pets.schedule.recipe import Recipe as Recipe
    from pets.schedule.recipe import fine_tune as fine_tune
    from pets.schedule.recipe import one_cycle as one_cycle
else:
    _HOMES = {
        "BatchTransform": "pets.augment.batch",
        "Classifier": "pets.model.classifier",
        "DemoSet": "pets.data.sources.drawn.demo_set",
        "ImageDataModule": "pets.data.datamodule",
        "ImageFolder": "pets.data.sources.folder",
        "LRFinder": "pets.callbacks.lr_finder",
        "OneCycle": "pets.callbacks.one_cycle",
        "ParentLabeller": "pets.data.labels",
        "PetsDataModule": "pets.data.datamodule",
        "Phase": "pets.schedule.recipe",
        "Predictor": "pets.deploy.predictor",
        "Presize": "pets.data.presize",
        "Recipe": "pets.schedule.recipe",
        "RegexLabeller": "pets.data.labels",
        "SplitRule": "pets.data.splits",
        "StepSeed": "pets.callbacks.step_seed",
        "evaluate": "pets.api",
        "find_lr": "pets.api",
        "fine_tune": "pets.schedule.recipe",
        "fit": "pets.api",
        "lr_curve_figure": "pets.evaluation.figures.lr_curve",
        "one_cycle": "pets.schedule.recipe",
        "open_image": "pets.data.images",
        "predictor": "pets.api",
        "show_batch": "pets.evaluation.figures.batches",
    }
    __all__ = sorted(_HOMES)

    def __getattr__(name):
        from importlib import import_module

        if name not in _HOMES:
            raise AttributeError(f"module 'pets' has no attribute {name!r}")
        return getattr(import_module(_HOMES[name]), name)

    def __dir__():
        return [*globals(), *_HOMES]
