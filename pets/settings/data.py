"""Settings of the data: sources, labellers, the split, presizing, loading."""

import re
import warnings
from collections.abc import Sequence
from typing import Annotated, Literal, get_args

from pydantic import Field, field_validator, model_validator

from pets.settings.declare import Input, PathText, Text, declared

Sampler = Literal["uniform", "balanced"]
Cache = Literal["none", "ram", "disk"]
"""Where what is computed of images is kept: nowhere, in this process, or in the user's cache folder."""
PresizeMethod = Literal["crop", "pad", "squish", "native"]
Interpolation = Literal["bilinear", "bicubic"]
CACHES: tuple[Cache, ...] = get_args(Cache)
METHODS: tuple[PresizeMethod, ...] = get_args(PresizeMethod)
INTERPOLATIONS: tuple[Interpolation, ...] = get_args(Interpolation)


@declared(
    "data",
    "pets.data.datamodule.ImageDataModule",
    children=("source", "labeller", "split", "presize", "batch_transform"),
)
class Data:
    """How images are loaded."""

    root: Annotated[PathText, Input] = "data"
    """where the images are; see conf/data"""
    classes: Annotated[Sequence[Text], Field(min_length=1)] | None = None
    """list of class names, whose order is kept; null: the labels found, sorted"""
    batch_size: Annotated[int, Field(ge=1)] = 64
    """images a step and device"""
    num_workers: Annotated[int, Field(ge=0, le=256)] | None = None
    """worker processes a loader; null: one a core, at most 8"""
    seed: Annotated[int, Field(ge=0)] = 42
    """decides order, crops and augmentation"""
    sampler: Sampler = "uniform"
    """uniform (an epoch is every training image once), balanced (an epoch is as many images, each class as often:
    images of rare classes repeat, each time augmented anew)"""
    on_error: Literal["raise", "skip"] = "raise"
    """an image that cannot be decoded: raise ends the run, skip looks for them first and lists them in splits.json"""
    exclude: Annotated[PathText | None, Input] = None
    """path of a CSV file whose column `file` names images to leave out"""
    relabel: Annotated[PathText | None, Input] = None
    """path of a CSV file whose columns `file` and `label` correct labels"""
    cache: Cache = "none"
    """decoded images are kept: none, ram (for this run), disk (the user's cache folder, for later runs too)"""
    features: Cache = "none"
    """the body's features of an image are kept: none, ram (for this process, all jobs of a sweep in it), disk (the
    user's cache folder, for later runs too)"""


@declared("data.source", "pets.data.sources.folder.ImageFolder")
class Folder:
    """A folder of images."""

    root: PathText
    """set data.root"""
    recursive: bool = True
    """look into folders inside it"""


@declared("data.source", "pets.data.sources.oxford_pets.OxfordPets")
class OxfordPets:
    """Oxford-IIIT Pet."""

    root: PathText
    """set data.root"""


@declared("data.source", "pets.data.sources.drawn.demo_set.DemoSet")
class Demo:
    """The drawn demo set."""

    root: PathText
    """set data.root"""
    seed: Annotated[int, Field(ge=0)] = 0
    """decides every stroke"""
    per_breed: Annotated[int, Field(ge=2)] = 30
    """images of each of the 8 breeds"""


@declared("data.source", "pets.data.sources.table.CsvTable")
class Table:
    """A CSV file that lists the images."""

    path: Annotated[PathText, Input]
    """the table: UTF-8, separated by comma, semicolon, tab or bar"""
    root: PathText | None = None
    """set data.root"""
    file_column: Text = "file"
    """column of the paths"""
    label_column: Text = "label"
    """column of the labels"""
    valid_column: Text | None = None
    """for split.method=column: column of true or false, 1 or 0: whether to validate on the image"""
    split_column: Text | None = None
    """or instead: column of train, valid and test"""

    @model_validator(mode="after")
    def _one_column(self) -> "Table":
        if self.valid_column is not None and self.split_column is not None:
            raise ValueError(
                f"data.source: valid_column={self.valid_column!r} and split_column={self.split_column!r} "
                "exclude each other"
            )
        return self


