"""The sampler: which items, in which order, for which process."""

import pytest

from pets.data.batch import Request
from pets.data.sampler import SeededSampler, Start


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
