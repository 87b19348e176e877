"""The parts of a split, and the file splits.json that names the images of each."""

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from pets.errors import UserError
from pets.files import read_text, write_text
from pets.settings.parts import PARTS

MANIFEST_VERSION = 1


class Split(NamedTuple):
    """Sorted int64 indices into the files; no index is in two parts. `test` may be empty."""

    train: np.ndarray
    valid: np.ndarray
    test: np.ndarray


class Manifest(NamedTuple):
    """What splits.json holds."""

    parts: dict[str, list[str]]
    """Files by part."""
    left_out: dict[str, str]
    """Reasons by file."""


def write_manifest(path: str | Path, files: Sequence[str], split: Split, left_out: Mapping[str, str]) -> None:
    """Write which of the files is in which part, a hash of that, and why others are left out; whole or not at all.

    Files in no part of the split are added to `left_out`, the reasons by file.
    """
    parts = {part: [files[i] for i in indices] for part, indices in split._asdict().items()}
    used = np.zeros(len(files), dtype=bool)
    used[np.concatenate(split)] = True
    unused = {files[i]: "in no part of the split" for i in np.flatnonzero(~used).tolist()}
    text = json.dumps(
        {
            "version": MANIFEST_VERSION,
            "hash": _digest(parts),
            "parts": parts,
            "left_out": [{"file": file, "reason": reason} for file, reason in sorted({**unused, **left_out}.items())],
        },
        indent=1,
    )
    write_text(Path(path), text + "\n")


def read_manifest(path: str | Path) -> Manifest:
    """Read a splits.json back.

    Raises:
        FileNotFoundError: It does not exist.
        ValueError: It is not a manifest of this version, or was changed since it was written.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise FileNotFoundError(f"data.split.from={path} does not exist or is not a file")
    try:
        content = json.loads(read_text(path, "ascii"))
        version, recorded, parts = content["version"], content["hash"], content["parts"]
        left_out = {entry["file"]: entry["reason"] for entry in content["left_out"]}
        digest = _digest(parts)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise UserError(f"data.split.from={path} is not a split manifest: {error!r}") from error
    if version != MANIFEST_VERSION:
        raise UserError(
            f"data.split.from={path} has version {version!r}; this program reads version {MANIFEST_VERSION}"
        )
    if set(parts) != set(PARTS) or digest != recorded:
        raise UserError(f"data.split.from={path} was changed after it was written: its hash does not fit its parts")
    return Manifest(parts, left_out)


def _digest(parts: Mapping[str, Iterable[str]]) -> str:
    """Hash which name is in which part, whatever the order of either."""
    canonical = json.dumps({part: sorted(names) for part, names in parts.items()}, sort_keys=True)
    return hashlib.sha256(canonical.encode("ascii")).hexdigest()
