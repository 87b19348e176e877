"""Folders train, valid and test in the root, as torchvision, timm, Ultralytics and Kaggle lay data out."""

from collections import Counter
from collections.abc import Mapping, Sequence

from pets.data.sources.folder import examples
from pets.errors import UserError
from pets.settings.parts import PARTS

PART_NAMES = {"train": "train", "valid": "valid", "val": "valid", "validation": "valid", "test": "test"}
"""The part that a folder of this name, in upper or lower case, holds."""


def part_folders(files: Sequence[str]) -> dict[str, list[str]] | None:
    """Return the files by the part that their first folder names; None if there is more or less than part folders.

    There are part folders where every file is in one, each part is in one, and `train` is beside another part. The
    files are POSIX paths relative to the root.
    """
    tops = Counter(map(_top, files))
    parts = {top: PART_NAMES[top.lower()] for top in tops if top.lower() in PART_NAMES}
    held = set(parts.values())
    if len(parts) < len(tops) or len(held) < len(parts) or "train" not in held or len(held) == 1:
        return None
    found: dict[str, list[str]] = {part: [] for part in parts.values()}
    for file in files:
        found[parts[_top(file)]].append(file)
    return found


def refuse_mixture(files: Sequence[str]) -> None:
    """Raise for files that `part_folders` knows no parts of, although a folder that is named as a part holds folders.

    A folder `train` with images directly in it is a class: of vehicles, say.

    Raises:
        UserError: There is such a folder.
    """
    if any(file.count("/") > 1 and _top(file).lower() in PART_NAMES for file in files):
        raise no_part_folders(files)


def no_part_folders(files: Sequence[str]) -> UserError:
    """Return the error that says what is there instead of part folders."""
    tops = Counter(map(_top, files))
    loose = tops.pop("", 0)
    there = [f"{top}/ ({count:,} images)" for top, count in tops.items() if top.lower() in PART_NAMES]
    if others := [top for top in tops if top.lower() not in PART_NAMES]:
        there.append(f"{len(others):,} other folders ({examples(others, 3)})")
    if loose:
        there.append(f"{loose:,} images in no folder")
    return UserError(
        f"data.split: data.root holds {', '.join(there)}; part folders are train/ beside valid/ (or val/, validation/) "
        "or test/, one each, and nothing else; data.split.method=random gives such names no meaning"
    )


def refuse_unlabelled(files: Sequence[str], labels: Sequence[str]) -> None:
    """Raise for a file directly in a part folder that has the folder's name as its label.

    Raises:
        UserError: There is such a file.
    """
    bare = [file for file, label in zip(files, labels, strict=True) if file.count("/") == 1 and label == _top(file)]
    if bare:
        raise UserError(
            f"data.split.method=folders: {len(bare):,} images lie directly in a part folder, in no class folder that "
            f"could label them: {examples(bare, 3)}; without labels they are for task=predict: move them out of "
            "data.root, or name them in data.exclude"
        )


def told(parts: Mapping[str, Sequence[str]]) -> str:
    """Return the sizes of the parts, for a line on the console."""
    return ", ".join(f"{len(parts[part]):,} {part}" for part in PARTS if part in parts)


def _top(file: str) -> str:
    """Return the first folder of a path, or nothing."""
    return file.partition("/")[0] if "/" in file else ""
