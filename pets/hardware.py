"""What the machine computes on, and how precisely it is worth computing there."""

import torch

NATIVE_BF16 = ("avx512_bf16", "amx_bf16", "bf16", "sve_bf16")
"""CPU capabilities, as torch names them, that multiply bfloat16 in hardware."""


def on_cpu(accelerator: str) -> bool:
    """Whether a Trainer with this `accelerator` would train on the CPU."""
    return accelerator == "cpu" or (accelerator == "auto" and not torch.accelerator.is_available())


def resolve_precision(precision: str, accelerator: str) -> str:
    """Return the precision that `auto` stands for on this machine, and any other unchanged.

    `auto` is bf16-mixed where products of bfloat16 are native (CUDA from Ampere on, CPUs with avx512_bf16 or AMX), else
    32-true: emulated bfloat16 is slower than float32, and float16 needs a loss scale that a short run may not find.
    """
    if precision != "auto":
        return precision
    if on_cpu(accelerator):
        capabilities = torch.cpu.get_capabilities()
        native = any(capabilities.get(name, False) for name in NATIVE_BF16)
    else:
        native = torch.cuda.is_available() and torch.cuda.is_bf16_supported(including_emulation=False)
    return "bf16-mixed" if native else "32-true"
