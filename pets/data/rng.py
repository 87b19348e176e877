"""Random numbers as functions of a key, so that nothing random accumulates and nothing needs to be saved.

Every use names its purpose (a `Stream`) and its key (epoch, index, ...). The same key always gives
the same numbers, whatever the number of workers, the batch size or the history of the process.
"""

from enum import IntEnum

import numpy as np


class Stream(IntEnum):
    """The purposes that need random numbers; each has its own independent stream."""

    SPLIT = 0
    ORDER = 1
    AUGMENT = 2
    TTA = 3
    STEP = 4
    DEMO = 5
    MIX = 6


def generator(seed: int, stream: Stream, *key: int) -> np.random.Generator:
    """Return the generator of one purpose at one key of integers, 0 or more each, such as (epoch, index)."""
    return np.random.default_rng(np.random.SeedSequence(seed, spawn_key=(stream, *key)))


def random_uniforms(seed: int, stream: Stream, *key: int, n: int) -> np.ndarray:
    """Return `n` float32 numbers in [0, 1) for one purpose at one key."""
    return generator(seed, stream, *key).random(n, dtype=np.float32)
