"""Feed readers with damaged files: `python tests/zoo/fuzz.py photo.jpg model.json --n 20000 --seed 1`.

Runs as a process of its own, since a decoder that crashes takes its process with it. Prints a line of JSON a reader:
how many inputs were read, refused with one line, and went wrong. What goes wrong, or is read at a crash, stays.
"""

import argparse
import faulthandler
import json
import re
import resource
import sys
import tempfile
import warnings
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

SECONDS = 20.0
"""Longest time for one input."""
BYTES = 2 * 2**30
"""Memory that the process may take beyond what it had with everything imported: an image of MAX_PIXELS, and copies."""
LENGTHS = (
    b"\0",
    b"\xff",
    b"\0\0",
    b"\xff\xff",
    b"\0\0\0\0",
    b"\xff\xff\xff\xff",
    b"\x7f\xff\xff\xff",
    b"\xff\xff\xff\x7f",
)
TREATMENT = {
    "classes": ["a", "b"],
    "presize": {"size": 40, "method": "crop", "interpolation": "bilinear"},
    "size": 32,
    "interpolation": "bilinear, antialiased",
}
"""What a checkpoint says of its images."""
Reader = Callable[[Path], object]


def mutated(data: bytes, others: list[bytes], rng: np.random.Generator) -> bytes:
    """Damage an input in one to four places: flip, cut, splice, repeat, or write an extreme length."""
    damaged = bytearray(data)
    for _ in range(rng.integers(1, 5)):
        at, to = sorted(rng.integers(0, len(damaged) + 1, 2).tolist())
        kind = rng.choice(
            ["flip", "byte", "cut", "drop", "splice", "repeat", "length"], p=[0.3, 0.2, 0.05, 0.1, 0.1, 0.05, 0.2]
        )
        if kind == "cut":
            del damaged[to:]
        elif kind == "drop":
            del damaged[at : min(to, at + 16)]
        elif kind == "splice":
            other = others[rng.integers(len(others))]
            damaged[at:at] = other[at : at + int(rng.integers(1, 64))]
        elif kind == "repeat":
            damaged[at:at] = damaged[at:to]
        elif kind == "length":
            length = LENGTHS[rng.integers(len(LENGTHS))]
            damaged[at : at + len(length)] = length
        elif at < len(damaged):
            damaged[at] = rng.integers(256) if kind == "byte" else damaged[at] ^ (1 << rng.integers(8))
    return bytes(damaged[:65536])


def images(folder: Path) -> tuple[list[bytes], Reader]:
    from test_zoo_images import GOOD  # type: ignore[import-not-found]

    from pets.data.images import open_image

    return [data for data in GOOD.values() if len(data) < 20_000], open_image


def table(folder: Path) -> tuple[list[bytes], Reader]:
    from test_zoo_tables import FILES, GOOD  # type: ignore[import-not-found]

    from pets.data.sources.table import CsvTable

    for name in FILES:
        (folder / name).touch()
    return list(GOOD.values()), lambda path: CsvTable(path).listing()


def exclude(folder: Path) -> tuple[list[bytes], Reader]:
    from test_zoo_tables import FILES, GOOD  # type: ignore[import-not-found]

    from pets.data.image_table import read_excluded

    return list(GOOD.values()), lambda path: read_excluded(path, FILES)


def splits(folder: Path) -> tuple[list[bytes], Reader]:
    from pets.data.manifest import Split, read_manifest, write_manifest

    split = Split(*(np.array(part) for part in ([0, 1], [2], [3])))
    write_manifest(folder / "seed", ["a.jpg", "b.jpg", "c.jpg", "d.jpg", "e.jpg"], split, {"f.jpg": "broken"})
    return [(folder / "seed").read_bytes()], read_manifest


def model(folder: Path) -> tuple[list[bytes], Reader]:
    from pets.data.presize import Presize
    from pets.deploy.metadata import Metadata, read_metadata, write_metadata
    from pets.model.network import Network

    network = Network("resnet18", classes=["cat", "dog"], weights=None)
    write_metadata(Metadata(network.spec(), Presize(460), 224, 0.5), folder)
    return [(folder / "model.json").read_bytes()], lambda path: read_metadata(path.parent)


def weights(folder: Path) -> tuple[list[bytes], Reader]:
    import safetensors.torch
    import torch

    from pets.model.weights import read_state_dict

    return [safetensors.torch.save({"weight": torch.ones(2, 3), "bias": torch.zeros(2)})], read_state_dict


def checkpoint(folder: Path) -> tuple[list[bytes], Reader]:
    import torch

    from pets.model.checkpoint import read_checkpoint

    weights, spec = {"weight": torch.ones(2, 3)}, {"classes": ["a", "b"]}
    content = {"state_dict": weights, "pets": spec, "ImageDataModule": TREATMENT}
    seeds = []
    for zipped in (True, False):
        torch.save(content, folder / "seed", _use_new_zipfile_serialization=zipped)
        seeds.append((folder / "seed").read_bytes())
    return seeds, read_checkpoint


