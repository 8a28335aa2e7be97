"""A scorer of scikit-learn, asked after each epoch."""

import inspect

import numpy as np
from sklearn.metrics import get_scorer

from skdnn.data.frames import shown


def make_score(scoring, validation, as_fitted):
    """Return the function from a stack and the members to ask to their scores, an array.

    Parameters
    ----------
    scoring : str, callable or None
    validation : list of Examples
        For each network those to score it on. The scorer gets their rows as the user passed them,
        and their weights where these differ and it takes some.
    as_fitted : callable
        From (network, member) to the estimator as if it were fitted with that member alone.

    Returns
    -------
    callable or None
        None where there is nothing to score.
    """
    if scoring is None or not validation:
        return None
    scorer = get_scorer(scoring)
    takes_weights = _takes_weights(scorer)

    def score_member(network, member):
        rows = validation[member]
        y, weight = rows.target.decode(rows.y), rows.weight
        is_weighted = takes_weights and not (weight == weight[0]).all()
        weights = {"sample_weight": weight} if is_weighted else {}
        value = scorer(as_fitted(network, member), rows.given, y, **weights)
        return _checked(value, scoring)

    return lambda network, members: np.array([score_member(network, k) for k in members])


def score_name(scoring):
    """Return what to call a scorer: its name, or that of its function or metric.

    Parameters
    ----------
    scoring : str or callable

    Examples
    --------
    >>> from sklearn.metrics import log_loss, make_scorer
    >>> from skdnn.callbacks import score_name
    >>> score_name("roc_auc"), score_name(make_scorer(log_loss, greater_is_better=False))
    ('roc_auc', 'neg_log_loss')
    """
    if isinstance(scoring, str):
        return scoring
    function = getattr(scoring, "_score_func", scoring)
    name = getattr(function, "__name__", type(function).__name__)
    return f"neg_{name}" if getattr(scoring, "_sign", 1) < 0 else name


def _checked(value, scoring):
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError, RuntimeError) as error:
        raise ValueError(
            f"scoring must give a number, got {shown(value)} from {scoring!r}."
        ) from error
    if not np.isfinite(number):
        raise ValueError(f"scoring must give a finite number, got {number} from {scoring!r}.")
    return number


def _takes_weights(scorer):
    # A scorer that scikit-learn made takes anything, and passes it to its metric.
    try:
        parameters = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters
    except (TypeError, ValueError):  # compiled code need not have a signature
        return False
    kinds = [parameter.kind for parameter in parameters.values()]
    return "sample_weight" in parameters or inspect.Parameter.VAR_KEYWORD in kinds
