"""The table of architectures says what each can do."""

import pytest

pytest.importorskip("timm")

from benchmarks.zoo import markdown, row


def test_a_row_says_what_an_architecture_can_do() -> None:
    assert row("test_vit") == {
        "arch": "test_vit", "sizes": "160, 192, 224, 256, 384", "class token": "yes", "drop_path": "yes",
        "checkpointing": "yes",
    }  # fmt: skip
    assert row("efficientvit_b0") == {"arch": "efficientvit_b0", "sizes": "no feature map"}
    assert markdown([row("efficientvit_b0")]).splitlines()[2] == "| efficientvit_b0 | no feature map |  |  |  |"
