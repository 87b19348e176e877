"""What `trainer.precision=auto` stands for, on machines of every kind."""

import pytest
import torch

from pets.hardware import on_cpu, resolve_precision


@pytest.mark.parametrize("precision", ["32-true", "bf16-mixed", "16-mixed"])
def test_what_was_asked_for_is_kept(precision: str) -> None:
    assert resolve_precision(precision, "cpu") == precision


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [
        ({"avx512_bf16": True}, "bf16-mixed"),
        ({"amx_bf16": True}, "bf16-mixed"),
        ({"avx2": True, "avx512_bf16": False}, "32-true"),
        ({}, "32-true"),
    ],
)
def test_auto_is_bfloat16_on_cpus_that_multiply_it(
    capabilities: dict[str, bool], expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert resolve_precision("auto", "cpu") == expected


@pytest.mark.parametrize(("native", "expected"), [(True, "bf16-mixed"), (False, "32-true")])
def test_auto_is_bfloat16_on_gpus_that_do_not_emulate_it(
    native: bool, expected: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_bf16_supported", lambda including_emulation: native or including_emulation)
    assert resolve_precision("auto", "gpu") == expected


def test_auto_accelerator_is_the_cpu_where_there_is_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)
    assert on_cpu("auto")
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    assert not on_cpu("auto")
    assert not on_cpu("gpu")
