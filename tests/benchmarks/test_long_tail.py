"""The table has a long tail to train on, and all classes alike to validate on."""

from collections import Counter

from benchmarks.long_tail import rows


def test_training_images_get_fewer_from_class_to_class_and_validation_is_even() -> None:
    files = {f"class_{number:02}": [f"{number}/{image}.jpg" for image in range(60 + number)] for number in range(22)}
    files["class_00"] = files["class_00"][:59]  # too few
    table = list(rows(files))
    parts = Counter((label, part) for _, label, part in table)
    labels = sorted({label for _, label, _ in table})
    assert labels == [f"class_{number:02}" for number in range(1, 21)]
    trained = [parts[label, "train"] for label in labels]
    assert (trained[0], trained[-1], sum(trained)) == (40, 3, 293)
    assert trained == sorted(trained, reverse=True)
    assert {parts[label, "valid"] for label in labels} == {15}
    assert len({file for file, *_ in table}) == len(table)
