"""The same images 1, 20 and 200 times over: set-up time, memory and rate must stay flat an item."""

from collections.abc import Iterator

from benchmarks.harness import Claim, Table
from benchmarks.images import repeated
from benchmarks.processes import answer
from benchmarks.settings import Settings

TIMES = (1, 20, 200)


def measure(settings: Settings) -> Iterator[Table]:
    """Yield three tables with one row a size."""
    seconds = Table("scaling_setup", "Set-up of the data: milliseconds an item", "ms", 3)
    memory = Table("scaling_memory", "Set-up of the data: kilobytes an item", "kB", 2)
    rate = Table("scaling_rate", "Rate of the first batches", "images/s", 0)
    roots = [repeated(settings.images, times, settings.out) for times in TIMES]
    for _ in range(settings.repeats):
        for root in roots:
            result = answer("setup_ours", root, settings.out)
            name = f"{result['items']} items"
            seconds.measures.setdefault(name, []).append(1e3 * result["seconds"] / result["items"])
            memory.measures.setdefault(name, []).append(1e3 * result["megabytes"] / result["items"])
            rate.measures.setdefault(name, []).append(result["images_per_second"])
    few, _, many = seconds.measures
    seconds.claims = [Claim(many, few, at_most=1.25)]
    memory.claims = [Claim(many, few, at_most=1.25)]
    rate.claims = [Claim(many, few, at_least=0.9)]
    yield from (seconds, memory, rate)
