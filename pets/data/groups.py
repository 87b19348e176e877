"""Groups of images that a split keeps together, and the splits of scikit-learn that do so, folds included."""

import re
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from pets.data.labels import search
from pets.data.sources.folder import ImageSource, examples
from pets.data.sources.table import CsvTable
from pets.errors import UserError

KEY = "data.split.group_by"


def groups_of(group_by: str, files: Sequence[str], source: ImageSource) -> np.ndarray:
    """Return the group of each file, int64 (n,).

    Args:
        group_by: `duplicates`, a column of the table, or for other sources a regular expression, which is searched for
            in the file name: its group `group`, or else its first, names the group.
        files: The files.
        source: Where they come from.

    Raises:
        UserError: The package imagehash is not installed, which `duplicates` needs; there is no such column, a cell of
            it is empty, or the expression does not fit.
    """
    if group_by == "duplicates":
        from pets.data.duplicates import near_duplicate_groups  # needs torch, which other splits do without

        return near_duplicate_groups(source.root, files)
    if isinstance(source, CsvTable):
        values = source.values(group_by)
        names = [values[file] for file in files]
        if empty := [file for file, name in zip(files, names, strict=True) if not name]:
            raise UserError(f"{KEY}={group_by}: the column is empty for {len(empty):,} files: {examples(empty)}")
    else:
        names = _found(group_by, files)
    groups: np.ndarray = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return groups


def _found(pattern: str, files: Sequence[str]) -> list[str]:
    try:
        regex = re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        raise UserError(
            f"{KEY}={pattern!r} is not allowed: duplicates, a column of a table, or a regular expression ({error})"
        ) from None
    if not regex.groups:
        raise UserError(
            f"{KEY}={pattern!r} is no column, as data=csv has them, and as a regular expression it needs a group "
            "that names what belongs together, as (.+)_"
        )
    group: str | int = "group" if "group" in regex.groupindex else 1
    matches = search(regex, files, KEY)
    names = [match[group] or "" if match else "" for match in matches]
    if failed := [file for file, name in zip(files, names, strict=True) if not name]:
        raise UserError(
            f"{KEY}={pattern!r} finds no group in {len(failed):,} of {len(files):,} file names: {examples(failed)}"
        )
    return names


def held_out(targets: np.ndarray, groups: np.ndarray | None, share: float, stratified: bool, state: int) -> np.ndarray:
    """Draw whole groups that hold about a share of the images: bool (n,).

    Args:
        targets: int64 (n,) class indices.
        groups: int64 (n,); None: each image is its own.
        share: In (0, 1). Of the groups if not `stratified`; else of the images, as the nearest of 1/2, 1/3, 1/4, ...
            or what these leave.
        stratified: Whether to keep the shares of the classes, as well as the groups permit.
        state: Seed of scikit-learn's generator.

    Raises:
        UserError: There are too few groups.
    """
    if stratified and share > 0.5:
        return ~held_out(targets, groups, 1 - share, stratified, state)
    if stratified:
        mask: np.ndarray = fold_of(targets, groups, round(1 / share), state) == 0
        return mask
    splitter = _model_selection().GroupShuffleSplit(1, test_size=share, random_state=state)
    return np.isin(np.arange(len(targets)), _held_out_sets(splitter, targets, groups)[0])


def fold_of(targets: np.ndarray, groups: np.ndarray | None, folds: int, state: int) -> np.ndarray:
    """Deal the images to folds so that each has its share of every class and no group is in two: int64 (n,).

    Raises:
        UserError: There are too few groups or images of every class.
    """
    kind = "StratifiedKFold" if groups is None else "StratifiedGroupKFold"
    splitter = getattr(_model_selection(), kind)(folds, shuffle=True, random_state=state)
    fold = np.empty(len(targets), dtype=np.int64)
    for number, indices in enumerate(_held_out_sets(splitter, targets, groups)):
        fold[indices] = number
    return fold


def _held_out_sets(splitter: Any, targets: np.ndarray, groups: np.ndarray | None) -> list[np.ndarray]:
    try:
        with warnings.catch_warnings():
            # A class of fewer images than folds is among what `survey.class_warning` says.
            warnings.filterwarnings("ignore", "The least populated class", UserWarning)
            return [held for _, held in splitter.split(targets, targets, groups)]
    except ValueError as error:
        there = "" if groups is None else f" in {len(np.unique(groups)):,} groups"
        raise UserError(f"data.split: {len(targets):,} images{there} cannot be split so: {error}") from None


def _model_selection() -> Any:
    try:
        import sklearn.model_selection as module
    except ImportError:
        raise UserError(
            'data.split.group_by and data.split.method=kfold need the package scikit-learn: pip install "pets[splits]"'
        ) from None
    return module
