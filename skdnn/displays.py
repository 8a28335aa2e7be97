"""Pictures of a fitted network, by scikit-learn's Display contract.

`from_estimator` computes, `plot` only draws; matplotlib is imported for the first picture.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, TypeAlias

from sklearn.base import BaseEstimator
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted

from skdnn.classifier import DeepBinaryClassifier

if TYPE_CHECKING:
    from matplotlib.axes import Axes

Point: TypeAlias = tuple[float, float]
Column: TypeAlias = list[tuple[float, int | None]]  # of the circles of a layer

_COLOURS = {"input": "#f2c14e", "hidden": "#8fb8de", "output": "#e07a5f"}
_RADIUS, _STEP = 0.3, 2.6  # of a circle, and from layer to layer
_ACTIVATION_NAMES = {"logistic": "sigmoid", "linear": "identity"}


class LossCurveDisplay:
    """The cost over the epochs of training.

    It is recommended to use :func:`~skdnn.LossCurveDisplay.from_estimator`.

    Parameters
    ----------
    loss_curve : list of float
        Cost of the training rows in each epoch.
    validation_loss_curve : list of float or None, default=None
        Cost of the rows to watch after each epoch.
    best_iter : int or None, default=None
        The epoch whose weights were kept, counted from 1, to be marked.

    Attributes
    ----------
    lines_ : list of matplotlib Line2D
        The curves.
    ax_ : matplotlib Axes
        The axes with the picture.
    figure_ : matplotlib Figure
        The figure that they are in.

    See Also
    --------
    NetworkDisplay : The network itself.
    sklearn.model_selection.LearningCurveDisplay : Scores over the number of rows.

    Examples
    --------
    >>> from skdnn import LossCurveDisplay
    >>> LossCurveDisplay([0.7, 0.5, 0.4], [0.7, 0.6, 0.65], best_iter=2).best_iter
    2
    """

    def __init__(
        self,
        loss_curve: Sequence[float],
        validation_loss_curve: Sequence[float] | None = None,
        best_iter: int | None = None,
    ) -> None:
        self.loss_curve = loss_curve
        self.validation_loss_curve = validation_loss_curve
        self.best_iter = best_iter

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, *, ax: Axes | None = None, **kwargs: Any
    ) -> LossCurveDisplay:
        """Draw the curves of a fitted estimator.

        Parameters
        ----------
        estimator : DeepBinaryClassifier
            Fitted; or a pipeline that ends in one, or a search whose best estimator is one.
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        LossCurveDisplay
            The display, drawn.

        Examples
        --------
        >>> from sklearn.datasets import make_moons
        >>> from skdnn import DeepBinaryClassifier, LossCurveDisplay
        >>> clf = DeepBinaryClassifier(random_state=0).fit(*make_moons(random_state=0))
        >>> display = LossCurveDisplay.from_estimator(clf)
        >>> display.ax_.get_ylabel()
        'cost'
        """
        fitted = _network_of(estimator)
        keeps_best = fitted.validation_loss_curve_ is not None
        display = cls(
            fitted.loss_curve_,
            fitted.validation_loss_curve_,
            fitted.best_iter_ if keeps_best and isinstance(fitted.best_iter_, int) else None,
        )
        return display.plot(ax=ax, **kwargs)

    def plot(self, ax: Axes | None = None, **kwargs: Any) -> LossCurveDisplay:
        """Draw the curves.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.
        **kwargs : dict
            Passed to matplotlib's `plot`.

        Returns
        -------
        LossCurveDisplay
            The display itself.
        """
        self.ax_, self.figure_ = _axes(ax)
        epochs = range(1, len(self.loss_curve) + 1)
        self.lines_ = self.ax_.plot(epochs, self.loss_curve, **{"label": "training", **kwargs})
        if self.validation_loss_curve is not None:
            curve = self.validation_loss_curve
            self.lines_ += self.ax_.plot(epochs, curve, **{**kwargs, "label": "validation"})
        if self.best_iter is not None:
            label = f"weights kept (epoch {self.best_iter})"
            self.ax_.axvline(self.best_iter, color="grey", linestyle=":", label=label)
        self.ax_.set(xlabel="epoch", ylabel="cost")
        self.ax_.locator_params(axis="x", integer=True)
        self.ax_.legend()
        return self


class NetworkDisplay:
    """The circles and arrows of a network: its layers from left to right.

    It is recommended to use :func:`~skdnn.NetworkDisplay.from_estimator`.

    Parameters
    ----------
    layer_sizes : sequence of int
        The numbers n^[0], …, n^[L].
    activations : sequence of str
        Names of g of each hidden layer.
    max_units : int, default=10
        Circles of a layer at the most; of a larger one, the first and the last are drawn.

    Attributes
    ----------
    ax_ : matplotlib Axes
        The axes with the picture.
    figure_ : matplotlib Figure
        The figure that they are in.

    See Also
    --------
    LossCurveDisplay : How the network was trained.
    sklearn.inspection.DecisionBoundaryDisplay : What it answers, over two features.

    Examples
    --------
    >>> from skdnn import NetworkDisplay
    >>> NetworkDisplay((7200, 20, 7, 5, 1), ["relu"] * 3).layer_sizes
    (7200, 20, 7, 5, 1)
    """

    def __init__(
        self, layer_sizes: Sequence[int], activations: Sequence[str], max_units: int = 10
    ) -> None:
        self.layer_sizes = layer_sizes
        self.activations = activations
        self.max_units = max_units

    @classmethod
    def from_estimator(
        cls, estimator: BaseEstimator, *, max_units: int = 10, ax: Axes | None = None
    ) -> NetworkDisplay:
        """Draw the network of a fitted estimator.

        Parameters
        ----------
        estimator : DeepBinaryClassifier
            Fitted; or a pipeline that ends in one, or a search whose best estimator is one.
        max_units : int, default=10
            Circles of a layer at the most; at least 2.
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        NetworkDisplay
            The display, drawn.

        Examples
        --------
        >>> from sklearn.datasets import make_moons
        >>> from skdnn import DeepBinaryClassifier, NetworkDisplay
        >>> clf = DeepBinaryClassifier(n_units=(4, 3), random_state=0)
        >>> display = NetworkDisplay.from_estimator(clf.fit(*make_moons(random_state=0)))
        >>> len(display.ax_.patches)  # a circle for every unit, and for every feature
        10
        """
        fitted = _network_of(estimator)
        names = [
            a if isinstance(a, str) else getattr(a, "__name__", type(a).__name__)
            for a in fitted.activations_
        ]
        return cls(fitted.layer_sizes_, names, max_units).plot(ax=ax)

    def plot(self, ax: Axes | None = None) -> NetworkDisplay:
        """Draw the network.

        Parameters
        ----------
        ax : matplotlib Axes, default=None
            Where to draw; None is a new figure.

        Returns
        -------
        NetworkDisplay
            The display itself.

        Raises
        ------
        ValueError
            If `max_units` is below 2.
        """
        if self.max_units < 2:
            raise ValueError(f"max_units must be at least 2, got {self.max_units}.")
        columns = [_column(size, self.max_units) for size in self.layer_sizes]
        tallest = max(y for column in columns for y, _ in column)
        size = (0.62 * (_STEP * (len(columns) - 1) + 1.2), 0.62 * (2 * tallest + 2.6))
        self.ax_, self.figure_ = _axes(ax, size)
        for l, column in enumerate(columns):
            self._draw_layer(l, column)
            self._draw_label(l, -tallest - 0.7)
            if l > 0:
                self._draw_arrows(l, columns[l - 1], column)
        self.ax_.set(
            xlim=(-0.6, _STEP * (len(columns) - 1) + 0.6), ylim=(-tallest - 2.0, tallest + 0.6)
        )
        self.ax_.set_aspect("equal")
        self.ax_.axis("off")
        return self

    def _draw_layer(self, l: int, column: Column) -> None:
        L = len(self.layer_sizes) - 1
        kind = "input" if l == 0 else "output" if l == L else "hidden"
        for y, unit in column:
            centre = (_STEP * l, y)
            if unit is None:
                self.ax_.annotate("⋮", centre, ha="center", va="center", fontsize=16)
                continue
            text = f"$x_{{{unit}}}$" if l == 0 else f"$a^{{[{l}]}}_{{{unit}}}$"
            text = r"$\hat{y}$" if l == L else text
            circle = {"facecolor": _COLOURS[kind], "edgecolor": "black", "linewidth": 0.8}
            self._add_circle(centre, circle)
            self.ax_.annotate(text, centre, ha="center", va="center", fontsize=9, zorder=3)

    def _add_circle(self, centre: Point, style: dict[str, Any]) -> None:
        from matplotlib.patches import Circle

        self.ax_.add_patch(Circle(centre, _RADIUS, zorder=2, **style))

    def _draw_label(self, l: int, y: float) -> None:
        L = len(self.layer_sizes) - 1
        if l == 0:
            name = "input"
        else:
            activation = "sigmoid" if l == L else self.activations[l - 1]
            name = f"layer {l}\n{_ACTIVATION_NAMES.get(activation, activation)}"
        text = f"$n^{{[{l}]}} = {self.layer_sizes[l]}$\n{name}"
        self.ax_.annotate(text, (_STEP * l, y), ha="center", va="top", fontsize=9)

    def _draw_arrows(self, l: int, before: Column, column: Column) -> None:
        style = {"arrowstyle": "-|>,head_width=0.12,head_length=0.25", "color": "grey", "lw": 0.5}
        for y_from in (y for y, unit in before if unit is not None):
            for y_to in (y for y, unit in column if unit is not None):
                start, stop = _between((_STEP * (l - 1), y_from), (_STEP * l, y_to))
                self.ax_.annotate("", stop, start, arrowprops={**style, "shrinkA": 0, "shrinkB": 0})


def _network_of(estimator: Any) -> DeepBinaryClassifier:
    """Return the fitted DeepBinaryClassifier in an estimator."""
    while hasattr(estimator, "best_estimator_") or isinstance(estimator, Pipeline):
        estimator = estimator[-1] if isinstance(estimator, Pipeline) else estimator.best_estimator_
    if not isinstance(estimator, DeepBinaryClassifier):
        raise TypeError(
            "estimator must be a DeepBinaryClassifier, a pipeline that ends in one or a search for "
            f"one, got {type(estimator).__name__}."
        )
    check_is_fitted(estimator)
    return estimator


def _axes(ax: Axes | None, size: Point | None = None) -> tuple[Axes, Any]:
    """Return axes, new ones for None, and their figure."""
    if ax is None:
        try:
            import matplotlib.pyplot as plt
        except ImportError as error:
            raise ImportError("Displays need matplotlib: pip install 'skdnn[plot]'.") from error
        ax = plt.subplots(figsize=size, layout="constrained")[1]
    return ax, ax.figure


def _column(size: int, max_units: int) -> Column:
    """Return (y, unit) of each circle of a layer from the top, unit None for the dots between."""
    units: list[int | None] = list(range(1, size + 1))
    if size > max_units:
        last = max_units // 2
        units = [*units[: max_units - last], None, *units[-last:]]
    top = (len(units) - 1) / 2
    return [(top - row, unit) for row, unit in enumerate(units)]


def _between(start: Point, stop: Point) -> tuple[Point, Point]:
    """Return the ends of an arrow from the rim of one circle to that of another."""
    dx, dy = stop[0] - start[0], stop[1] - start[1]
    share = _RADIUS / (dx**2 + dy**2) ** 0.5
    return (
        (start[0] + share * dx, start[1] + share * dy),
        (stop[0] - share * dx, stop[1] - share * dy),
    )
