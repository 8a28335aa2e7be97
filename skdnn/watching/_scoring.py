"""A scorer of scikit-learn, asked after each epoch."""

import copy

import numpy as np
from sklearn.metrics import get_scorer


def make_score(estimator, watched, classes, attributes):
    """Return the function from a stack of networks to their scores, of shape (M,).

    Parameters
    ----------
    estimator : DeepBinaryClassifier
        With the parameter `scoring`.
    watched : list of Examples
        For each network those to score it on. The scorer sees their rows as an array, and their
        weights where these differ.
    classes : array of shape (2,)
    attributes : callable
        From (network, member) to the fitted attributes that predictions of a member depend on.

    Returns
    -------
    callable or None
        None where there is nothing to score.
    """
    if estimator.scoring is None or not watched:
        return None
    scorer = get_scorer(estimator.scoring)

    def score_member(network, member):
        fitted = copy.copy(estimator)
        vars(fitted).pop("feature_names_in_", None)
        vars(fitted).update(attributes(network, member))
        X, y, weight = watched[member].X, classes[watched[member].y], watched[member].weight
        options = {} if (weight == weight[0]).all() else {"sample_weight": weight}
        value = float(scorer(fitted, X, y, **options))
        if not np.isfinite(value):
            raise ValueError(
                f"scoring must give a finite number, got {value} from {estimator.scoring!r}."
            )
        return value

    return lambda network: np.array([score_member(network, k) for k in range(len(watched))])
