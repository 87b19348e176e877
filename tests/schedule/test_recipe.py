from pathlib import Path
from typing import Any

import pytest
from hydra.utils import instantiate
from omegaconf import OmegaConf

from pets.schedule.recipe import Phase, Recipe, fine_tune, one_cycle
from pets.settings.parts import layer_group_names

CONF = Path(__file__).parents[2] / "conf" / "recipe"


def test_fine_tune_is_fastais() -> None:
    recipe = fine_tune(2)
    assert recipe.phases == (
        Phase(1, True, (2e-4, 2e-4, 2e-3), pct_start=0.99, div=25.0),
        Phase(2, False, (1e-5, 1e-3), pct_start=0.3, div=5.0),
    )
    assert recipe.epochs == 3
    assert recipe.phases[0].group_lrs() == {"early": 2e-4, "late": 2e-4, "head": 2e-3}
    assert recipe.phases[1].group_lrs() == pytest.approx({"early": 1e-5, "late": 1e-4, "head": 1e-3})


def test_fine_tune_leaves_out_phases_without_epochs() -> None:
    assert [phase.frozen for phase in fine_tune(2, freeze_epochs=0).phases] == [False]
    assert [phase.frozen for phase in fine_tune(0, freeze_epochs=2).phases] == [True]


@pytest.mark.parametrize(
    ("lr", "expected"),
    [
        (3e-3, [3e-3, 3e-3, 3e-3]),
        ((1e-6, 1e-4), [1e-6, 1e-5, 1e-4]),
        ([1e-6, 5e-3, 1e-4], [1e-6, 5e-3, 1e-4]),
    ],
)
def test_learning_rates_of_the_groups(lr: Any, expected: list[float]) -> None:
    rates = Phase(1, False, lr).group_lrs()
    assert list(rates) == ["early", "late", "head"]
    assert list(rates.values()) == pytest.approx(expected, rel=1e-12)
    assert rates["head"] == expected[-1]


@pytest.mark.parametrize(
    ("lr", "expected"),
    [
        (3e-3, [3e-3] * 5),
        ((1e-8, 1e-4), [1e-8, 1e-7, 1e-6, 1e-5, 1e-4]),
        ((1e-6, 1e-5, 1e-4), [1e-6, 1e-6, 1e-5, 1e-5, 1e-4]),
        ((1.0, 2.0, 3.0, 4.0, 5.0), [1.0, 2.0, 3.0, 4.0, 5.0]),
    ],
)
def test_learning_rates_of_more_groups(lr: Any, expected: list[float]) -> None:
    names = layer_group_names(5)
    assert names == ("body1", "body2", "body3", "body4", "head")
    rates = Phase(1, False, lr).group_lrs(names)
    assert list(rates) == list(names)
    assert list(rates.values()) == pytest.approx(expected, rel=1e-12)
    assert rates["head"] == Phase(1, False, lr).head_lr


def test_fine_tune_freezes_every_group_of_the_body_at_a_tenth() -> None:
    assert list(fine_tune(2).phases[0].group_lrs(layer_group_names(6)).values()) == [2e-4] * 5 + [2e-3]


def test_rates_that_fit_no_group_name_their_phase() -> None:
    recipe = one_cycle([Phase(1, True, 1e-3), Phase(1, False, (1e-6, 1e-5, 1e-4, 1e-3))])
    recipe.check_groups(layer_group_names(4))
    with pytest.raises(ValueError, match=r"^recipe\.phases\[1\]\.lr=\[1e-06, .* of body1, .*, body4, head$"):
        recipe.check_groups(layer_group_names(5))


def test_every_epoch_belongs_to_one_phase() -> None:
    recipe = one_cycle([Phase(2, True, 1e-3), Phase(3, False, 1e-4)])
    assert [recipe.phase_at(epoch)[0] for epoch in range(5)] == [0, 0, 1, 1, 1]
    assert [recipe.phase_at(epoch)[2] for epoch in range(5)] == [0, 0, 2, 2, 2]
    with pytest.raises(ValueError, match="epoch 5 is not in the recipe, which has 5 epochs"):
        recipe.phase_at(5)


