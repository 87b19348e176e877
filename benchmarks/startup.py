"""What a user waits for: the configuration printed, and the first training batch, each in a fresh process."""

import os
import subprocess
import sys
from collections.abc import Iterator

import lightning

from benchmarks import rivals
from benchmarks.harness import Case, Claim, Table, interleave
from benchmarks.processes import REPOSITORY, run
from benchmarks.settings import Settings
from benchmarks.subjects import ARCH, BATCH


class Stop(lightning.Callback):
    """Ends the process when the first training batch is ready."""

    def on_train_batch_start(self, *_: object) -> None:
        os._exit(0)


def measure(settings: Settings) -> Iterator[Table]:
    """Yield the time of `--cfg job`, then the time to the first batch."""
    print_config = ["train.py", "--cfg", "job"]
    table = Table("config", "python train.py --cfg job", "s", 2, claims=[Claim("ours", at_most=1.0)])
    table.measures = interleave([Case("ours", lambda: run(print_config))], settings.repeats)
    table.notes.append(f"imports torch: {_imports_torch(print_config)}")
    yield table

    root = settings.images.root.resolve()
    train = ["train.py", "data=regex", f"data.root={root}", f"data.batch_size={BATCH}", f"model={ARCH}"]
    train += [f"data.num_workers={rivals.WORKERS}", "model.weights=null", "trainer=cpu"]
    train += [f"run_dir={(settings.out / 'first_batch').resolve()}", "hydra.output_subdir=null"]
    train += ["+callbacks.stop._target_=benchmarks.startup.Stop"]
    cases = [Case("ours", lambda: run(train))]
    table = Table("first_batch", "From the start of the process to the first training batch", "s", 2)
    table.claims = [Claim("ours", "fastai", at_most=0.8)]
    if rivals.available():
        rival = ["-m", "benchmarks.subjects", "first_batch_fastai", str(root), os.devnull]
        cases.append(Case("fastai", lambda: run(rival)))
    else:
        table.notes.append(rivals.MISSING)
    table.measures = interleave(cases, settings.repeats)
    yield table


def _imports_torch(arguments: list[str]) -> bool:
    command = [sys.executable, "-X", "importtime", *arguments]
    listing = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, check=True).stderr
    return any(line.rpartition("|")[2].strip() == "torch" for line in listing.splitlines())
