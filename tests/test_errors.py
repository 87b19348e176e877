"""The one line of an error: the key, the cause, and advice where torch's own words do not help."""

import pytest
import torch
from hydra.utils import instantiate
from omegaconf import OmegaConf

from pets.errors import advice, explain


def failure(**node: object) -> Exception:
    """What Hydra raises for a node below `optimizer.inner`."""
    cfg = OmegaConf.create({"optimizer": {"inner": node}})
    with pytest.raises(Exception, match=r".") as caught:
        instantiate(cfg.optimizer.inner)
    return caught.value


def test_the_key_comes_before_a_cause_that_does_not_name_it() -> None:
    assert explain(failure(_target_="builtins.int", x="banana")).startswith("optimizer.inner: ")
    assert explain(failure(_target_="no.such.thing")).startswith(
        "optimizer.inner: Error loading 'no.such.thing': Module"
    )


def test_a_cause_that_names_a_key_stands_alone() -> None:
    node = {"_target_": "pets.data.presize.Presize", "size": 0}
    assert explain(failure(**node)).startswith("data.presize.size=0 is not allowed: a whole number")


@pytest.mark.parametrize(
    ("error", "line"),
    [
        (ValueError("first\nsecond"), "first"),
        (ValueError("a  b\tc"), "a b c"),
        (ValueError("see:\nthe rest\nmore"), "see: the rest"),
        (ValueError(), "ValueError"),
    ],
)
def test_one_line(error: Exception, line: str) -> None:
    assert explain(error) == line


@pytest.mark.parametrize(
    ("error", "key"),
    [
        (MemoryError(), "data.batch_size"),
        (torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."), "data.batch_size"),
        (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "augment.size"),
        (RuntimeError("InvalidCxxCompiler: No working C++ compiler found in torch._inductor.config"), "model.compile"),
        (ValueError("Expected more than 1 value per channel when training"), "data.batch_size=1"),
    ],
)
def test_advice_names_what_to_change(error: Exception, key: str) -> None:
    assert key in (advice(error) or "")


def test_a_bug_gets_no_advice() -> None:
    assert advice(RuntimeError("mat1 and mat2 shapes cannot be multiplied")) is None