def test_another_base_lr_keeps_the_ratios() -> None:
    assert fine_tune(base_lr=2e-3).with_base_lr(2e-3) == fine_tune(base_lr=2e-3)
    scaled, built = fine_tune(base_lr=2e-3).with_base_lr(5e-2), fine_tune(base_lr=5e-2)
    assert scaled.base_lr == built.base_lr
    for ours, theirs in zip(scaled.phases, built.phases, strict=True):
        assert ours.group_lrs() == pytest.approx(theirs.group_lrs(), rel=1e-12)


def test_base_lr_of_one_cycle_is_the_first_peak_of_the_head() -> None:
    phases = [Phase(1, True, 3e-3), Phase(1, False, (1e-6, 1e-4))]
    assert one_cycle(phases).base_lr == 3e-3
    scaled = one_cycle(phases, base_lr=3e-2)
    assert scaled.phases[1].group_lrs() == pytest.approx({"early": 1e-5, "late": 1e-4, "head": 1e-3})


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("epochs", -1), ("epochs", 1.5), ("epochs", True), ("freeze_epochs", "1"), ("base_lr", 0), ("base_lr", "1e-3"),
        ("base_lr", float("nan")), ("lr_mult", 0), ("pct_start", 0), ("pct_start", 1.0), ("div", 0.5),
        ("momenta", [0.9, 0.8]), ("momenta", [0.9, 1.0, 0.9]), ("momenta", 0.9),
    ],
)  # fmt: skip
def test_a_bad_setting_of_fine_tune_is_named(key: str, value: Any) -> None:
    with pytest.raises(ValueError, match=rf"^recipe\.{key}=") as error:
        fine_tune(**{key: value})
    assert repr(value) in str(error.value)


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ({"lr": 0}, "lr"), ({"lr": [1e-3, -1]}, "lr"), ({"lr": [1] * 65}, "lr"), ({"lr": "1e-3"}, "lr"),
        ({"lr": None}, "lr"), ({"frozen": 1}, "frozen"), ({"epochs": 0}, "epochs"), ({"div_final": 0}, "div_final"),
        ({"size": 7}, "size"), ({"size": 224.0}, "size"), ({"size": True}, "size"),
        ({"size": "224"}, "size"),
    ],
)  # fmt: skip
def test_a_bad_setting_of_a_phase_is_named(change: dict[str, Any], key: str) -> None:
    good = {"epochs": 1, "frozen": False, "lr": 1e-3}
    with pytest.raises(ValueError, match=rf"^recipe\.phases\[1\]\.{key}=.* is not allowed: "):
        one_cycle([good, good | change])


def test_an_unknown_setting_of_a_phase_is_named_with_the_nearest() -> None:
    with pytest.raises(
        ValueError, match=r"^no key recipe\.phases\[0\]\.pct; did you mean recipe\.phases\[0\]\.pct_start\?$"
    ):
        one_cycle([{"epochs": 1, "frozen": False, "lr": 1e-3, "pct": 0.3}])


def test_a_phase_keeps_its_size_at_another_base_lr() -> None:
    recipe = one_cycle([{"epochs": 1, "frozen": True, "lr": 1e-3, "size": 8}, Phase(1, False, 1e-4)], base_lr=1e-2)
    assert [phase.size for phase in recipe.phases] == [8, None]


@pytest.mark.parametrize("phases", [[], 3, ["frozen"], {"epochs": 1}])
def test_phases_that_are_no_list_of_phases_are_an_error(phases: Any) -> None:
    with pytest.raises(ValueError, match=r"^recipe\.phases"):
        one_cycle(phases)


def test_a_required_setting_of_a_phase_is_asked_for() -> None:
    with pytest.raises(ValueError, match=r"^recipe\.phases\[0\]\.lr is required"):
        one_cycle([{"epochs": 1, "frozen": True}])


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("fine_tune", fine_tune()),
        ("one_cycle", one_cycle([Phase(3, True, 3e-3), Phase(12, False, (1e-6, 1e-4))])),
    ],
)
def test_the_configs_are_the_books_recipes(name: str, expected: Recipe) -> None:
    assert instantiate(OmegaConf.load(CONF / f"{name}.yaml")) == expected
