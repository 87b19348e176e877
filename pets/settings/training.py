"""Settings around the training loop: the LR finder, callbacks, the trainer."""

from collections.abc import Sequence
from typing import Annotated, Literal

from pydantic import Field, model_validator

from pets.settings.declare import Output, PathText, Text, declared
from pets.settings.metrics import checkpoint_mode

Batches = Annotated[int, Field(ge=0)] | Annotated[float, Field(ge=0, le=1)] | None


@declared("lr_finder", "pets.callbacks.lr_finder.LRFinder")
class LRFinder:
    """The LR range test before training."""

    mode: Annotated[
        Literal["report", "apply"],
        Field(
            description="report: show curve and suggestions, leave the run as it is; "
            "apply: use one as base learning rate"
        ),
    ] = "report"
    suggestion: Annotated[
        Literal["valley", "slide", "steep", "minimum"],
        Field(description="whose suggestion becomes recipe.base_lr: valley, slide, steep, minimum"),
    ] = "valley"
    start_lr: Annotated[float, Field(gt=0, description="first learning rate of the test, of the head")] = 1e-7
    end_lr: Annotated[
        float,
        Field(gt=0, description="learning rate it would end at, had the loss not diverged before"),
    ] = 10.0
    num_steps: Annotated[int, Field(ge=30, description="optimizer steps of the test")] = 100
    dirpath: Annotated[PathText | None, Output, Field(description="folder of lr_finder.json and lr_finder.png")] = None

    @model_validator(mode="after")
    def _upwards(self) -> "LRFinder":
        if self.start_lr >= self.end_lr:
            raise ValueError(f"lr_finder.start_lr={self.start_lr!r} is not allowed: below end_lr={self.end_lr!r}")
        return self


@declared("callbacks.progress", "pets.callbacks.progress.Progress")
class Progress:
    """The progress bar."""

    bar: Annotated[Literal["auto", "on", "off"], Field(description="auto: a bar on a terminal only; on, off")] = "auto"


@declared("callbacks.dashboards", "pets.callbacks.dashboards.Dashboards")
class Dashboards:
    """What loggers show besides curves."""

    images: Annotated[int, Field(ge=1, description="images of the first batch shown before and after augmentation")] = 3


@declared("callbacks.checkpoint", "pets.callbacks.checkpoint_io.best_checkpoint", passed=None)
class BestCheckpoint:
    """best.ckpt; what else Lightning's ModelCheckpoint takes is passed on."""

    monitor: Annotated[Text, Field(description='what "best" means')] = "valid/error_rate"
    mode: Annotated[
        Literal["min", "max"] | None,
        Field(description="null: follows from monitor; min or max for a metric that a callback of your own logs"),
    ] = None

    @model_validator(mode="after")
    def _towards_the_better(self) -> "BestCheckpoint":
        checkpoint_mode(self.monitor, self.mode)
        return self


PASSED = (
    "barebones", "benchmark", "check_val_every_n_epoch", "detect_anomaly", "enable_checkpointing",
    "enable_progress_bar", "fast_dev_run", "gradient_clip_algorithm", "inference_mode", "limit_predict_batches",
    "limit_test_batches", "max_time", "min_epochs", "min_steps", "model_registry", "overfit_batches", "plugins",
    "profiler", "reload_dataloaders_every_n_epochs", "val_check_interval",
)  # fmt: skip
"""Arguments of Lightning's Trainer that are passed on as they are."""


@declared("trainer", "lightning.Trainer", children=("plugins", "profiler", "strategy"), passed=PASSED)
class Trainer:
    """Lightning's Trainer."""

    accelerator: Annotated[Text, Field(description="auto, cpu, gpu")] = "auto"
    devices: Annotated[
        Annotated[int, Field(ge=1)] | Text | Sequence[Annotated[int, Field(ge=0)]],
        Field(description="processes on this machine"),
    ] = 1
    num_nodes: Annotated[int, Field(ge=1, description="machines")] = 1
    strategy: Annotated[Text, Field(description="auto, ddp_find_unused_parameters_true, ...")] = "auto"
    precision: Annotated[
        Literal["auto", "32-true", "bf16-mixed", "16-mixed"],
        Field(description="32-true, bf16-mixed, 16-mixed; auto: bf16-mixed where the hardware has it natively"),
    ] = "32-true"
    accumulate_grad_batches: Annotated[int, Field(ge=1, description="batches an optimizer step")] = 1
    gradient_clip_val: Annotated[
        Annotated[float, Field(ge=0)] | None,
        Field(description="largest gradient norm; null for no clipping"),
    ] = None
    max_steps: Annotated[
        int,
        Field(ge=-1, description="optimizer steps after which the run ends, -1 for the recipe's epochs"),
    ] = -1
    limit_train_batches: Annotated[
        Batches, Field(description="batches an epoch (int) or share of them (float); null for all")
    ] = None
    limit_val_batches: Annotated[Batches, Field(description="the same for validation")] = None
    log_every_n_steps: Annotated[int, Field(ge=1, description="optimizer steps between two points of a curve")] = 5
    num_sanity_val_steps: Annotated[int, Field(ge=-1, description="validation batches tried before training")] = 0
    deterministic: Annotated[
        bool | Literal["warn"],
        Field(
            description="true: the same bits in every run on a GPU too, at some cost in speed (warn: where torch can); "
            "on a CPU they are the same anyway"
        ),
    ] = False
    sync_batchnorm: Annotated[bool, Field(description="share batch statistics between processes")] = False
    use_distributed_sampler: Annotated[
        Literal[False], Field(description="the data module shares the items out itself")
    ] = False
    enable_model_summary: Annotated[bool, Field(description="the table of layer groups takes its place")] = False
    enable_autolog_hparams: Annotated[bool, Field(description="the dashboards callback writes them, once")] = False
