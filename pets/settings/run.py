"""Settings at the top and of the tasks: what to do, with which checkpoint, on which part, in which form."""

from typing import Annotated, Literal

from pydantic import Field, model_validator

from pets.settings.declare import Input, Output, PathText, Text, declared
from pets.settings.metrics import METRICS
from pets.settings.parts import TASKS, Part


@declared(
    "",
    children=(
        "data", "augment", "model", "loss", "optimizer", "recipe", "lr_finder", "callbacks", "logger", "trainer",
        "evaluate", "check", "predict", "export", "serve", "tta",
    ),
)  # fmt: skip
class Run:
    """What a command does."""

    task: Annotated[Literal[tuple(TASKS)], Field(description=", ".join(TASKS))] = "fit"  # type: ignore[valid-type]
    seed: Annotated[int, Field(ge=0, le=2**32 - 1, description="decides everything random; 0 or more")] = 42
    ckpt_path: Annotated[
        PathText | None,
        Input,
        Field(
            description="`last`, a run folder or a checkpoint: what to resume, evaluate, predict with, export or serve"
        ),
    ] = None
    source: Annotated[
        Text | None,
        Field(description="what task=predict predicts: an image, a folder, a glob in quotes, or a CSV file"),
    ] = None
    optimized_metric: Annotated[
        Literal[tuple(METRICS)],  # type: ignore[valid-type]
        Field(description="what a run returns to a sweeper, a key of metrics.json"),
    ] = "valid/error_rate"
    run_dir: Annotated[PathText, Output, Field(description="the one folder this run writes to")] = ""


@declared("evaluate")
class Evaluate:
    """What an evaluation does beyond its tables and pictures."""

    part: Annotated[Part, Field(description="what task=evaluate evaluates: valid, test, train")] = "valid"
    at_end: Annotated[bool, Field(description="evaluate valid, and test if there is one, when a fit is over")] = True
    cluster: Annotated[
        bool, Field(description="order the confusion matrix so that confused classes stand together")
    ] = False
    top_losses: Annotated[
        int,
        Field(ge=1, description="images shown as the costliest mistakes, each beside where the network looked"),
    ] = 12
    precision: Annotated[
        Annotated[float, Field(gt=0, le=1)] | None,
        Field(
            description="choose, on valid, the probability from which this share of the predictions is right; "
            "null: none"
        ),
    ] = None
    embedding: Annotated[bool, Field(description="show features and thumbnails in TensorBoard's projector")] = False


@declared("tta")
class Tta:
    """Test-time augmentation."""

    n: Annotated[int, Field(ge=0, description="augmented passes of test-time augmentation; 0: none")] = 0
    beta: Annotated[float, Field(ge=0, le=1, description="weight of the plain predictions beside them")] = 0.25


@declared("check")
class Check:
    """What task=check looks for."""

    max_distance: Annotated[
        int,
        Field(
            ge=0,
            le=64,
            description="bits, of 64, in which the perceptual hashes of two near-duplicates differ at most",
        ),
    ] = 6
    min_side: Annotated[int, Field(ge=1, description="an image with a shorter side than this is tiny, in pixels")] = 64
    max_side: Annotated[int, Field(ge=1, description="an image with a longer side than this is huge, in pixels")] = 6000
    predictions: Annotated[
        PathText | None,
        Input,
        Field(description="`last` or a run folder whose predictions are searched for wrong labels"),
    ] = None
    confidence: Annotated[
        float,
        Field(ge=0, le=1, description="least probability of a prediction that makes its image's label doubtful"),
    ] = 0.9

    @model_validator(mode="after")
    def _sides_in_order(self) -> "Check":
        if self.min_side > self.max_side:
            raise ValueError(f"check.min_side={self.min_side} is not allowed: at most max_side={self.max_side}")
        return self


@declared("predict")
class Predict:
    """How task=predict predicts."""

    top_k: Annotated[int, Field(ge=1, description="classes named for each image, the most probable first")] = 5
    format: Annotated[Literal["csv", "jsonl"], Field(description="csv, jsonl")] = "csv"
    batch_size: Annotated[int, Field(ge=1, le=65_536, description="images computed at once")] = 32
    device: Annotated[Text | None, Field(description="cpu, cuda, ...; null: the accelerator if there is one")] = None
    file_column: Annotated[Text, Field(description="column of a CSV source that names the files")] = "file"
    root: Annotated[
        PathText | None,
        Input,
        Field(description="folder that the paths in a CSV source are relative to; null: that of the CSV file"),
    ] = None


@declared("export")
class Export:
    """What task=export leaves."""

    folder: Annotated[PathText, Output, Field(description="receives the exported files; must not exist")] = (
        "${run_dir}/export"
    )
    onnx: Annotated[
        bool | Literal["auto"],
        Field(description="model.onnx: auto (if pets[onnx] is installed), true, false"),
    ] = "auto"
    metrics: Annotated[
        PathText | None,
        Input,
        Field(
            description="metrics.json that the model card quotes; null: that of the run, if it measured these weights"
        ),
    ] = None
    licence: Annotated[
        Text | None,
        Field(description="licence of the weights in the model card, as an SPDX name such as cc-by-sa-4.0"),
    ] = None


@declared("serve")
class Serve:
    """Where task=serve listens, and what it keeps."""

    host: Annotated[
        Text, Field(description="name or address to listen on; 0.0.0.0 lets the whole network in, without a password")
    ] = "127.0.0.1"
    port: Annotated[int, Field(ge=0, le=65_535, description="port to listen on; 0: a free one")] = 8000
    corrections: Annotated[
        PathText,
        Output,
        Field(description="table of the corrected labels, with the photographs beside it; one that is there goes on"),
    ] = "${run_dir}/corrections.csv"
