"""The schedule's picture: each layer group in a colour of its own, what a run will do and nothing else."""

import numpy as np

from pets.evaluation.figures.schedule import schedule_figure
from pets.schedule.one_cycle import one_cycle_lr, position
from pets.schedule.recipe import fine_tune
from pets.settings.parts import GROUPS, layer_group_names

RECIPE = fine_tune(epochs=2, freeze_epochs=1)


def test_three_groups_in_three_colours_at_every_step() -> None:
    upper, lower = schedule_figure(RECIPE, steps_per_epoch=10).axes
    curves = {line.get_label(): line for line in upper.lines if np.size(line.get_xdata()) == 30}
    assert list(curves) == list(GROUPS)
    assert len({line.get_color() for line in curves.values()}) == 3
    at = position(17, 10, RECIPE)
    phase = RECIPE.phases[at.phase]
    assert np.asarray(curves["late"].get_ydata())[17] == one_cycle_lr(at.t, phase.group_lrs()["late"], phase)
    below = [np.asarray(line.get_xdata()) for line in lower.lines]
    assert [x[0] for x in below if len(x) == 2] == [10], "where a phase begins"


def test_a_run_that_is_cut_short_is_drawn_as_it_will_be() -> None:
    upper, _ = schedule_figure(RECIPE, steps_per_epoch=10, max_steps=14).axes
    assert np.size(upper.lines[0].get_xdata()) == 14
    assert upper.get_title("left") == "Schedule of 14 steps"


def test_any_number_of_groups_has_a_colour_each() -> None:
    names = layer_group_names(14)
    upper, _ = schedule_figure(RECIPE, steps_per_epoch=10, groups=names).axes
    curves = [line for line in upper.lines if np.size(line.get_xdata()) == 30]
    assert [line.get_label() for line in curves] == list(names)
    assert len({str(line.get_color()) for line in curves}) == 14
