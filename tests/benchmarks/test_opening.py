"""The picture that opens the README is as wide as it should be, and stretches none of its parts."""

from PIL import Image

from benchmarks.opening import GAP, WIDTH, opening


def test_the_parts_keep_their_shape_and_fill_the_width() -> None:
    red, green, blue = (Image.new("RGB", size, name) for name, size in
                        (("red", (700, 100)), ("green", (300, 300)), ("blue", (600, 300))))  # fmt: skip
    picture = opening(red, green, blue)
    colours = {colour: count for count, colour in picture.getcolors(1 << 20)}  # type: ignore[misc,union-attr]
    assert picture.width == WIDTH
    assert colours[255, 0, 0] == WIDTH * round(WIDTH / 7)
    height = (WIDTH - GAP) // 3
    assert abs(colours[0, 128, 0] / height**2 - 1) < 0.01
    assert abs(colours[0, 0, 255] / (2 * height**2) - 1) < 0.01
