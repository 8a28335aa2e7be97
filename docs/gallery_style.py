"""How the pictures of the gallery look: their text can be read on a phone."""

from typing import Any

import matplotlib as mpl

# Of a figure six inches wide that a phone shows 350 pixels wide, 13 points are ten pixels high.
STYLE = {
    "font.size": 13,
    "axes.titlesize": "medium",  # a title has to fit a panel two or three inches wide
    "figure.figsize": (6, 4),
    "lines.linewidth": 2,
}


def readable(gallery_conf: Any, fname: Any) -> None:
    """Set the style for an example, after sphinx-gallery has set matplotlib's defaults."""
    mpl.rcParams.update(STYLE)
