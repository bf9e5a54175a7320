"""The style of all figures."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.axes import Axes

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
