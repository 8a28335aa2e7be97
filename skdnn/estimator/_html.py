"""The layers of a fitted network as an HTML table, for notebooks."""

from collections.abc import Iterable
from html import escape
from typing import Any

from skdnn.network import get_activation

_STYLE = "border-collapse:collapse;font-size:0.9em;margin:0.5em 0"
_CELL_STYLE = "border:1px solid;padding:0.2em 0.8em;text-align:right"


class NetworkHTMLMixin:
    """Add a table of layers and a documentation link to scikit-learn's HTML representation.

    The table needs scikit-learn 1.7 or later.
    """

    _doc_link_module = "skdnn"
    _doc_link_template = "https://skdnn.github.io/skdnn/generated/skdnn.{estimator_name}.html"

    # No public method would do: `_repr_html_` is called for the outermost object only, and inside a
    # Pipeline or a search scikit-learn shows of each estimator what this private method returns. A
    # version that no longer calls it shows its usual box.
    def _get_params_html(self, *args: Any, **kwargs: Any) -> Any:
        shown = super()._get_params_html(*args, **kwargs)  # type: ignore[misc]
        parameters_html = shown._html_repr
        shown._html_repr = lambda: network_html(self) + parameters_html()
        return shown


def network_html(fitted: Any) -> str:
    """Return an HTML table of layers, sizes and numbers of parameters; "" before `fit`.

    Parameters
    ----------
    fitted : NetworkEstimator

    Examples
    --------
    >>> from skdnn import DeepBinaryClassifier
    >>> clf = DeepBinaryClassifier(n_layers=1, optimizer="lbfgs", weight_decay=0.1)
    >>> from skdnn.estimator._html import network_html
    >>> "<td" in network_html(clf.fit([[0.0], [1.0]], [0, 1]))
    True
    """
    if not hasattr(fitted, "coefs_"):
        return ""
    names = [get_activation(activation).name for activation in fitted.activations_]
    names.append(fitted._task.output.name)
    rows = []
    for l, (W, name) in enumerate(zip(fitted.coefs_, names, strict=True), start=1):
        n_in, n_out = W.shape[-2:]
        cells = f"{l}", f"{n_in:,}", f"{n_out:,}", name, f"{(n_in + 1) * n_out:,}"
        rows.append(_table_row("td", cells))
    n_networks = f"{len(fitted.coefs_[0])} networks of " if fitted.coefs_[0].ndim == 3 else ""
    layers = "1 layer" if fitted.n_layers_ == 1 else f"{fitted.n_layers_} layers"
    n_parameters = sum(array.size for array in fitted.coefs_ + fitted.intercepts_)
    epochs = "1 epoch" if fitted.n_iter_ == 1 else f"{fitted.n_iter_:,} epochs"
    caption = (
        f"{n_networks}{layers}, {n_parameters:,} parameters ({fitted.coefs_[0].dtype}), {epochs}, "
        f"weights of epoch {fitted.best_iter_}, cost {fitted.best_loss_:.4g}"
    )
    header = _table_row("th", ("layer", "inputs", "units", "activation", "parameters"))
    return (
        f'<table class="skdnn-network" style="{_STYLE}"><caption>{caption}</caption>'
        f"<thead>{header}</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _table_row(tag: str, cells: Iterable[str]) -> str:
    html = "".join(f'<{tag} style="{_CELL_STYLE}">{escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{html}</tr>"
