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

    mode: Literal["report", "apply"] = "report"
    """report: show curve and suggestions, leave the run as it is; apply: use one as base learning rate"""
    suggestion: Literal["valley", "slide", "steep", "minimum"] = "valley"
    """whose suggestion becomes recipe.base_lr: valley, slide, steep, minimum"""
    start_lr: Annotated[float, Field(gt=0)] = 1e-7
    """first learning rate of the test, of the head"""
    end_lr: Annotated[float, Field(gt=0)] = 10.0
    """learning rate it would end at, had the loss not diverged before"""
    num_steps: Annotated[int, Field(ge=30)] = 100
    """optimizer steps of the test"""
    dirpath: Annotated[PathText | None, Output] = None
    """folder of lr_finder.json and lr_finder.png"""

    @model_validator(mode="after")
    def _upwards(self) -> "LRFinder":
        if self.start_lr >= self.end_lr:
            raise ValueError(f"lr_finder.start_lr={self.start_lr!r} is not allowed: below end_lr={self.end_lr!r}")
        return self


@declared("ema", "pets.callbacks.ema.EMA")
class EMA:
    """The moving average of the weights."""

    decay: Annotated[float, Field(ge=0, lt=1)] = 0.999
    """largest share that the average keeps at an optimizer step; step t keeps at most (1 + t) / (10 + t), so a short
    run averages about its last tenth"""


@declared("callbacks.progress", "pets.callbacks.progress.Progress")
class Progress:
    """The progress bar."""

    bar: Literal["auto", "on", "off"] = "auto"
    """auto: a bar on a terminal only; on, off"""


@declared("callbacks.dashboards", "pets.callbacks.dashboards.Dashboards")
class Dashboards:
    """What loggers show besides curves."""

    images: Annotated[int, Field(ge=1)] = 3
    """images of the first batch shown before and after augmentation"""


@declared("callbacks.checkpoint", "pets.callbacks.checkpoint_io.best_checkpoint", passed=None)
class BestCheckpoint:
    """best.ckpt; what else Lightning's ModelCheckpoint takes is passed on."""

    monitor: Text = "valid/error_rate"
    """what "best" means"""
    mode: Literal["min", "max"] | None = None
    """null: follows from monitor; min or max for a metric that a callback of your own logs"""

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

    accelerator: Text = "auto"
    """auto, cpu, gpu"""
    devices: Annotated[int, Field(ge=1)] | Text | Sequence[Annotated[int, Field(ge=0)]] = 1
    """processes on this machine"""
    num_nodes: Annotated[int, Field(ge=1)] = 1
    """machines"""
    strategy: Text = "auto"
    """auto, ddp_find_unused_parameters_true, ..."""
    precision: Literal["auto", "32-true", "bf16-mixed", "16-mixed"] = "32-true"
    """32-true, bf16-mixed, 16-mixed; auto: bf16-mixed where the hardware has it natively, and on a CPU if steps of the
    model are faster in it"""
    accumulate_grad_batches: Annotated[int, Field(ge=1)] = 1
    """batches an optimizer step"""
    gradient_clip_val: Annotated[float, Field(ge=0)] | None = None
    """largest gradient norm; null for no clipping"""
    max_steps: Annotated[int, Field(ge=-1)] = -1
    """optimizer steps after which the run ends, -1 for the recipe's epochs"""
    limit_train_batches: Batches = None
    """batches an epoch (int) or share of them (float); null for all"""
    limit_val_batches: Batches = None
    """the same for validation"""
    log_every_n_steps: Annotated[int, Field(ge=1)] = 5
    """optimizer steps between two points of a curve"""
    num_sanity_val_steps: Annotated[int, Field(ge=-1)] = 0
    """validation batches tried before training"""
    deterministic: bool | Literal["warn"] = False
    """true: the same bits in every run on a GPU too, at some cost in speed (warn: where torch can); on a CPU they are
    the same anyway"""
    sync_batchnorm: bool = False
    """share batch statistics between processes"""
    use_distributed_sampler: Literal[False] = False
    """the data module shares the items out itself"""
    enable_model_summary: bool = False
    """the table of layer groups takes its place"""
    enable_autolog_hparams: bool = False
    """the dashboards callback writes them, once"""
