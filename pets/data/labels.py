"""From file names to labels, and from labels to class indices."""

import re
import signal
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from types import FrameType

import numpy as np

from pets.data.sources.folder import examples
from pets.data.sources.table import CsvTable
from pets.errors import UserError
from pets.settings.data import Regex

_REGEX_SECONDS = 2.0
"""Processor time that a pattern may take on one name."""
_BLOCK = 1000
"""Names searched under one time limit: setting one takes longer than searching a name."""


class RegexLabeller(Regex):
    """Label = the group `label` of a regular expression found in the file name, or else its first group.

    As fastai's RegexLabeller on the attribute `name`: `re.search`, so anchor the pattern where that matters.

    Raises:
        UserError: The pattern does not compile or has no group.
    """

    @cached_property
    def _regex(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def __call__(self, files: Sequence[str]) -> list[str]:
        """Label the files.

        Raises:
            ValueError: The pattern finds no label in some of the names, or takes too long.
        """
        group: str | int = "label" if "label" in self._regex.groupindex else 1
        matches = search(self._regex, files, "data.labeller.pattern")
        labels = [match[group] or "" if match else "" for match in matches]
        failed = [file for file, label in zip(files, labels, strict=True) if not label]
        if failed:
            raise UserError(
                f"data.labeller.pattern={self.pattern!r} finds no label in {len(failed):,} of {len(files):,} "
                f"file names: {examples(failed)}"
            )
        return labels


def search(regex: re.Pattern[str], files: Sequence[str], key: str) -> list[re.Match[str] | None]:
    """Search for the pattern of a key of the configuration in the name of each file, without its folders.

    Raises:
        UserError: It takes more than `_REGEX_SECONDS` on one of them.
    """
    names = [file.rpartition("/")[2] for file in files]
    matches: list[re.Match[str] | None] = []
    for start in range(0, len(names), _BLOCK):
        block = names[start : start + _BLOCK]
        try:
            with _time_limit(_REGEX_SECONDS):
                found = [regex.search(name) for name in block]
        except TimeoutError:  # one by one, to find which name it is, if it is one
            found = [_search_alone(regex, name, key) for name in block]
        matches += found
    return matches


def _search_alone(regex: re.Pattern[str], name: str, key: str) -> re.Match[str] | None:
    try:
        with _time_limit(_REGEX_SECONDS):
            return regex.search(name)
    except TimeoutError:
        raise UserError(
            f"{key}={regex.pattern!r} takes more than {_REGEX_SECONDS:g} s on {name!r}: "
            "a repeat inside a repeat, as in (a+)+, can take for ever"
        ) from None


@contextmanager
def _time_limit(seconds: float) -> Iterator[None]:
    """Raise TimeoutError after `seconds` of processor time; without effect where no signal can interrupt."""
    if not hasattr(signal, "setitimer") or threading.current_thread() is not threading.main_thread():
        yield
        return

    def on_time(number: int, frame: FrameType | None) -> None:
        raise TimeoutError

    # Processor time, not the clock: a busy machine must not fail a good pattern.
    previous = signal.signal(signal.SIGVTALRM, on_time)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, previous)


class ParentLabeller:
    """Label = the name of the folder that holds the file (fastai's parent_label)."""

    def __call__(self, files: Sequence[str]) -> list[str]:
        """Label the files.

        Raises:
            ValueError: A file lies directly in the root.
        """
        labels = [file.rpartition("/")[0].rpartition("/")[2] for file in files]
        failed = [file for file, label in zip(files, labels, strict=True) if not label]
        if failed:
            raise UserError(
                f"data.labeller: {len(failed):,} of {len(files):,} files lie directly in data.root, in no folder that "
                f"could label them: {examples(failed)}"
            )
        return labels


class TableLabeller:
    """Label = what a table says."""

    def __init__(self, table: CsvTable) -> None:
        self.table = table

    def __call__(self, files: Sequence[str]) -> list[str]:
        """Label the files.

        Raises:
            ValueError: A file is not in the table.
        """
        failed = [file for file in files if file not in self._labels]
        if failed:
            raise UserError(
                f"{self.table.path} has no row for {len(failed):,} of {len(files):,} files: {examples(failed)}"
            )
        return [self._labels[file] for file in files]

    @cached_property
    def _labels(self) -> dict[str, str]:
        """Built once: `task=check` asks for a file at a time."""
        return self.table.labels()


@dataclass(frozen=True)
class Vocab:
    """The classes in the order of their indices.

    Args:
        classes: Distinct names; their order is kept.

    Raises:
        ValueError: No class, a name twice, or something that is not a name or cannot be encoded.
    """

    classes: tuple[str, ...]

    def __init__(self, classes: Iterable[str]) -> None:
        names = () if isinstance(classes, str) else tuple(classes)
        strangers = [name for name in names if not isinstance(name, str) or not name]
        if not names or strangers:
            raise UserError(f"data.classes={classes!r} must be a list of one or more names, each a non-empty string")
        undecoded = [name for name in names if any("\ud800" <= letter <= "\udfff" for letter in name)]
        if undecoded:
            raise UserError(f"the classes {examples(undecoded)} are no UTF-8: rename the files, or use data.relabel")
        twice = [name for name, count in Counter(names).items() if count > 1]
        if twice:
            raise UserError(f"data.classes names {examples(twice)} more than once")
        object.__setattr__(self, "classes", names)

    @classmethod
    def from_labels(cls, labels: Iterable[str]) -> "Vocab":
        """Collect the classes of a data set, sorted by code point: upper case first, as in fastai."""
        return cls(sorted(set(labels)))

    def encode(self, labels: Sequence[str]) -> np.ndarray:
        """Return int64 class indices of the shape of `labels`.

        Raises:
            ValueError: A label is not a class.
        """
        index = {name: i for i, name in enumerate(self.classes)}
        unknown = Counter(label for label in labels if label not in index)
        if unknown:
            raise UserError(
                f"{unknown.total():,} of {len(labels):,} labels are none of the {len(self)} classes of data.classes: "
                f"{examples(sorted(unknown))}"
            )
        return np.array([index[label] for label in labels], dtype=np.int64)

    def __len__(self) -> int:
        return len(self.classes)

    def __iter__(self) -> Iterator[str]:
        return iter(self.classes)

    def __getitem__(self, index: int) -> str:
        return self.classes[index]