@declared("data.labeller", "pets.data.labels.RegexLabeller")
class Regex:
    """Labels from file names."""

    pattern: Text = r"(.+)_\d+\.jpg$"
    """searched for in the file name; the label is the group `label`, or else the first"""

    @field_validator("pattern")
    @classmethod
    def _has_a_group(cls, pattern: str) -> str:
        try:
            groups = re.compile(pattern).groups
        except (re.error, OverflowError, RecursionError) as error:
            raise ValueError(f"a regular expression ({error})") from None
        if not groups:
            raise ValueError("it needs a group, as (.+) or (?P<label>.+), for the label")
        return pattern


@declared("data.labeller", "pets.data.labels.ParentLabeller")
class Parent:
    """Labels from folder names."""


@declared("data.labeller", "pets.data.labels.TableLabeller", children=("table",))
class FromTable:
    """Labels from a table."""


@declared("data.split", "pets.data.splits.SplitRule")
class Split:
    """How the files are split."""

    method: Literal["auto", "random", "stratified", "kfold", "folders", "official", "column"] = "auto"
    """auto (folders if data.root holds them, else random), random, stratified, kfold, folders (train, valid and test),
    official (lists that come with the data), column (of a table)"""
    valid_pct: Annotated[float, Field(gt=0, lt=1)] = 0.2
    """share of the images to validate on, where the parts are not given"""
    test_pct: Annotated[float, Field(ge=0, lt=1)] = 0.0
    """share of a third part that training never sees, where the parts are not given; 0: none"""
    seed: Annotated[int, Field(ge=0)] = 42
    """decides what is drawn of the split, whatever the seed of the run"""
    group_by: Text | None = None
    """images that stay in one part: a column of the table, a regular expression whose group in the file name they
    share, duplicates (images that look the same); null: each on its own"""
    folds: Annotated[int, Field(ge=2, le=100)] = 5
    """for kfold: parts that take turns to be validated on"""
    fold: Annotated[int, Field(ge=0)] = 0
    """for kfold: which of them this run validates on, from 0"""
    manifest: Annotated[PathText | None, Input, Field(alias="from")] = None
    """path of a splits.json whose parts are used again; then all of the above has no effect"""

    @model_validator(mode="after")
    def _fold_of_folds(self) -> "Split":
        if self.fold >= self.folds:
            raise ValueError(f"data.split.fold={self.fold} is not allowed: 0 to folds - 1 = {self.folds - 1}")
        if self.fold and self.method != "kfold":
            warnings.warn(f"data.split.fold={self.fold} has no effect without data.split.method=kfold", stacklevel=3)
        return self

    @model_validator(mode="after")
    def _shares_leave_a_rest(self) -> "Split":
        if self.test_pct >= 1 - self.valid_pct:
            raise ValueError(f"data.split.test_pct={self.test_pct} is not allowed: at least 0 and below 1 - valid_pct")
        given = self.manifest is not None or self.method in ("official", "column")
        if self.test_pct and (given or self.method == "folders"):
            warnings.warn(f"data.split.test_pct={self.test_pct} has no effect: the parts are given", stacklevel=3)
        if self.group_by is not None and given:
            warnings.warn(f"data.split.group_by={self.group_by} has no effect: the parts are given", stacklevel=3)
        return self


@declared("data.presize", "pets.data.presize.Presize")
class Presize:
    """The item transform."""

    size: Annotated[int, Field(ge=1, le=8192)] = 384
    """side of the uint8 square that travels to the device, in pixels; well above augment.size"""
    method: PresizeMethod = "crop"
    """crop (a square of the short side), pad, squish, native (crop, but never enlarged)"""
    interpolation: Interpolation = "bicubic"
    """bicubic, bilinear (fastai's); antialiased"""
