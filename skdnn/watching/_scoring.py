"""A scorer of scikit-learn, asked after each epoch."""

import copy
import inspect

import numpy as np
from sklearn.metrics import get_scorer

# How the arguments of a metric begin, which is no scorer.
_OF_A_METRIC = ("y_true", "y_score", "y_pred", "y_prob")


def make_score(estimator, scoring, watched, classes, attributes):
    """Return the function from a stack of networks to their scores, of shape (M,).

    Parameters
    ----------
    estimator : DeepBinaryClassifier
    scoring : str, callable or None
    watched : list of Examples
        For each network those to score it on. The scorer sees their rows as an array, and their
        weights where these differ and it takes some.
    classes : array of shape (2,)
    attributes : callable
        From (network, member) to the fitted attributes that predictions of a member depend on.

    Returns
    -------
    callable or None
        None where there is nothing to score.

    Raises
    ------
    ValueError
        If `scoring` is a metric.
    """
    if scoring is None or not watched:
        return None
    scorer = get_scorer(scoring)
    _check_is_no_metric(scorer)
    takes_weights = _takes_weights(scorer)

    def score_member(network, member):
        fitted = copy.copy(estimator)
        vars(fitted).pop("feature_names_in_", None)
        vars(fitted).update(attributes(network, member))
        X, y, weight = watched[member].X, classes[watched[member].y], watched[member].weight
        is_weighted = takes_weights and not (weight == weight[0]).all()
        value = scorer(fitted, X, y, **({"sample_weight": weight} if is_weighted else {}))
        return _checked(value, scoring)

    return lambda network: np.array([score_member(network, k) for k in range(len(watched))])


def _checked(value, scoring):
    try:
        number = float(value)
    except (TypeError, ValueError) as error:
        raise ValueError(f"scoring must give a number, got {value!r} from {scoring!r}.") from error
    if not np.isfinite(number):
        raise ValueError(f"scoring must give a finite number, got {number} from {scoring!r}.")
    return number


def _check_is_no_metric(scorer):
    names = list(_parameters(scorer))
    if names and names[0].startswith(_OF_A_METRIC):
        name = getattr(scorer, "__name__", repr(scorer))
        raise ValueError(
            f"scoring must be a callable (estimator, X, y), got {name}({', '.join(names[:2])}, …), "
            f"a metric: use sklearn.metrics.make_scorer({name})."
        )


def _takes_weights(scorer):
    # A scorer that scikit-learn made takes anything, and passes it to its metric.
    parameters = _parameters(getattr(scorer, "_score_func", scorer))
    kinds = [parameter.kind for parameter in parameters.values()]
    return "sample_weight" in parameters or inspect.Parameter.VAR_KEYWORD in kinds


def _parameters(function):
    try:
        return inspect.signature(function).parameters
    except (TypeError, ValueError):  # compiled code need not have a signature
        return {}
