from pets.data.manifest import Split
from pets.settings.parts import PARTS


def test_a_split_has_these_parts() -> None:
    assert Split._fields == PARTS == ("train", "valid", "test")
