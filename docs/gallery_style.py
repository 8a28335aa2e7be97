"""Style of the gallery's plots, with text that is legible on a phone."""

from typing import Any

import matplotlib as mpl

# 13 points are ten pixels in a figure of six inches that a phone shows 350 pixels wide.
STYLE = {
    "font.size": 13,
    "axes.titlesize": "medium",  # a title must fit a plot of two or three inches
    "figure.figsize": (6, 4),
    "lines.linewidth": 2,
}


def readable(gallery_conf: Any, fname: Any) -> None:
    """Set the style for an example, after sphinx-gallery has set matplotlib's defaults."""
    mpl.rcParams.update(STYLE)
