"""The LR range test as pure functions: the rates to try, the smoothed loss, what the curve suggests, and a verdict.

The rules are those of fastai's `lr_find` (`valley`, `slide`, `steep`, `minimum`), to the digit.
"""

import json
import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field

import numpy as np

SMOOTHING = 0.98
DIVERGED = 4.0
"""The test ends when the smoothed loss exceeds its lowest value this many times."""
MIN_POINTS = 16
"""Points that the rules need after trimming: `slide` compares slopes 15 points apart."""
MIN_DESCENT = 0.1
"""The smoothed loss must fall by this share of its value at the start before a suggestion is believed."""
MIN_SIGNAL = 4.0
"""It must also fall by this many standard errors of the smoothed loss, or the descent may be noise."""
CONFIRMED = 10.0
"""Largest ratio between `valley` and the nearer of `slide` and `steep`: noise misleads either, seldom both."""
FAR = 1000.0
"""Largest ratio between `valley` and any suggestion that is to be used."""


def learning_rate(step: int, num_steps: int, start: float, end: float) -> float:
    """Return the learning rate of a step of the test: exponential from `start`; `end` itself is never reached."""
    return float(start * (end / start) ** (step / num_steps))


def smooth(losses: Sequence[float], beta: float = SMOOTHING) -> list[float]:
    """Return the exponential moving average with bias correction (fastai's `AvgSmoothLoss`)."""
    average, smoothed = 0.0, []
    for n, loss in enumerate(losses, start=1):
        average = beta * average + (1 - beta) * loss
        smoothed.append(average / (1 - beta**n))
    return smoothed


def has_diverged(smoothed: Sequence[float]) -> bool:
    """Tell whether the test should end here: the last smoothed loss is not finite, or DIVERGED times the lowest."""
    return not math.isfinite(smoothed[-1]) or smoothed[-1] > DIVERGED * min(smoothed)


def valley(lrs: np.ndarray, losses: np.ndarray) -> float:
    """Return the learning rate half-way down the longest run of (not necessarily adjacent) falling losses.

    The start of the run is taken to be its end minus its length, as in fastai, which is one point early at best; where
    that gives a point before the curve, the first point is returned.
    """
    lengths = np.ones(len(losses), dtype=np.int64)
    for i in range(1, len(losses)):
        before = lengths[:i][losses[:i] > losses[i]]
        lengths[i] = before.max(initial=0) + 1
    end = int(lengths.argmax())
    start, third = end - int(lengths[end]), lengths[end] / 3
    return float(lrs[max(start + int(third) + int(third / 2), 0)])


def slide(lrs: np.ndarray, losses: np.ndarray, width: int = 15, threshold: float = 0.005) -> float:
    """Return where a window of `width` points, moved from the right to the left, first has equal slopes at its ends."""
    slopes = np.gradient(losses)
    left = len(losses) - 1 - width
    found = left
    while left >= 0 and abs(slopes[left + width] - slopes[left]) > threshold:
        found = left
        left -= 1
    return float(lrs[found])


def steep(lrs: np.ndarray, losses: np.ndarray) -> float:
    """Return the learning rate at which the loss falls fastest for a relative change of the learning rate."""
    return float(lrs[(np.diff(losses) / np.diff(np.log(lrs))).argmin()])


def minimum(lrs: np.ndarray, losses: np.ndarray) -> float:
    """Return a tenth of the learning rate of the lowest loss."""
    return float(lrs[losses.argmin()] / 10)


RULES: dict[str, Callable[[np.ndarray, np.ndarray], float]] = {
    "valley": valley,
    "slide": slide,
    "steep": steep,
    "minimum": minimum,
}


WHY = {
    "valley": "half-way down the longest fall of the loss",
    "slide": "the last rate before the slope of the loss changes",
    "steep": "where the loss falls fastest",
    "minimum": "a tenth of the rate of the lowest loss",
}
"""What each rule looks for."""


def label(rule: str) -> str:
    """Return the name of a rule for people, who would look for `minimum` at the lowest loss."""
    return "minimum / 10" if rule == "minimum" else rule


def trim(values: Sequence[float], num_steps: int) -> np.ndarray:
    """Return the part that the rules look at: without the first tenth of the test and the last 5 points."""
    return np.asarray(values[num_steps // 10 : -5], dtype=np.float64)


@dataclass(frozen=True)
class LRCurve:
    """The result of a range test. All values are plain, so that it can be written as JSON."""

    lrs: list[float] = field(repr=False)
    """Learning rate of the head at each step; the other groups keep their ratio to it."""
    losses: list[float] = field(repr=False)
    """Training loss of each step; the curve ends before the first one that is not finite."""
    num_steps: int
    """Steps planned; fewer points mean that the loss diverged."""
    batch_size: int
    """Images an optimizer step, of all processes and accumulated batches together."""
    smoothed: list[float] = field(init=False, repr=False)
    suggestions: dict[str, float] = field(init=False)
    """Learning rate by rule; empty with too few points."""
    doubt: str | None = field(init=False)
    """Why no suggestion is reliable; None when they are."""

    def __post_init__(self) -> None:
        finite = next((i for i, loss in enumerate(self.losses) if not math.isfinite(loss)), len(self.losses))
        object.__setattr__(self, "lrs", list(self.lrs[:finite]))
        object.__setattr__(self, "losses", list(self.losses[:finite]))
        smoothed = smooth(self.losses)
        lrs, losses = trim(self.lrs, self.num_steps), trim(smoothed, self.num_steps)
        enough = len(losses) >= MIN_POINTS
        suggestions = {name: rule(lrs, losses) for name, rule in RULES.items()} if enough else {}
        object.__setattr__(self, "smoothed", smoothed)
        object.__setattr__(self, "suggestions", suggestions)
        object.__setattr__(self, "doubt", self._doubt(losses))

    @property
    def reliable(self) -> bool:
        """Whether the suggestions can be believed."""
        return self.doubt is None

    def _doubt(self, losses: np.ndarray) -> str | None:
        if len(losses) < MIN_POINTS:
            return f"only {len(self.losses)} of {self.num_steps} steps before the loss diverged"
        fall = losses[0] - losses.min()
        if losses.argmin() == len(losses) - 1 and len(self.losses) == self.num_steps:
            return "the loss still falls at the highest learning rate: raise end_lr"
        if fall < max(MIN_DESCENT * abs(losses[0]), MIN_SIGNAL * self._standard_error()):
            return f"the loss hardly falls ({losses[0]:.3g} to {losses.min():.3g}) before it rises"
        if (apart := min(self._from_valley("slide"), self._from_valley("steep"))) > CONFIRMED:
            return f"slide and steep are at least a factor of {apart:.0f} away from valley"
        return None

    def doubt_about(self, rule: str) -> str | None:
        """Return why the suggestion of one rule should not be used; None when it can be."""
        if self.reliable and (apart := self._from_valley(rule)) > FAR:
            return f"{rule} is a factor of {apart:.0f} away from valley"
        return self.doubt

    def _from_valley(self, rule: str) -> float:
        return math.exp(abs(math.log(self.suggestions[rule] / self.suggestions["valley"])))

    def _standard_error(self) -> float:
        """Return the standard error of the smoothed loss where the trimmed curve starts."""
        skipped = max(self.num_steps // 10, 1)
        noise = np.median(np.abs(np.diff(self.losses))) / 0.954  # median of |a - b| for two draws with deviation 1
        return float(noise / math.sqrt(skipped))

    def to_json(self) -> str:
        """Return the curve as a JSON object."""
        return json.dumps(asdict(self), indent=2, allow_nan=False)
