"""The style of all figures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

BLUE, ORANGE, GREY = "#2f6db5", "#d9772b", "#8a8f98"
COLOURS = (BLUE, ORANGE, "#4c9a5b", "#9467bd", "#c44e52", "#2aa3a3", "#b8860b", "#7a5c4f")


def verbatim(text: str) -> str:
    """Text from elsewhere, such as a label, in which Matplotlib shall not see formulae.

    Example:
        >>> print(verbatim("$0_to_$10k"))
        \\$0_to_\\$10k
    """
    return text.replace("$", r"\$")


def decorate(axis: "Axes", xlabel: str, ylabel: str) -> None:
    """Give axes labels, a light grid behind the data, and no frame above and on the right."""
    axis.set(xlabel=xlabel, ylabel=ylabel)
    axis.grid(color="#e4e6ea", linewidth=0.8)
    axis.set_axisbelow(True)
    axis.spines[["top", "right"]].set_visible(False)


def new_figure(size: tuple[float, float]) -> "Figure":
    """A figure of this size in inches, which notebooks show."""
    import matplotlib.pyplot as plt

    return plt.figure(figsize=size, layout="constrained")


def axes_of(ax: "Axes | None", size: tuple[float, float]) -> "Axes":
    """The axes given, or those of a new figure."""
    from matplotlib.axes import Axes

    if ax is None:
        return new_figure(size).subplots()
    if not isinstance(ax, Axes):
        raise TypeError(
            "Argument `ax` must be Matplotlib axes, as `figure.subplots()` makes, got "
            f"{type(ax).__name__}."
        )
    return ax
