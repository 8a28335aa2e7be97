"""Parameters: the rules that they keep, as a table, and what they hold of Python's own types.

`__init__` stores whatever it is given; `fit` calls `checked_parameters` before it touches anything.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from functools import cache
from numbers import Integral, Real
from os import PathLike
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.metrics import get_scorer_names

from skdnn.checkpoints import Checkpoint
from skdnn.data.frames import shown
from skdnn.network import ACTIVATIONS
from skdnn.training import OPTIMIZERS, SCHEDULES

DTYPES = {"float32": torch.float32, "float64": torch.float64}
NARROW = ("float32", "float16", "bfloat16")
# Beyond this an integer means nothing here, and breaks what computes with it.
_LARGEST = 2**32 - 1
_MOST_THREADS = 1024  # more than any machine has; the system ends a process that asks for too many
_MOST_LAYERS = _MOST_NETWORKS = 10_000


def _never(value):
    return False


@dataclass(frozen=True)
class Integer:
    """An integer of at least `low`, or one of a few other values."""

    low: int
    or_else: tuple = ()
    high: int = _LARGEST

    def __str__(self):
        return f"an integer of at least {self.low}{_alternatives(self.or_else)}"

    def accepts(self, value):
        """Tell whether the value keeps the rule."""
        is_in_range = _is_integer(value) and self.low <= value <= self.high
        return _is_one_of(value, self.or_else) or is_in_range


@dataclass(frozen=True)
class Number:
    """A finite number in an interval, or one of a few other values."""

    low: float
    high: float = math.inf
    includes_low: bool = True
    or_else: tuple = ()

    def __str__(self):
        bound = f"of at least {self.low:g}" if self.includes_low else f"above {self.low:g}"
        below = "" if self.high == math.inf else f" and below {self.high:g}"
        return f"a finite number {bound}{below}{_alternatives(self.or_else)}"

    def accepts(self, value):
        """Tell whether the value keeps the rule."""
        if not _is_number(value):
            return _is_one_of(value, self.or_else)
        above = value >= self.low if self.includes_low else value > self.low
        return above and value < self.high


@dataclass(frozen=True)
class OneOf:
    """One of a few values; or an object of some other kind, as `accepts_also` tells."""

    values: tuple
    or_else: str = ""
    accepts_also: Callable[[Any], bool] = _never

    def __str__(self):
        listed = ", ".join(repr(value) for value in self.values)
        return f"one of {listed}{self.or_else}"

    def accepts(self, value):
        """Tell whether the value keeps the rule."""
        return _is_one_of(value, self.values) or self.accepts_also(value)


@dataclass(frozen=True)
class EachLayer:
    """A value for every hidden layer, or a sequence with one for each."""

    constraint: Any

    def __str__(self):
        return f"{self.constraint}; or a sequence of such, one for each hidden layer"

    def accepts(self, value):
        """Tell whether the value, or each value of the sequence, keeps the rule."""
        if is_sequence(value):
            return all(self.constraint.accepts(part) for part in value)
        return self.constraint.accepts(value)


def _is_integer(value):
    return isinstance(value, Integral) and not isinstance(value, bool)


def _is_number(value):
    if not isinstance(value, Real) or isinstance(value, bool):
        return False
    return -_LARGEST <= value <= _LARGEST if _is_integer(value) else math.isfinite(value)


def _is_one_of(value, values):
    # `==` alone would take 1 for True, and an array for neither.
    return any(type(value) is type(v) and value == v for v in values)


def is_sequence(value):
    """Tell whether a parameter, as `plain` leaves it, is given layer by layer or by column."""
    return isinstance(value, tuple)


def plain(value):
    """Return what a parameter holds, of Python's own types.

    Scalars of NumPy and torch, decimals and fractions are numbers, flags and texts; lists, ranges,
    arrays, and pandas' Series and Index are tuples of such; mappings are dicts.

    Examples
    --------
    >>> import numpy as np
    >>> from skdnn.estimator._parameters import plain
    >>> plain(np.int8(32)), plain(np.array(["tanh", "relu"])), plain(range(2))
    (32, ('tanh', 'relu'), (0, 1))
    """
    if isinstance(value, np.ndarray | torch.Tensor) and value.ndim == 0:
        value = value.item()
    if isinstance(value, np.longdouble | Decimal | Fraction):
        return _float(value)
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Mapping):
        return {plain(key): plain(part) for key, part in value.items()}
    value = value.tolist() if isinstance(value, np.ndarray | torch.Tensor) else value
    is_of_pandas = hasattr(type(value), "to_numpy") and getattr(value, "ndim", 0) == 1
    if isinstance(value, list | tuple | range) or is_of_pandas:
        return tuple(plain(part) for part in value)
    return value


def _float(value):
    try:
        return float(value)
    except OverflowError:
        return math.inf if value > 0 else -math.inf


def _alternatives(values):
    return "".join(f" or {value!r}" for value in values)


def _is_optimizer_class(value):
    return inspect.isclass(value) and issubclass(value, torch.optim.Optimizer)


def _is_device(value):
    return isinstance(value, str | torch.device)


def _is_dtype(value):
    return isinstance(value, torch.dtype | np.dtype | type) and dtype_name(value) in DTYPES


@cache
def has_32_bits(dtype):
    """Tell whether a dtype is a float of 32 bits or fewer."""
    return dtype_name(dtype) in NARROW


def dtype_name(dtype):
    """Return the name that torch and NumPy have for a dtype, None if it is none."""
    if isinstance(dtype, torch.dtype):
        return str(dtype).removeprefix("torch.")
    try:
        return np.dtype(dtype).name
    except TypeError:
        return None


def _is_random_state(value):
    if _is_integer(value):
        return 0 <= value < 2**32
    return isinstance(value, np.random.RandomState)


def _is_scoring(value):
    if isinstance(value, str):
        return value in get_scorer_names()
    return _takes(value, 3) and not _is_metric(value)


def _is_metric(function):
    try:
        names = list(inspect.signature(function).parameters)
    except ValueError:  # compiled code need not have a signature
        return False
    return names[0].startswith(("y_true", "y_pred", "y_score"))


def _is_schedule(value):
    return _takes(value, 2)


def _takes(value, n_arguments):
    """Tell whether a value can be called with so many arguments, as far as it says."""
    if not callable(value) or inspect.isclass(value):
        return False
    try:
        inspect.signature(value).bind(*range(n_arguments))
    except TypeError:
        return False
    except ValueError:  # as above
        pass
    return True


def _is_checkpoint(value):
    return isinstance(value, str | PathLike | Checkpoint)


FLAG = OneOf((True, False))
FLAG_OR_AUTO = OneOf((True, False, "auto"))

# Of the parameters that both faces have; each brings those of its own.
CONSTRAINTS = {
    "n_layers": Integer(1, or_else=(None,), high=_MOST_LAYERS),
    "n_units": EachLayer(Integer(1)),
    "activation": EachLayer(
        OneOf(tuple(ACTIVATIONS), " or a callable on tensors or a torch.nn.Module class", callable)
    ),
    "init_scale": Number(0, or_else=("auto",)),
    "optimizer": OneOf(tuple(OPTIMIZERS), " or a torch.optim.Optimizer class", _is_optimizer_class),
    "learning_rate": Number(0, includes_low=False, or_else=("auto",)),
    "learning_rate_schedule": OneOf(
        ("auto", *SCHEDULES), " or a callable (epoch, max_iter) -> factor", _is_schedule
    ),
    "momentum": Number(0, 1),
    "nesterovs_momentum": FLAG,
    "weight_decay": Number(0, or_else=("auto",)),
    "dropout": EachLayer(Number(0, 1)),
    "max_grad_norm": Number(0, includes_low=False, or_else=(None,)),
    "weight_averaging": Number(0, 1),
    "shuffle": FLAG,
    "batch_size": Integer(1, or_else=("auto", None)),
    "max_iter": Integer(1, or_else=("auto",)),
    "tol": Number(0),
    "n_iter_no_change": Integer(1),
    "early_stopping": FLAG_OR_AUTO,
    "scoring": OneOf(
        (None,),
        " or a name of sklearn.metrics.get_scorer_names() or a callable (estimator, X, y), which "
        "sklearn.metrics.make_scorer makes of a metric",
        _is_scoring,
    ),
    "validation_fraction": Number(0, 1, includes_low=False),
    "standardize": OneOf((True, False, "smooth_clip", "robust")),
    "categorical_features": OneOf(
        ("from_dtype", None), " or a sequence of names or indices, or a mask", is_sequence
    ),
    "target_encoding": FLAG_OR_AUTO,
    "numeric_embedding": OneOf(("auto", None, "piecewise_linear")),
    "n_networks": Integer(1, high=_MOST_NETWORKS),
    "device": OneOf(("auto", "cpu", "cuda"), ', "cuda:1" or such a torch.device', _is_device),
    "dtype": OneOf(("auto", "float32", "float64"), accepts_also=_is_dtype),
    "n_threads": Integer(1, or_else=(None,), high=_MOST_THREADS),
    "warm_start": FLAG,
    "checkpoint": OneOf((None,), " or a path or a skdnn.Checkpoint", _is_checkpoint),
    "verbose": Integer(0, or_else=(True, False)),
    "random_state": OneOf(
        (None,),
        " or an integer from 0 to 2**32 - 1 or a numpy.random.RandomState",
        _is_random_state,
    ),
}


def checked_parameters(estimator):
    """Return the parameters of an estimator as attributes, plain, each checked by itself.

    What they say together is checked where it is resolved.

    Raises
    ------
    ValueError
        Naming the parameter, the rule and what came.

    Examples
    --------
    >>> from skdnn import DeepBinaryClassifier
    >>> DeepBinaryClassifier(n_layers=0).fit([[0], [1]], [0, 1])
    Traceback (most recent call last):
        ...
    ValueError: n_layers must be an integer of at least 1 or None, got 0.
    """
    parameters = {}
    for name, constraint in {**CONSTRAINTS, **estimator._task.constraints}.items():
        given = getattr(estimator, name)
        try:
            parameters[name] = plain(given)
        except (RuntimeError, TypeError, ValueError) as error:  # a tensor without data, say
            raise ValueError(f"{name} must be {constraint}, got {_shown(given)}.") from error
        if not constraint.accepts(parameters[name]):
            raise ValueError(
                f"{name} must be {_broken(constraint, parameters[name])}, got {_shown(given)}."
            )
    return SimpleNamespace(**parameters)


def _broken(constraint, value):
    """Return what to say of a rule to somebody whose value breaks it."""
    is_too_large = (
        isinstance(constraint, Integer) and _is_integer(value) and value > constraint.high
    )
    return f"at most {constraint.high}" if is_too_large else constraint


def _shown(value):
    if _is_integer(value) and abs(value) > _LARGEST:
        return "an integer beyond 2**32"
    return shown(value, longest=200)
