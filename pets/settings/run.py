"""Settings at the top and of the tasks: what to do, with which checkpoint, on which part, in which form."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pets.settings.declare import Input, Output, PathText, Text, declared
from pets.settings.metrics import METRICS
from pets.settings.parts import TASKS, Part


@declared(
    "",
    children=(
        "data", "augment", "model", "loss", "optimizer", "recipe", "lr_finder", "ema", "callbacks", "logger", "trainer",
        "evaluate", "check", "learning_curve", "predict", "export", "serve", "tta",
    ),
)  # fmt: skip
class Run:
    """What a command does."""

    task: Annotated[Literal[tuple(TASKS)], Field(description=", ".join(TASKS))] = "fit"  # type: ignore[valid-type]
    seed: Annotated[int, Field(ge=0, le=2**32 - 1)] = 42
    """decides everything random; 0 or more"""
    ckpt_path: Annotated[PathText | None, Input] = None
    """`last`, a run folder or a checkpoint: what to resume, evaluate, predict with, export or serve"""
    source: Text | None = None
    """what task=predict predicts: an image, a folder, a glob in quotes, or a CSV file"""
    optimized_metric: Literal[tuple(METRICS)] = "valid/error_rate"  # type: ignore[valid-type]
    """what a run returns to a sweeper, a key of metrics.json"""
    run_dir: Annotated[PathText, Output] = ""
    """the one folder this run writes to"""


@declared("evaluate")
class Evaluate:
    """What an evaluation does beyond its tables and pictures."""

    part: Part = "valid"
    """what task=evaluate evaluates: valid, test, train"""
    at_end: bool = True
    """evaluate valid, and test if there is one, when a fit is over"""
    cluster: bool = False
    """order the confusion matrix so that confused classes stand together"""
    top_losses: Annotated[int, Field(ge=1)] = 12
    """images shown as the costliest mistakes, each beside where the network looked"""
    precision: Annotated[float, Field(gt=0, le=1)] | None = None
    """choose, on valid, the probability from which this share of the predictions is right; null: none"""
    false_alarms: Annotated[float, Field(gt=0, lt=1)] | None = None
    """tell images of none of the classes by their features, and refuse this share of those of the classes; null: no"""
    embedding: bool = False
    """show features and thumbnails in TensorBoard's projector"""


@declared("tta")
class Tta:
    """Test-time augmentation."""

    n: Annotated[int, Field(ge=0)] = 0
    """augmented passes of test-time augmentation; 0: none"""
    beta: Annotated[float, Field(ge=0, le=1)] = 0.25
    """weight of the plain predictions beside them"""


@declared("check")
class Check:
    """What task=check looks for."""

    max_distance: Annotated[int, Field(ge=0, le=64)] = 6
    """bits, of 64, in which the perceptual hashes of two near-duplicates differ at most"""
    min_side: Annotated[int, Field(ge=1)] = 64
    """an image with a shorter side than this is tiny, in pixels"""
    max_side: Annotated[int, Field(ge=1)] = 6000
    """an image with a longer side than this is huge, in pixels"""
    predictions: Annotated[PathText | None, Input] = None
    """`last` or a run folder whose predictions are searched for wrong labels"""
    features: bool = False
    """search for wrong labels by the features of the pretrained body: no run is needed"""
    confidence: Annotated[float, Field(ge=0, le=1)] = 0.9
    """least probability of a prediction that makes its image's label doubtful"""

    @model_validator(mode="after")
    def _sides_in_order(self) -> "Check":
        if self.min_side > self.max_side:
            raise ValueError(f"check.min_side={self.min_side} is not allowed: at most max_side={self.max_side}")
        return self

    @model_validator(mode="after")
    def _one_way_to_doubt(self) -> "Check":
        if self.features and self.predictions is not None:
            raise ValueError("check.features=true is not allowed with check.predictions: leave one of them out")
        return self


@declared("learning_curve")
class LearningCurve:
    """How task=learning_curve measures."""

    repeats: Annotated[int, Field(ge=1, le=1000)] = 5
    """how often the subsets of the training images are drawn"""


@declared("predict")
class Predict:
    """How task=predict predicts."""

    top_k: Annotated[int, Field(ge=1)] = 5
    """classes named for each image, the most probable first"""
    format: Literal["csv", "jsonl"] = "csv"
    """csv, jsonl"""
    batch_size: Annotated[int, Field(ge=1, le=65_536)] = 32
    """images computed at once"""
    device: Text | None = None
    """cpu, cuda, ...; null: the accelerator if there is one"""
    file_column: Text = "file"
    """column of a CSV source that names the files"""
    root: Annotated[PathText | None, Input] = None
    """folder that the paths in a CSV source are relative to; null: that of the CSV file"""


@declared("export")
class Export:
    """What task=export leaves."""

    folder: Annotated[PathText, Output] = "${run_dir}/export"
    """receives the exported files; must not exist"""
    onnx: bool | Literal["auto"] = "auto"
    """model.onnx: auto (if pets[onnx] is installed), true, false"""
    metrics: Annotated[PathText | None, Input] = None
    """metrics.json that the model card quotes; null: that of the run, if it measured these weights"""
    licence: Text | None = None
    """licence of the weights in the model card, as an SPDX name such as cc-by-sa-4.0"""


@declared("serve")
class Serve:
    """Where task=serve listens, and what it keeps."""

    host: Text = "127.0.0.1"
    """name or address to listen on; 0.0.0.0 lets the whole network in, without a password"""
    port: Annotated[int, Field(ge=0, le=65_535)] = 8000
    """port to listen on; 0: a free one"""
    corrections: Annotated[PathText, Output] = "${run_dir}/corrections.csv"
    """table of the corrected labels, with the photographs beside it; rows are added to one that is there"""
