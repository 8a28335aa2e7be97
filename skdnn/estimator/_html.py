"""The fitted network as a table of HTML, for notebooks."""

from html import escape

from skdnn.network import get_activation

_STYLE = "border-collapse:collapse;font-size:0.9em;margin:0.5em 0"
_CELL = "border:1px solid;padding:0.2em 0.8em;text-align:right"


class NetworkHTMLMixin:
    """Shows the fitted network in a notebook, in the box that scikit-learn shows, and a link.

    scikit-learn before 1.7 has no place for it in its box.
    """

    _doc_link_module = "skdnn"
    _doc_link_template = "https://skdnn.github.io/skdnn/generated/skdnn.{estimator_name}.html"

    def _get_params_html(self, *args, **kwargs):
        shown = super()._get_params_html(*args, **kwargs)
        parameters = shown._repr_html_inner()
        shown._html_repr = lambda: network_html(self) + parameters
        return shown


def network_html(fitted):
    """Return a table of the layers, sizes and parameters of a fitted estimator, else ''.

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
    rows = [_row("td", cells) for cells in _layers(fitted)]
    header = _row("th", ("layer", "inputs", "units", "activation", "parameters"))
    return (
        f'<table class="skdnn-network" style="{_STYLE}"><caption>{_caption(fitted)}</caption>'
        f"<thead>{header}</thead><tbody>{''.join(rows)}</tbody></table>"
    )


def _layers(fitted):
    activations = [*fitted.activations_, fitted.out_activation_]
    for l, (W, activation) in enumerate(zip(fitted.coefs_, activations, strict=True), start=1):
        n_in, n_out = W.shape[-2:]
        name = get_activation(activation).name
        yield f"{l}", f"{n_in:,}", f"{n_out:,}", name, f"{(n_in + 1) * n_out:,}"


def _caption(fitted):
    stack = fitted.coefs_[0].shape[:-2]
    total = sum(array.size for array in fitted.coefs_ + fitted.intercepts_)
    layers = "1 layer" if fitted.n_layers_ == 1 else f"{fitted.n_layers_} layers"
    epochs = "1 epoch" if fitted.n_iter_ == 1 else f"{fitted.n_iter_:,} epochs"
    return (
        f"{f'{stack[0]} networks of ' if stack else ''}{layers}, {total:,} parameters "
        f"({fitted.coefs_[0].dtype}), {epochs}, weights of epoch {fitted.best_iter_}, "
        f"cost {fitted.best_loss_:.4g}"
    )


def _row(tag, cells):
    cells = "".join(f'<{tag} style="{_CELL}">{escape(cell)}</{tag}>' for cell in cells)
    return f"<tr>{cells}</tr>"