def resumed(folder: Path) -> tuple[list[bytes], Reader]:
    """Read what a fit takes up; the seed has every part of a checkpoint."""
    import torch

    from pets.callbacks.checkpoint_io import AtomicCheckpointIO

    progress = {"total": {"ready": 1, "completed": 1}, "current": {"ready": 1, "completed": 1}}
    best = str(folder / "best.ckpt")
    kept = {"best_model_path": best, "best_model_score": torch.tensor(0.5), "best_k_models": {best: torch.tensor(0.5)}}
    row = {"epoch": 0, "phase": "frozen", "train_loss": 1.0, "valid_loss": 1.0, "error_rate": 0.5, "seconds": 1.0}
    content = {
        "epoch": 1, "global_step": 2, "pytorch-lightning_version": "2.6.6", "state_dict": {"weight": torch.ones(2, 3)},
        "pets": {"classes": ["a", "b"]}, "ImageDataModule": TREATMENT,
        "loops": {"fit_loop": {"epoch_progress": progress}},
        "callbacks": {"ModelCheckpoint": kept, "History": {"rows": [row]}, "OneCycle": {"base_lr": None}},
        "optimizer_states": [{"state": {0: {"step": torch.tensor(1.0)}}, "param_groups": [{"name": "head"}]}],
        "lr_schedulers": [], "smoothed_loss": {"total": torch.zeros(())}, "start": {"epoch": 1, "images": 0},
    }  # fmt: skip
    torch.save(content, folder / "seed")
    plugin = AtomicCheckpointIO(folder)

    def read(path: Path) -> None:
        state = plugin.load_checkpoint(path)
        for each in state["callbacks"].values():
            named = [each.get("best_model_path"), *each.get("best_k_models", ())]
            if any(name and Path(name).parent != folder for name in named):
                raise AssertionError(f"it names {named}")

    return [(folder / "seed").read_bytes()], read


def predictions(folder: Path) -> tuple[list[bytes], Reader]:
    from pets.evaluation.predictions import Predictions

    probabilities = np.array([[0.25, 0.75], [0.9, 0.1]], np.float32)
    losses, files = np.ones(2, np.float32), np.array(["a.jpg", "b.jpg"])
    Predictions(probabilities, np.array([0, 1]), losses, files, ("cat", "dog")).save(folder)
    packed = (folder / "predictions.npz").read_bytes()
    columns: dict[str, Any] = {
        "probabilities": probabilities,
        "targets": np.array([0, 1]),
        "losses": losses,
        "files": files,
    }
    np.savez(folder / "predictions.npz", **columns, classes=np.array(["cat", "dog"]))
    return [packed, (folder / "predictions.npz").read_bytes()], lambda path: Predictions.load(path.parent)


def config(folder: Path) -> tuple[list[bytes], Reader]:
    from pets.runs.resume import read_yaml

    return [b"seed: 1\ndata:\n  root: /photos\n  list: [1, 'a', null, &x {b: 2}, *x]\n"], read_yaml


def metrics(folder: Path) -> tuple[list[bytes], Reader]:
    from pets.tasks.export import read_metrics

    record = {"valid/error_rate": 0.5, "n": {"train": 9, "valid": 4}, "split": {"method": "random"}, "seed": 0}
    return [json.dumps(record, indent=1).encode()], lambda path: read_metrics(str(path), path)


READERS: dict[str, Callable[[Path], tuple[list[bytes], Reader]]] = {
    "photo.jpg": images,
    "labels.csv": table,
    "exclude.csv": exclude,
    "splits.json": splits,
    "model.json": model,
    "model.safetensors": weights,
    "last.ckpt": checkpoint,
    "resumed.ckpt": resumed,
    "predictions.npz": predictions,
    "config.yaml": config,
    "metrics.json": metrics,
}
"""By the name of the file that is read: undamaged contents, and what reads it."""


def outcome(read: Reader, path: Path) -> str:
    """Say how reading one damaged file went: `read`, `refused`, or what is wrong with the refusal."""
    faulthandler.dump_traceback_later(SECONDS, exit=True)
    try:
        read(path)
    except (ValueError, OSError) as error:
        one_line = len(str(error).splitlines()) == 1 and path.name in str(error)
        return "refused" if one_line else f"wrong: {error!r} is not one line that names the file"
    except Exception as error:
        return f"wrong: {error!r}"
    finally:
        faulthandler.cancel_dump_traceback_later()
    return "read"


def fuzz(name: str, folder: Path, n: int, seed: int) -> Counter[str]:
    """Damage the seeds of one reader `n` times and count how reading went."""
    seeds, read = READERS[name](folder)
    path, rng = folder / name, np.random.default_rng(seed)
    results: Counter[str] = Counter()
    for i in range(n):
        path.write_bytes(mutated(seeds[rng.integers(len(seeds))], seeds, rng))
        result = outcome(read, path)
        results[result] += 1
        if result.startswith("wrong"):
            path.rename(folder / f"wrong_{i}_{name}")
    return results


def peak_bytes() -> int:
    """Return the most memory that this program had at once; getrusage counts that of the one that started it, too."""
    found = re.search(r"^VmHWM:\s+(\d+) kB$", Path("/proc/self/status").read_text(), re.MULTILINE)
    assert found
    return int(found[1]) * 1024


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("readers", nargs="+", choices=READERS)
    parser.add_argument("--n", type=int, default=2000, help="number of inputs of each reader")
    parser.add_argument("--seed", type=int, default=0, help="decides the damage")
    parser.add_argument("--folder", type=Path, default=None, help="where the damaged files lie; a temporary folder")
    options = parser.parse_args()
    folder = options.folder or Path(tempfile.mkdtemp(prefix="pets-fuzz-"))
    print(f"damaged files: {folder}", file=sys.stderr)
    warnings.simplefilter("ignore")
    import torch  # noqa: F401  (its address space is no input's doing)

    limit = resource.getpagesize() * int(Path("/proc/self/statm").read_text().split()[0]) + BYTES
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    for name in options.readers:
        results = fuzz(name, folder, options.n, options.seed)
        print(json.dumps({"file": name, "inputs": options.n, "peak_bytes": peak_bytes(), **results}), flush=True)


if __name__ == "__main__":
    main()
