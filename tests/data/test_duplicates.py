"""Near-duplicates: pairs, clusters, and a split that keeps them together."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pets.data.duplicates import Pair, clusters, near_duplicates
from pets.data.sources.folder import ImageFolder, list_images
from pets.data.splits import SplitRule


def test_a_chain_of_pairs_is_one_cluster() -> None:
    pairs = [Pair(4, 5, 0), Pair(1, 2, 1), Pair(2, 4, 3), Pair(0, 6, 2)]
    assert clusters(7, pairs).tolist() == [0, 1, 1, 3, 1, 1, 0]
    assert clusters(0, []).tolist() == []


def test_clusters_do_not_depend_on_the_order_of_the_pairs() -> None:
    hashes = np.random.default_rng(0).integers(0, 64, 200).astype(np.uint64)
    pairs = near_duplicates(hashes, 1)
    assert np.array_equal(clusters(200, pairs), clusters(200, pairs[::-1]))


def test_near_duplicates_stay_in_one_part(tmp_path: Path) -> None:
    pytest.importorskip("imagehash")
    pytest.importorskip("sklearn")
    rng = np.random.default_rng(1)
    for i in range(20):
        picture = Image.fromarray(rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize((96, 96), Image.BICUBIC)
        picture.save(tmp_path / f"{i:02}.jpg", quality=95)
        picture.resize((70, 70)).save(tmp_path / f"{i:02}_again.jpg", quality=60)
    (tmp_path / "broken.jpg").write_bytes(b"\xff\xd8\xff")
    files = list_images(tmp_path).files
    targets = np.zeros(len(files), dtype=np.int64)
    source = ImageFolder(tmp_path)
    together = SplitRule(group_by="duplicates")(files, targets, ["a"], source)
    apart = SplitRule()(files, targets, ["a"], source)

    def names(indices: np.ndarray) -> set[str]:
        return {files[i][:2] for i in indices}

    assert len(np.concatenate(together)) == 41
    assert not names(together.train) & names(together.valid)
    assert names(apart.train) & names(apart.valid)
