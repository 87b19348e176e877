"""The embedded demo set: drawn on first use, offline, the same for the same seed."""

import logging
from pathlib import Path

from filelock import FileLock

from pets.data.rng import Stream, generator
from pets.data.sources.drawn.animal import Breed
from pets.data.sources.folder import ImageFolder
from pets.files import fresh_folder
from pets.settings.data import Demo

BREEDS = (
    Breed("Spotted_Ocicat", is_cat=True, ears="pointed", pattern="spots", coats=("ginger", "silver", "sand")),
    Breed("Striped_Tabby", is_cat=True, ears="pointed", pattern="stripes", coats=("ginger", "silver", "chocolate")),
    Breed("Masked_Siamese", is_cat=True, ears="pointed", pattern="mask", coats=("silver", "sand", "snow")),
    Breed("Patched_Fold", is_cat=True, ears="round", pattern="patches", coats=("ginger", "silver", "snow")),
    Breed("spotted_terrier", is_cat=False, ears="floppy", pattern="spots", coats=("sand", "chocolate", "snow")),
    Breed("striped_hound", is_cat=False, ears="floppy", pattern="stripes", coats=("ginger", "sand", "chocolate")),
    Breed("masked_bear_dog", is_cat=False, ears="round", pattern="mask", coats=("ginger", "chocolate", "sand")),
    Breed("patched_spaniel", is_cat=False, ears="floppy", pattern="patches", coats=("chocolate", "snow", "silver")),
)
"""As in Oxford-IIIT Pet, the names of cats begin with a capital letter."""

_log = logging.getLogger(__name__)


class DemoSet(ImageFolder):
    """Drawn animal heads of eight breeds: JPEG, 200 to 500 pixels, named as `spotted_terrier_12.jpg`.

    Args:
        root: The folder that receives the set, in a folder of its own for every seed and size.
        seed: Decides every stroke.
        per_breed: Number of images of each breed.

    Raises:
        ValueError: An option is outside its range.
    """

    def __init__(self, root: str | Path, seed: int = 0, per_breed: int = 30) -> None:
        Demo(root, seed, per_breed)
        super().__init__(Path(root).expanduser() / f"demo-seed{seed}-{len(BREEDS)}x{per_breed}", recursive=False)
        self.seed = seed
        self.per_breed = per_breed

    def prepare(self) -> None:
        """Draw the set, unless it is there; its folder appears when it is complete."""
        if self.root.is_dir():
            return
        self.root.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(self.root.with_name(f".{self.root.name}.lock")):
            if self.root.is_dir():
                return
            _log.info("drawing %d images into %s", len(BREEDS) * self.per_breed, self.root)
            # A fixed name, under the lock: what a killed run left behind goes now.
            temporary = fresh_folder(self.root.with_name(f".{self.root.name}.partial"))
            for b, breed in enumerate(BREEDS):
                for number in range(self.per_breed):
                    self._paint(breed, temporary / f"{breed.name}_{number + 1}.jpg", b, number)
            temporary.replace(self.root)

    def _paint(self, breed: Breed, path: Path, *key: int) -> None:
        from pets.data.sources.drawn.photograph import paint_photograph

        paint_photograph(breed, generator(self.seed, Stream.DEMO, *key)).save(path, quality=92)
