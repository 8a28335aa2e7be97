"""Units as circles and weights as arrows, as in the lecture."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sklearn.base import BaseEstimator

from skdnn.network import get_activation

from ._arguments import as_numbers, check_count
from ._canvas import axes_or_new, find_network

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point: TypeAlias = tuple[float, float]
# y and index of each circle of a layer; the index of dots is None
Column: TypeAlias = list[tuple[float, int | None]]

_COLOURS = {"input": "#f2c14e", "hidden": "#8fb8de", "output": "#e07a5f"}
_RADIUS, _STEP = 0.38, 2.0  # radius of a circle, distance between layers
_UNIT = 0.64  # inches in a new figure for a distance of 1
_FONT = 13  # font size in a new figure and largest font size, in points


class NetworkDisplay:
    """Plot the layers of a network from left to right, with a circle for each unit.

    It is recommended to use :func:`~skdnn.NetworkDisplay.from_estimator`.

    Parameters
    ----------
    layer_sizes : sequence of int
        Numbers of units n^[0], …, n^[L].
    activations : sequence of str
        Name of the activation of each hidden layer.
    max_units : int, default=10
        Largest number of circles in a layer; of a larger layer the first and last units are drawn.
    out_activation : str, default="sigmoid"
        Name of the activation of the output layer; "identity" for regression.

    Attributes
    ----------
    ax_ : matplotlib Axes
        Axes that were drawn on.
    figure_ : matplotlib Figure
        Figure that contains the axes.

    See Also
    --------
    LossCurveDisplay : Plot the cost over the epochs of training.
    sklearn.inspection.DecisionBoundaryDisplay : Plot predictions over two features.

    Examples
    --------
    >>> from skdnn import NetworkDisplay
    >>> NetworkDisplay((7200, 20, 7, 5, 1), ["relu"] * 3).layer_sizes
    (7200, 20, 7, 5, 1)
    """

    def __init__(
        self,
        layer_sizes: Sequence[int],
        activations: Sequence[str],
        max_units: int = 10,
        out_activation: str = "sigmoid",
    ) -> None:
        self.layer_sizes = layer_sizes
        self.activations = activations
        self.max_units = max_units
        self.out_activation = out_activation

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, *, max_units: int = 10, ax: Axes | None = None
    ) -> NetworkDisplay:
        """Plot the network of a fitted estimator.

        Parameters
        ----------
        estimator : DeepBinaryClassifier or DeepRegressor
            Fitted estimator; or a fitted pipeline or search that contains one as its last step or
            best estimator.
        max_units : int, default=10
            Largest number of circles in a layer; at least 2.
        ax : matplotlib Axes, default=None
            Axes to draw on; None creates a new figure.

        Returns
        -------
        NetworkDisplay
            The display object, which was drawn.

        Examples
        --------
        >>> from sklearn.datasets import make_moons
        >>> from skdnn import DeepBinaryClassifier, NetworkDisplay
        >>> clf = DeepBinaryClassifier(n_units=(4, 3), random_state=0)
        >>> display = NetworkDisplay.from_estimator(clf.fit(*make_moons(random_state=0)))
        >>> len(display.ax_.patches)  # a circle for each unit and each feature
        10
        """
        fitted = find_network(estimator)
        names = [get_activation(activation).name for activation in fitted.activations_]
        return cls(fitted.layer_sizes_, names, max_units, fitted._task.output.name).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> NetworkDisplay:
        """Plot the network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Axes to draw on; None creates a new figure.

        Returns
        -------
        NetworkDisplay
            The display object.

        Raises
        ------
        ValueError
            If `max_units` is below 2, or `activations` does not have one name for each hidden
            layer.
        """
        check_count("max_units", self.max_units, 2)
        as_numbers("layer_sizes", self.layer_sizes)
        for n_units in self.layer_sizes:
            check_count("each of layer_sizes", n_units, 1)
        if len(self.activations) != len(self.layer_sizes) - 2:
            raise ValueError(
                f"activations must be one for each of {len(self.layer_sizes) - 2} hidden layers, "
                f"got {len(self.activations)}."
            )
        columns = [_column(size, self.max_units) for size in self.layer_sizes]
        tallest = max(y for column in columns for y, _ in column)
        width, height = _STEP * (len(columns) - 1) + 1.4, 2 * tallest + 2.6
        self.ax_, self.figure_ = axes_or_new(ax, (_UNIT * width, _UNIT * height))
        fontsize = _FONT if ax is None else _font_of(ax, width, height)
        for l, column in enumerate(columns):
            self._draw_layer(l, column, fontsize)
            self._draw_label(l, -tallest - 0.6, fontsize)
            if l > 0:
                self._draw_arrows(l, columns[l - 1], column)
        self.ax_.set(xlim=(-0.7, width - 0.7), ylim=(-tallest - 2.1, tallest + 0.5))
        self.ax_.set_aspect("equal")
        self.ax_.axis("off")
        return self

    def _draw_layer(self, l: int, column: Column, fontsize: float) -> None:
        L = len(self.layer_sizes) - 1
        kind = "input" if l == 0 else "output" if l == L else "hidden"
        for y, unit in column:
            centre = (_STEP * l, y)
            if unit is None:
                self.ax_.annotate("⋮", centre, ha="center", va="center", fontsize=1.5 * fontsize)
                continue
            text = f"$x_{{{unit}}}$" if l == 0 else f"$a^{{[{l}]}}_{{{unit}}}$"
            if l == L:
                text = rf"$\hat{{y}}_{{{unit}}}$" if self.layer_sizes[L] > 1 else r"$\hat{y}$"
            circle = {"facecolor": _COLOURS[kind], "edgecolor": "black", "linewidth": 0.8}
            self._add_circle(centre, circle)
            style: dict[str, Any] = {"fontsize": fontsize, "zorder": 3}
            self.ax_.annotate(text, centre, ha="center", va="center", **style)

    def _add_circle(self, centre: Point, style: dict[str, Any]) -> None:
        from matplotlib.patches import Circle

        self.ax_.add_patch(Circle(centre, _RADIUS, zorder=2, **style))

    def _draw_label(self, l: int, y: float, fontsize: float) -> None:
        if l == 0:
            name = "input"
        else:
            name = f"layer {l}\n{[*self.activations, self.out_activation][l - 1]}"
        text = f"$n^{{[{l}]}} = {self.layer_sizes[l]}$\n{name}"
        self.ax_.annotate(text, (_STEP * l, y), ha="center", va="top", fontsize=fontsize)

    def _draw_arrows(self, l: int, before: Column, column: Column) -> None:
        style = {"arrowstyle": "-|>,head_width=0.12,head_length=0.25", "color": "grey", "lw": 0.5}
        for y_from in (y for y, unit in before if unit is not None):
            for y_to in (y for y, unit in column if unit is not None):
                start, stop = _between((_STEP * (l - 1), y_from), (_STEP * l, y_to))
                self.ax_.annotate("", stop, start, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def _font_of(ax: Axes, width: float, height: float) -> float:
    """Return the font size that fits the circles in these axes as in a new figure."""
    box = ax.get_window_extent()
    unit = min(box.width / width, box.height / height) / ax.figure.dpi
    return min(_FONT, _FONT * unit / _UNIT)


def _column(size: int, max_units: int) -> Column:
    """Return (y, unit) of each circle of a layer from the top; unit is None for the dots."""
    units: Sequence[int | None] = range(1, size + 1)
    if size > max_units:
        last = max_units // 2
        units = [*units[: max_units - last], None, *units[-last:]]
    top = (len(units) - 1) / 2
    return [(top - row, unit) for row, unit in enumerate(units)]


def _between(start: Point, stop: Point) -> tuple[Point, Point]:
    """Return the ends of an arrow between the edges of two circles."""
    dx, dy = stop[0] - start[0], stop[1] - start[1]
    fraction = _RADIUS / (dx**2 + dy**2) ** 0.5
    return (
        (start[0] + fraction * dx, start[1] + fraction * dy),
        (stop[0] - fraction * dx, stop[1] - fraction * dy),
    )
