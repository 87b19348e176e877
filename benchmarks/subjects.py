"""`python -m benchmarks.subjects FUNCTION ROOT RESULT`: one side of a comparison that needs a process of its own."""

import json
import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks.processes import PeakMemory, resident_megabytes

ARCH, BATCH, EPOCHS = "resnet18", 16, 20
LOADED_BATCHES = 16


def first_batch_fastai(root: Path) -> None:
    """End the process when the first training batch is ready."""
    from benchmarks import rivals

    fastai = rivals.vision()

    class Stop(fastai.Callback):  # type: ignore[name-defined, misc]
        def before_batch(self) -> None:
            os._exit(0)

    rivals.photo_learner(sorted(root.glob("*.jpg")), ARCH, BATCH).fit(1, cbs=Stop())


def memory_fastai(root: Path) -> dict[str, object]:
    """Fit and report the peak of the memory and its size after each epoch, in megabytes."""
    from benchmarks import rivals

    fastai = rivals.vision()

    class Memory(fastai.Callback):  # type: ignore[name-defined, misc]
        def after_epoch(self) -> None:
            after.append(resident_megabytes())

    after: list[float] = []
    watch = PeakMemory()
    watch.start()
    rivals.photo_learner(sorted(root.glob("*.jpg")), ARCH, BATCH).fit(EPOCHS, cbs=Memory())
    return {"peak": watch.stop(), "after_epoch": after}


def memory_ours(root: Path) -> dict[str, object]:
    """Fit and report the peak of the memory and its size after each epoch, in megabytes."""
    import lightning

    from benchmarks import ours
    from pets.callbacks.one_cycle import OneCycle
    from pets.schedule.recipe import fine_tune

    class Memory(lightning.Callback):
        def on_train_epoch_end(self, *_: object) -> None:
            after.append(resident_megabytes())

    after: list[float] = []
    watch = PeakMemory()
    watch.start()
    data = ours.data_module(root, BATCH)
    # All frozen, as the rival, whose learner starts so.
    recipe = fine_tune(epochs=0, freeze_epochs=EPOCHS)
    trainer = ours.quiet_trainer(callbacks=[OneCycle(recipe), Memory()], epochs=EPOCHS)
    trainer.fit(ours.classifier(ARCH, len(data.vocab)), data)
    return {"peak": watch.stop(), "after_epoch": after}


def setup_ours(root: Path) -> dict[str, object]:
    """Report seconds and megabytes of the data module's set-up, then of the first batch, and the rate of the next."""
    from benchmarks import ours

    before, start, processor = resident_megabytes(), time.perf_counter(), time.process_time()
    data = ours.data_module(root, BATCH)
    seconds, megabytes = time.perf_counter() - start, resident_megabytes() - before
    processor = time.process_time() - processor
    batches = iter(data.train_dataloader())
    next(batches)
    first = time.perf_counter() - start
    start = time.perf_counter()
    images = sum(len(next(batches).images) for _ in range(LOADED_BATCHES))
    return {
        "items": len(data.table),
        "seconds": seconds,
        "megabytes": megabytes,
        "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024 - before,
        "processor_seconds": processor,
        "first_batch_seconds": first,
        "images_per_second": images / (time.perf_counter() - start),
    }


SUBJECTS: dict[str, Callable[[Path], dict[str, object] | None]] = {
    function.__name__: function for function in (first_batch_fastai, memory_fastai, memory_ours, setup_ours)
}

if __name__ == "__main__":
    name, root, result = sys.argv[1:]
    Path(result).write_text(json.dumps(SUBJECTS[name](Path(root))))
