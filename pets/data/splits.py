"""From a list of files to the indices of the training, validation and test parts."""

import logging
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace

import numpy as np

from pets.data.groups import fold_of, groups_of, held_out
from pets.data.manifest import Split, read_manifest
from pets.data.rng import Stream, generator
from pets.data.sources.folder import ImageSource, examples
from pets.data.sources.part_folders import no_part_folders, part_folders, refuse_mixture, refuse_unlabelled, told
from pets.data.sources.table import CsvTable
from pets.errors import UserError
from pets.settings.data import Split as SplitSettings
from pets.settings.parts import PARTS

_log = logging.getLogger(__name__)


class SplitRule(SplitSettings):
    """How the files are split; the settings are those of `pets.settings.data.Split`.

    `auto` takes the parts that lie in folders train, valid and test, and is else `random`; `folders` asks for them.
    `random` is fastai's RandomSplitter with a generator of its own: the first floor(n * valid_pct) places of a
    permutation are for validation; the last floor(n * test_pct) are the test part, so that neither share moves the
    other part. `stratified` takes the same totals from the classes in proportion. `official` and `column` read the
    parts that come with the data. `kfold` validates on one of the equal, stratified folds; with `group_by`, or folds,
    the parts are scikit-learn's, and their sizes are as near to the shares as whole groups permit.

    Raises:
        UserError: A setting is outside its range.
    """

    def __call__(
        self,
        files: Sequence[str],
        targets: np.ndarray,
        classes: Sequence[str],
        source: ImageSource,
        left_out: Collection[str] = (),
    ) -> Split:
        """Split the files.

        Args:
            files: The files to split.
            targets: int64 (n,) class indices of the files.
            classes: Class names.
            source: Where the files come from; asked for the parts by `official` and `column`. The rows of a table
                have no parts by their folders unless `folders` asks for them.
            left_out: Files that the data have but `files` leaves out on purpose; a given part may name them.

        Raises:
            FileNotFoundError: There is no manifest at the given path.
            ValueError: A part is empty, a class has no file to train on, or the given parts do not fit the files.
        """
        if self.manifest is not None:
            manifest = read_manifest(self.manifest)
            split = _given(manifest.parts, files, {*left_out, *manifest.left_out}, f"data.split.from={self.manifest}")
        elif self.method == "official":
            split = _given(source.official(), files, left_out, "data.split.method=official")
        elif self.method == "column":
            if not isinstance(source, CsvTable):
                raise UserError("data.split.method=column needs a table, as data=csv gives")
            split = _given(source.column(), files, left_out, "data.split.method=column")
        elif parts := self._part_folders(files, source):
            refuse_unlabelled(files, [classes[target] for target in targets])
            split = _given(parts, files, left_out, "data.split.method=folders")
            if "valid" not in parts:
                split = self._with_valid(split, files, targets, len(classes), source)
        else:
            split = self._divide(files, targets, len(classes), source)
        _check(split, targets, classes, test_wanted=self.test_pct > 0)
        return split

    def _part_folders(self, files: Sequence[str], source: ImageSource) -> dict[str, list[str]] | None:
        """Return the parts that folders name; None if they name none, or are not asked for."""
        if self.method != "folders" and isinstance(source, CsvTable):
            return None
        parts = part_folders(files)
        if self.method == "folders" and parts is None:
            raise no_part_folders(files)
        if self.method == "auto" and parts is None:
            refuse_mixture(files)
        elif self.method == "auto" and parts is not None:
            valid = "" if "valid" in parts else f"; {self.valid_pct:.0%} of train become valid"
            _log.info("data.split.method=auto: the folders are the parts: %s%s", told(parts), valid)
            if self.test_pct:
                _log.warning("data.split.test_pct=%s has no effect: the folders are the parts", self.test_pct)
        elif self.method != "folders" and parts is not None:
            _log.warning(
                "data.split.method=%s draws new parts from the folders of all parts (%s); folders keeps them apart",
                self.method,
                told(parts),
            )
            return None
        return parts

    def _with_valid(
        self, split: Split, files: Sequence[str], targets: np.ndarray, n_classes: int, source: ImageSource
    ) -> Split:
        """Return parts whose training images are divided anew, in training and validation."""
        train_files = [files[i] for i in split.train]
        inner = replace(self, test_pct=0.0)._divide(train_files, targets[split.train], n_classes, source)
        return Split(split.train[inner.train], split.train[inner.valid], split.test)

    def _divide(self, files: Sequence[str], targets: np.ndarray, n_classes: int, source: ImageSource) -> Split:
        groups = None if self.group_by is None else groups_of(self.group_by, files, source)
        if groups is None and self.method != "kfold":
            return self._random(targets, n_classes)
        stratified = self.method in ("stratified", "kfold")
        state = int(generator(self.seed, Stream.SPLIT).integers(2**32))
        # The test part first: it is the same for every fold and every share of validation.
        test = np.zeros(len(files), dtype=bool)
        if self.test_pct:
            test = held_out(targets, groups, self.test_pct, stratified, state)
        rest = np.flatnonzero(~test)
        targets, groups = targets[rest], None if groups is None else groups[rest]
        if self.method == "kfold":
            valid = fold_of(targets, groups, self.folds, state) == self.fold
        else:
            valid = held_out(targets, groups, self.valid_pct / (1 - self.test_pct), stratified, state)
        return Split(rest[~valid], rest[valid], np.flatnonzero(test))

    def _random(self, targets: np.ndarray, n_classes: int) -> Split:
        order = generator(self.seed, Stream.SPLIT).permutation(len(targets))
        groups = [order]
        if self.method == "stratified":
            groups = [order[targets[order] == target] for target in range(n_classes)]
        sizes = np.array([len(group) for group in groups])
        n_valid = _allot(self.valid_pct, sizes, sizes - 1)
        n_test = _allot(self.test_pct, sizes, sizes - 1 - n_valid)
        parts: dict[str, list[np.ndarray]] = {part: [] for part in PARTS}
        for group, first, last in zip(groups, n_valid, sizes - n_test, strict=True):
            parts["valid"].append(group[:first])
            parts["train"].append(group[first:last])
            parts["test"].append(group[last:])
        return Split(**{part: np.sort(np.concatenate(indices)) for part, indices in parts.items()})


