"""Errors for unknown parameters, which name the equivalent of another library's parameter."""

import inspect
from collections.abc import Callable
from difflib import get_close_matches
from functools import wraps
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])

# Parameters of scikit-learn's MLPClassifier, skorch, Keras, LightGBM, XGBoost and CatBoost, and
# what to use instead. docs/guide/migrating.rst lists the same names.
OTHER_NAMES = {
    "hidden_layer_sizes": "n_units=…",
    "hidden_units": "n_units=…",
    "num_layers": "n_layers=…",
    "max_depth": "n_layers=…",
    "module": "n_layers=…, n_units=… and activation=…",
    "solver": "optimizer=…",
    "alpha": "weight_decay=alpha / n_samples",
    "reg_lambda": "weight_decay=…",
    "l2_regularization": "weight_decay=…",
    "optimizer__weight_decay": "weight_decay=…",
    "optimizer__momentum": "momentum=…",
    "learning_rate_init": "learning_rate=…",
    "lr": "learning_rate=…",
    "eta": "learning_rate=…",
    "power_t": "learning_rate_schedule=…",
    "beta_1": "optimizer=… with a class made from one of torch.optim",
    "beta_2": "optimizer=… with a class made from one of torch.optim",
    "epsilon": "optimizer=… with a class made from one of torch.optim",
    "dropout_rate": "dropout=…",
    "criterion": "loss=…",
    "objective": "loss=…",
    "epochs": "max_iter=…",
    "max_epochs": "max_iter=…",
    "n_epochs": "max_iter=…",
    "max_fun": "max_iter=…",
    "n_estimators": "n_networks=… for several networks, max_iter=… for more epochs",
    "patience": "n_iter_no_change=…",
    "early_stopping_rounds": "n_iter_no_change=…",
    "eval_metric": "scoring=…",
    "sample_weight": "fit(…, sample_weight=…)",
    "groups": "fit(…, groups=…)",
    "X_val": "fit(…, X_val=…, y_val=…)",
    "y_val": "fit(…, X_val=…, y_val=…)",
    "eval_set": "fit(…, X_val=…, y_val=…)",
    "validation_data": "fit(…, X_val=…, y_val=…)",
    "train_split": "validation_fraction=…, or fit(…, X_val=…, y_val=…)",
    "validation_split": "validation_fraction=…",
    "iterator_train__shuffle": "shuffle=…",
    "categorical_feature": "categorical_features=…",
    "cat_features": "categorical_features=…",
    "criterion__pos_weight": "class_weight=…",
    "scale_pos_weight": "class_weight=…",
    "callbacks": "set_callbacks(…)",
    "n_jobs": "n_threads=…",
    "seed": "random_state=…",
}


def with_known_names(method: Method) -> Method:
    """Return the method with a TypeError for an unknown argument that says what to use instead."""
    names = [name for name in inspect.signature(method).parameters if name != "self"]

    @wraps(method)
    def checked(self: Any, *args: Any, **kwargs: Any) -> Any:
        for name in kwargs:
            if name not in names:
                raise TypeError(unknown_name_message(self, method.__name__, name, names))
        return method(self, *args, **kwargs)

    return cast(Method, checked)


def unknown_name_message(estimator: Any, method: str, name: str, names: list[str]) -> str:
    """Return the error message for an argument that a method does not have.

    Examples
    --------
    >>> from skdnn import DeepBinaryClassifier
    >>> from skdnn.estimator._unknown_names import unknown_name_message
    >>> unknown_name_message(DeepBinaryClassifier(), "__init__", "n_layer", ["n_layers", "n_units"])
    "DeepBinaryClassifier has no parameter 'n_layer'. Did you mean 'n_layers'?"
    """
    owner = type(estimator).__name__
    if method == "__init__":
        problem = f"{owner} has no parameter {name!r}"
    else:
        problem = f"{owner}.{method} has no argument {name!r}"
        if name in estimator.get_params():
            return f"{problem}: use {owner}({name}=…)."
    if name in OTHER_NAMES:
        use = OTHER_NAMES[name]
        where = "" if method == "__init__" or "(" in use else f" in {owner}(…)"
        return f"{problem}: use {use}{where}."
    if close := get_close_matches(name, names, n=1):
        return f"{problem}. Did you mean {close[0]!r}?"
    return f"{problem}. There are {', '.join(sorted(names))}."
