"""Parameters: a table of their constraints, and their conversion to types of Python.

`__init__` stores each parameter as it is given; `fit` first calls `checked_parameters`.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from numbers import Integral, Real
from os import PathLike
from types import SimpleNamespace
from typing import Any, Literal

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.metrics import get_scorer_names

from skdnn.checkpoints import Checkpoint
from skdnn.data.frames import short_repr
from skdnn.network import ACTIVATIONS
from skdnn.training import OPTIMIZERS, SCHEDULES

from ._defaults import CROSS_VALIDATION
from ._task import Constraint

DTYPES = {"float32": torch.float32, "float64": torch.float64}
_INTEGER_LIMIT = 2**32  # no larger integer makes sense for any parameter; some overflow
_MAX_THREADS = 1024  # the operating system kills a process that asks for far more
_MAX_LAYERS = _MAX_NETWORKS = 10_000


@dataclass(frozen=True)
class Options:
    """One of a few values, or another object that `accepts_other` accepts.

    Attributes
    ----------
    values : tuple
    other : str, default=""
        Describes the other objects, for the error message.
    accepts_other : callable or None, default=None
        From a value to whether it is such an object.
    """

    values: tuple
    other: str = ""
    accepts_other: Callable[[Any], bool] | None = None

    def __str__(self) -> str:
        one_of = "one of " if len(self.values) > 1 else ""
        return f"{one_of}{', '.join(map(repr, self.values))}{self.other}"

    def accepts(self, value: Any) -> bool:
        """Return whether a value satisfies the constraint."""
        # `==` alone would take 1 for True, and fails for an array.
        if any(type(value) is type(option) and value == option for option in self.values):
            return True
        return self.accepts_other is not None and self.accepts_other(value)


@dataclass(frozen=True)
class Interval:
    """A number in an interval, or one of a few options.

    Attributes
    ----------
    type : {numbers.Integral, numbers.Real}
    low, high : float
    closed : {"left", "both", "neither"}, default="left"
        Which of the bounds belong to the interval.
    options : tuple, default=()
    """

    type: Any
    low: float
    high: float = math.inf
    closed: Literal["left", "both", "neither"] = "left"
    options: tuple = ()

    def __str__(self) -> str:
        name, high = ("an int", "2**32") if self.type is Integral else ("a float", "inf")
        high = high if self.high == math.inf else f"{self.high:g}"
        brackets = {"left": "[)", "both": "[]", "neither": "()"}[self.closed]
        text = f"{name} in the range {brackets[0]}{self.low:g}, {high}{brackets[1]}"
        if not self.options:
            return text
        *others, last = map(repr, self.options)
        return f"{', '.join([text, *others])} or {last}"

    def accepts(self, value: Any) -> bool:
        """Return whether a value satisfies the constraint."""
        number = int if self.type is Integral else int | float
        if not isinstance(value, number) or isinstance(value, bool):
            return Options(self.options).accepts(value)
        if isinstance(value, Integral) and abs(int(value)) >= _INTEGER_LIMIT:
            return False
        is_above = value > self.low if self.closed == "neither" else value >= self.low
        return is_above and (value <= self.high if self.closed == "both" else value < self.high)


@dataclass(frozen=True)
class PerLayer:
    """A value for all hidden layers, or a sequence with one value for each of them."""

    constraint: Constraint

    def __str__(self) -> str:
        return f"{self.constraint}, or a sequence with such a value for each hidden layer"

    def accepts(self, value: Any) -> bool:
        """Return whether the value, or each value of the sequence, satisfies the constraint."""
        return all(map(self.constraint.accepts, value if isinstance(value, tuple) else [value]))


def to_python(value: Any) -> Any:
    """Convert a parameter to types of Python.

    Scalars of NumPy and torch become numbers, booleans and strings; lists, ranges, arrays, and
    pandas' Series and Index become tuples; mappings become dicts. Any other object is returned as
    it is.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.estimator._parameters import to_python
    >>> to_python(np.int8(32)), to_python(np.array(["tanh", "relu"])), to_python(range(2))
    (32, ('tanh', 'relu'), (0, 1))
    """
    if hasattr(type(value), "tolist"):
        value = value.tolist()
    if isinstance(value, Mapping):
        return {to_python(key): to_python(element) for key, element in value.items()}
    if isinstance(value, list | tuple | range):
        return tuple(map(to_python, value))
    return value


def dtype_name(dtype: Any) -> str:
    """Return the name of a dtype of torch or NumPy, "" for any other object."""
    if isinstance(dtype, torch.dtype):
        return str(dtype).removeprefix("torch.")
    try:
        return np.dtype(dtype).name
    except TypeError:
        return ""


@cache
def has_32_bits(dtype: Any) -> bool:
    """Return whether a dtype is a float of 32 bits or fewer."""
    return dtype_name(dtype) in ("float32", "float16", "bfloat16")


def _is_callable_with(value: Any, n_arguments: int) -> bool:
    """Return whether a value is a function that can be called with so many arguments."""
    if not callable(value) or inspect.isclass(value):
        return False
    try:
        inspect.signature(value).bind(*range(n_arguments))
    except TypeError:
        return False
    except ValueError:  # compiled code need not have a signature
        pass
    return True


def _is_scorer(value: Any) -> bool:
    """Return whether a value is the name of a scorer, or a function (estimator, X, y)."""
    if isinstance(value, str):
        return value in get_scorer_names()
    if not _is_callable_with(value, 3):
        return False
    try:
        first, *_ = inspect.signature(value).parameters
    except ValueError:  # as above
        return True
    # A metric takes three arguments as well: (y_true, y_pred, ...).
    return not first.startswith(("y_true", "y_pred", "y_score"))


BOOLEAN = Options((True, False))
BOOLEAN_OR_AUTO = Options((True, False, "auto"))

# Constraints of the parameters that both estimators have; a Task has the others.
CONSTRAINTS: dict[str, Constraint] = {
    "n_layers": Interval(Integral, 1, _MAX_LAYERS, "both", options=(None,)),
    "n_units": PerLayer(Interval(Integral, 1)),
    "activation": PerLayer(
        Options(
            tuple(ACTIVATIONS), " or a callable on tensors or a torch.nn.Module class", callable
        )
    ),
    "init_scale": Interval(Real, 0, options=("auto",)),
    "optimizer": Options(
        tuple(OPTIMIZERS),
        " or a torch.optim.Optimizer class",
        lambda value: inspect.isclass(value) and issubclass(value, torch.optim.Optimizer),
    ),
    "learning_rate": Interval(Real, 0, closed="neither", options=("auto",)),
    "learning_rate_schedule": Options(
        ("auto", *SCHEDULES),
        " or a callable (epoch, max_iter) -> factor",
        lambda value: _is_callable_with(value, 2),
    ),
    "momentum": Interval(Real, 0, 1),
    "nesterovs_momentum": BOOLEAN,
    "weight_decay": Interval(Real, 0, options=("auto",)),
    "dropout": PerLayer(Interval(Real, 0, 1)),
    "max_grad_norm": Interval(Real, 0, closed="neither", options=(None,)),
    "weight_averaging": Interval(Real, 0, 1),
    "shuffle": BOOLEAN,
    "batch_size": Interval(Integral, 1, options=("auto", None)),
    "max_iter": Interval(Integral, 1, options=("auto",)),
    "tol": Interval(Real, 0),
    "n_iter_no_change": Interval(Integral, 1),
    "early_stopping": Options((True, False, "auto", CROSS_VALIDATION)),
    "scoring": Options(
        (None,),
        ", a name of sklearn.metrics.get_scorer_names(), or a callable (estimator, X, y), which "
        "sklearn.metrics.make_scorer makes from a metric",
        _is_scorer,
    ),
    "validation_fraction": Interval(Real, 0, 1, "neither"),
    "standardize": Options((True, False, "smooth_clip", "robust")),
    "categorical_features": Options(
        ("from_dtype", None),
        " or a sequence of names or indices, or a mask",
        lambda value: isinstance(value, tuple),
    ),
    "target_encoding": BOOLEAN_OR_AUTO,
    "numeric_embedding": Options(("auto", None, "piecewise_linear", "periodic")),
    "n_networks": Interval(Integral, 1, _MAX_NETWORKS, "both"),
    "device": Options(
        ("auto", "cpu", "cuda"),
        ', "cuda:1" or such a torch.device',
        lambda value: isinstance(value, str | torch.device),
    ),
    "dtype": Options(
        ("auto", "float32", "float64"),
        accepts_other=lambda value: (
            isinstance(value, torch.dtype | np.dtype | type) and dtype_name(value) in DTYPES
        ),
    ),
    "n_threads": Interval(Integral, 1, _MAX_THREADS, "both", options=(None,)),
    "warm_start": BOOLEAN,
    "checkpoint": Options(
        (None,),
        ", a path or a skdnn.Checkpoint",
        lambda value: isinstance(value, str | PathLike | Checkpoint),
    ),
    "verbose": Interval(Integral, 0, options=(True, False)),
    "random_state": Options(
        (None,),
        ", an int in the range [0, 2**32) or a numpy.random.RandomState",
        lambda value: (
            isinstance(value, np.random.RandomState) or Interval(Integral, 0).accepts(value)
        ),
    ),
}


def checked_parameters(estimator: BaseEstimator) -> SimpleNamespace:
    """Return the parameters of an estimator as attributes, in types of Python.

    Each parameter is checked by itself; `make_plan` checks combinations.

    Raises
    ------
    ValueError
        If a parameter does not satisfy its constraint.

    Examples
    --------
    >>> from skdnn import DeepBinaryClassifier
    >>> DeepBinaryClassifier(batch_size=0).fit([[0], [1]], [0, 1])
    Traceback (most recent call last):
        ...
    ValueError: batch_size must be an int in the range [1, 2**32), 'auto' or None, got 0.
    """
    parameters = {}
    for name, constraint in {**CONSTRAINTS, **estimator._task.constraints}.items():
        given, error = getattr(estimator, name), None
        try:
            parameters[name] = to_python(given)
        except (RuntimeError, TypeError, ValueError) as caught:  # a tensor without data, say
            error = caught
        if error is not None or not constraint.accepts(parameters[name]):
            is_huge = isinstance(given, Integral) and abs(int(given)) >= _INTEGER_LIMIT
            text = "an int beyond 2**32" if is_huge else short_repr(given, longest=200)
            raise ValueError(f"{name} must be {constraint}, got {text}.") from error
    return SimpleNamespace(**parameters)
