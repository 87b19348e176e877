"""How the regularisation of a solved head was chosen."""

from matplotlib.figure import Figure

from pets.evaluation.figures.style import ACCENT, GRID, INK, MUTED, WRONG, styled
from pets.model.head_solver import FOLDS, Solution


@styled
def choice_figure(solution: Solution) -> Figure:
    """Draw cross entropy, which decides, and error of the images left out, against what was tried; mark the choice."""
    figure = Figure(figsize=(5.6, 4.2))
    upper, lower = figure.subplots(2, 1, sharex=True)
    places = range(len(solution.trials))
    chosen = [trial.value for trial in solution.trials].index(solution.value)
    for axes, colour, values in (
        (upper, ACCENT, [trial.loss for trial in solution.trials]),
        (lower, WRONG, [trial.error for trial in solution.trials]),
    ):
        axes.plot(places, values, "o-", color=colour, markersize=4)
        axes.axvline(chosen, color=MUTED, linewidth=1, linestyle=(0, (2, 2)))
        axes.grid(axis="y", color=GRID)
    upper.set_ylabel("cross entropy")
    upper.annotate(
        f"chosen: {solution.value:g}", (chosen, 1), (4, -2), xycoords=("data", "axes fraction"),
        textcoords="offset points", va="top", color=INK, bbox={"facecolor": "white", "edgecolor": "none", "pad": 1.0},
    )  # fmt: skip
    lower.set(
        ylabel="error",
        xlabel=f"{solution.key}: more regularisation {'right' if solution.key == 'shrinkage' else 'left'}",
    )
    lower.yaxis.set_major_formatter("{x:.1%}")
    lower.set_xticks(places, [f"{trial.value:g}" for trial in solution.trials])
    upper.set_title(f"{FOLDS}-fold cross-validation on {solution.n:,} training images")
    return figure
