"""The sampler: which items, in which order, for which process."""

from typing import Any

import numpy as np
import pytest

from pets.data.batch import Request
from pets.data.sampler import SeededSampler, Start, balanced_order


def test_training_order_is_a_permutation_of_the_epoch() -> None:
    sampler = SeededSampler(50, seed=0, shuffle=True)
    first = list(sampler)
    sampler.set_epoch(1)
    second = list(sampler)
    assert len(sampler) == 50
    for epoch, requests in enumerate((first, second)):
        assert {request[0] for request in requests} == {epoch}
        assert sorted(request[1] for request in requests) == list(range(50))
        assert not any(request.padding for request in requests)
    assert [request[1] for request in first] != [request[1] for request in second]
    sampler.set_epoch(0)
    assert list(sampler) == first
    assert list(SeededSampler(50, seed=1, shuffle=True)) != first


@pytest.mark.parametrize(("n", "world_size"), [(7, 2), (12, 3), (5, 5), (10, 4)])
def test_training_shares_are_equal_and_disjoint(n: int, world_size: int) -> None:
    shares = [list(SeededSampler(n, shuffle=True, rank=rank, world_size=world_size)) for rank in range(world_size)]
    assert {len(share) for share in shares} == {n // world_size}
    union = [request[1] for share in shares for request in share]
    assert len(set(union)) == len(union) == n // world_size * world_size
    whole = list(SeededSampler(n, shuffle=True))
    assert [request for together in zip(*shares, strict=True) for request in together] == whole[: len(union)]


def test_what_one_epoch_leaves_out_another_takes() -> None:
    taken = set()
    for epoch in range(20):
        sampler = SeededSampler(7, shuffle=True, world_size=2, epoch=epoch)
        taken |= {request[1] for request in sampler}
    assert taken == set(range(7))


@pytest.mark.parametrize(("n", "world_size"), [(7, 2), (8, 2), (1, 4), (10, 4), (6, 1)])
def test_evaluation_counts_every_item_once(n: int, world_size: int) -> None:
    samplers = [SeededSampler(n, rank=rank, world_size=world_size) for rank in range(world_size)]
    shares = [list(sampler) for sampler in samplers]
    assert {len(share) for share in shares} == {len(samplers[0])} == {-(-n // world_size)}
    counted = [request[1] for share in shares for request in share if not request.padding]
    assert sorted(counted) == list(range(n))
    assert all(0 <= request[1] < n for share in shares for request in share)


def test_items_in_order_keep_their_epoch() -> None:
    sampler = SeededSampler(3, epoch=4)
    sampler.set_epoch(9)
    assert list(sampler) == [Request(4, 0), Request(4, 1), Request(4, 2)]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_resumed_epoch_leaves_out_what_had_its_turn(rank: int) -> None:
    whole, rest = (
        SeededSampler(11, shuffle=True, rank=rank, world_size=2, start=start) for start in (Start(), Start(3, 2))
    )
    for epoch, done in ((2, 0), (3, 2), (4, 0)):
        whole.set_epoch(epoch)
        rest.set_epoch(epoch)
        assert list(rest) == list(whole)[done:]
        assert len(rest) == len(whole) == 5


def test_too_few_items_to_share() -> None:
    with pytest.raises(ValueError, match="3 training images cannot be shared among 4 processes"):
        SeededSampler(3, shuffle=True, world_size=4)


RARE = np.repeat([0, 1, 2], [40, 8, 3])
"""Classes of 51 items."""


def balanced(**options: Any) -> SeededSampler:
    return SeededSampler(51, shuffle=True, balance=RARE, **options)


def test_a_balanced_epoch_has_each_class_as_often() -> None:
    seen = set()
    for epoch in range(12):
        requests = list(balanced(epoch=epoch))
        places = np.array([request.place for request in requests])
        assert np.bincount(RARE[places]).tolist() == [17, 17, 17]
        counts = np.bincount(places, minlength=51)
        for members in (counts[:40], counts[40:48], counts[48:]):
            assert members.max() - members.min() <= 1
        assert len({(request.place, request.repeat) for request in requests}) == 51
        assert [request.repeat for request in requests if request.place == 50] == list(range(counts[50]))
        seen |= set(places.tolist())
    assert seen == set(range(51))


def test_a_balanced_order_is_a_function_of_seed_and_epoch() -> None:
    assert list(balanced(epoch=3)) == list(balanced(epoch=3))
    assert list(balanced(epoch=3)) != list(balanced(epoch=4))
    assert list(balanced(epoch=3)) != list(balanced(seed=1, epoch=3))


def test_a_remainder_goes_to_other_classes_in_other_epochs() -> None:
    drawn = [RARE[:50][balanced_order(RARE[:50], np.random.default_rng(seed))] for seed in range(10)]
    counts = np.array([np.bincount(targets) for targets in drawn])
    assert set(counts.sum(axis=1)) == {50}
    assert set(counts.flatten()) == {16, 17}
    assert (counts == 16).any(axis=0).all()


def test_more_classes_than_an_epoch_has_room_for() -> None:
    assert sorted(balanced_order(np.arange(5), np.random.default_rng(0))) == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("rank", [0, 1])
def test_a_resumed_balanced_epoch_leaves_out_what_had_its_turn(rank: int) -> None:
    whole, rest = (balanced(rank=rank, world_size=2, epoch=3, start=start) for start in (Start(), Start(3, 7)))
    assert list(rest) == list(whole)[7:]
    assert len(rest) == len(whole) == 25


def test_processes_take_turns_in_one_balanced_order() -> None:
    shares = [list(balanced(rank=rank, world_size=2)) for rank in (0, 1)]
    together = [request for turn in zip(*shares, strict=True) for request in turn]
    assert together == list(balanced())[:50]
    assert len(set(together)) == 50