def _allot(share: float, sizes: np.ndarray, most: np.ndarray) -> np.ndarray:
    """Share floor(n * share) of n items out over groups of the given sizes: largest remainder, at most `most` each."""
    n = int(sizes.sum())
    total = int(n * share)
    taken: np.ndarray = np.clip(sizes * total // max(n, 1), 0, np.maximum(most, 0))
    for _ in range(total - int(taken.sum())):
        lacking = np.where(taken < most, sizes * total - taken * n, -np.inf)
        if np.isneginf(lacking).all():
            raise UserError(
                f"data.split: {total} of {n} files cannot be taken so that one of every class is left to train on"
            )
        taken[np.argmax(lacking)] += 1
    return taken


def _given(parts: Mapping[str, Sequence[str]], files: Sequence[str], left_out: Collection[str], origin: str) -> Split:
    """Turn named parts into indices into `files`."""
    index = {file: i for i, file in enumerate(files)}
    named = [name for part in PARTS for name in parts.get(part, ())]
    twice = [name for name, count in Counter(named).items() if count > 1]
    if twice:
        raise UserError(f"{origin}: {len(twice):,} files are named twice, so that parts overlap: {examples(twice)}")
    missing = sorted(set(named) - set(index) - set(left_out))
    if missing:
        raise UserError(
            f"{origin}: {len(missing):,} of {len(named):,} files that it names are not in the data: {examples(missing)}"
        )
    extra = sorted(set(index) - set(named) - set(left_out))
    if extra:
        _log.warning(
            "%s names no part for %d of %d files; not used: %s", origin, len(extra), len(files), examples(extra)
        )
    return Split(
        *(np.array(sorted(index[n] for n in parts.get(part, ()) if n in index), dtype=np.int64) for part in PARTS)
    )


def _check(split: Split, targets: np.ndarray, classes: Sequence[str], test_wanted: bool) -> None:
    for part, indices in zip(PARTS, split, strict=True):
        if not len(indices) and (part != "test" or test_wanted):
            raise UserError(f"data.split: the part {part!r} of {len(targets):,} files is empty")
    counts = np.bincount(targets[split.train], minlength=len(classes))
    missing = [name for name, count in zip(classes, counts, strict=True) if not count]
    if missing:
        raise UserError(
            f"data.split: {len(missing)} of {len(classes)} classes have no file to train on: {examples(missing)}; "
            "data.split.method=stratified keeps one of each"
        )
