"""Scores of the validation set after each epoch, by a scorer of scikit-learn."""

import inspect
from collections.abc import Callable, Iterable, Sequence
from typing import Any, TypeAlias

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer

from skdnn.data.frames import short_repr
from skdnn.network import Network

Scoring: TypeAlias = str | Callable[..., Any]


def make_score_function(
    scoring: Scoring | None,
    validation: Sequence[Any],
    as_fitted: Callable[[Network, int], BaseEstimator],
) -> Callable[[Network, Iterable[int]], np.ndarray] | None:
    """Return a function from (network, indices of members) to an array of their scores.

    Parameters
    ----------
    scoring : str, callable or None
    validation : list of Examples
        The validation set of each network. The scorer gets its rows as the user passed them, and
        its weights if they differ and the scorer takes weights.
    as_fitted : callable
        From (network, member) to the estimator as if it were fitted with this member only.

    Returns
    -------
    callable or None
        None if there is no scorer or no validation set.
    """
    if scoring is None or not validation:
        return None
    scorer = get_scorer(scoring)
    takes_weights = _takes_weights(scorer)

    def score_member(network: Network, member: int) -> float:
        rows = validation[member]
        y, weight = rows.target.decode(rows.y), rows.weight
        is_weighted = takes_weights and not (weight == weight[0]).all()
        weights = {"sample_weight": weight} if is_weighted else {}
        value = scorer(as_fitted(network, member), rows.given, y, **weights)
        try:
            score = float(value)
        except (TypeError, ValueError, OverflowError, RuntimeError) as error:
            raise ValueError(
                f"scoring must give a number, got {short_repr(value)} from {scoring!r}."
            ) from error
        if not np.isfinite(score):
            raise ValueError(f"scoring must give a finite number, got {score} from {scoring!r}.")
        return score

    return lambda network, members: np.array([score_member(network, k) for k in members])


def score_name(scoring: Scoring) -> str:
    """Return the name of a scorer: its own, or that of its function or metric.

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


def _takes_weights(scorer: Callable[..., Any]) -> bool:
    # A scorer made by scikit-learn takes any keyword and passes it to its metric.
    try:
        parameters = inspect.signature(getattr(scorer, "_score_func", scorer)).parameters
    except (TypeError, ValueError):  # compiled code may have no signature
        return False
    kinds = [parameter.kind for parameter in parameters.values()]
    return "sample_weight" in parameters or inspect.Parameter.VAR_KEYWORD in kinds
