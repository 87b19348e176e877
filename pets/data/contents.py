"""From a source to its labelled and split items: what is left out, what is labelled anew, and what the result holds."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from pets.data.corrections import find_undecodable, read_excluded, read_relabelled
from pets.data.files import Source
from pets.data.items import Items
from pets.data.labels import Vocab
from pets.data.splits import Split, SplitRule

Part = Literal["train", "valid", "test"]


class Contents(NamedTuple):
    """A data set, ready to be loaded."""

    items: Items
    split: Split
    """Indices into the items, by part."""
    left_out: dict[str, str]
    """Why images were left out, by file."""
    ignored: dict[str, int]
    """How many entries of the folder are not images, by suffix or reason."""

    def indices(self, part: Part) -> np.ndarray:
        """Return the indices into the items of one part.

        Raises:
            ValueError: The part is unknown or empty.
        """
        if part not in Split._fields:
            raise ValueError(f"part={part!r} must be one of {', '.join(Split._fields)}")
        indices: np.ndarray = getattr(self.split, part)
        if not len(indices):
            raise ValueError(
                f"the part {part!r} is empty; data.split.test_pct or data.split.method=official fills 'test'"
            )
        return indices

    def __str__(self) -> str:
        sizes = ", ".join(f"{len(indices):,} {part}" for part, indices in self.split._asdict().items() if len(indices))
        text = f"{len(self.items):,} images of {len(self.items.vocab)} classes in {self.items.root}: {sizes}"
        if self.left_out:
            text += f"; left out: {len(self.left_out):,}"
        if self.ignored:
            text += "; ignored: " + ", ".join(f"{count:,} {reason}" for reason, count in sorted(self.ignored.items()))
        return text


def read_contents(
    source: Source,
    labeller: Callable[[Sequence[str]], list[str]],
    rule: SplitRule,
    *,
    classes: Vocab | None = None,
    on_error: str = "raise",
    exclude: str | Path | None = None,
    relabel: str | Path | None = None,
    show_progress: bool = False,
) -> Contents:
    """List, label and split the images of a source; the arguments are those of `PetsDataModule`.

    Raises:
        FileNotFoundError: Something named in the configuration does not exist.
        ValueError: The files, their labels or the split are not as they should be.
    """
    listing = source.listing()
    left_out = {} if exclude is None else read_excluded(exclude, listing.files)
    files = [file for file in listing.files if file not in left_out]
    if not files:
        raise ValueError(f"data.exclude={exclude} leaves none of {len(listing.files):,} images")
    labels = dict(zip(files, labeller(files), strict=True))
    if relabel is not None:
        labels |= read_relabelled(relabel, source.root, files)
    if on_error == "skip":
        left_out |= find_undecodable(source.root, files, show_progress)
        files = [file for file in files if file not in left_out]
    vocab = classes or Vocab.from_labels(labels[file] for file in files)
    targets = vocab.encode([labels[file] for file in files])
    split = rule(files, targets, vocab.classes, source, left_out)
    return Contents(Items(source.root, np.array(files), targets, vocab), split, left_out, listing.ignored)
