"""A scorer of scikit-learn, asked after each epoch."""

import copy

import numpy as np
from sklearn.metrics import get_scorer


def make_score(estimator, watched, classes, attributes):
    """Return the function from a network to its score on the rows to watch, of shape (1,).

    Parameters
    ----------
    estimator : DeepBinaryClassifier
        With the parameter `scoring`.
    watched : Examples or None
        The scorer sees their rows as an array, and their weights where these differ.
    classes : array of shape (2,)
    attributes : callable
        From a network to the fitted attributes that predictions depend on.

    Returns
    -------
    callable or None
        None where there is nothing to score.
    """
    if estimator.scoring is None or watched is None:
        return None
    scorer = get_scorer(estimator.scoring)
    y, weight = classes[watched.y], watched.weight
    options = {} if (weight == weight[0]).all() else {"sample_weight": weight}

    def score(network):
        fitted = copy.copy(estimator)
        vars(fitted).pop("feature_names_in_", None)
        vars(fitted).update(attributes(network))
        value = float(scorer(fitted, watched.X, y, **options))
        if not np.isfinite(value):
            raise ValueError(
                f"scoring must give a finite number, got {value} from {estimator.scoring!r}."
            )
        return np.array([value])

    return score
