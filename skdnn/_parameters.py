"""The rules that the parameters of DeepBinaryClassifier keep, and what they come to.

`__init__` stores whatever it is given; `fit` calls `check_parameters` before it touches anything.
"""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from numbers import Integral, Real
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from skdnn.network import ACTIVATIONS, LOSSES
from skdnn.training import OPTIMIZERS, SCHEDULES

DTYPES = {"float32": torch.float32, "float64": torch.float64}
DEFAULT_N_LAYERS = 3


def _never(value):
    return False


@dataclass(frozen=True)
class Integer:
    """An integer of at least `low`, or one of a few other values."""

    low: int
    or_else: tuple = ()

    def __str__(self):
        return f"an integer of at least {self.low}{_alternatives(self.or_else)}"

    def accepts(self, value):
        """Tell whether the value keeps the rule."""
        return _is_one_of(value, self.or_else) or (_is_integer(value) and value >= self.low)


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

    rule: Any

    def __str__(self):
        return f"{self.rule}; or a sequence of such, one for each hidden layer"

    def accepts(self, value):
        """Tell whether the value, or each value of the sequence, keeps the rule."""
        if is_sequence(value):
            return all(self.rule.accepts(part) for part in value)
        return self.rule.accepts(value)


def _is_integer(value):
    return isinstance(value, Integral) and not isinstance(value, bool | np.bool_)


def _is_number(value):
    is_real = isinstance(value, Real) and not isinstance(value, bool | np.bool_)
    return is_real and math.isfinite(value)


def _is_one_of(value, values):
    # `==` alone would take 1 for True, and an array for neither.
    return any(type(value) is type(v) and value == v for v in values)


def is_sequence(value):
    """Tell whether a parameter is given layer by layer."""
    return isinstance(value, list | tuple | np.ndarray)


def _alternatives(values):
    return "".join(f" or {value!r}" for value in values)


def _is_optimizer_class(value):
    return inspect.isclass(value) and issubclass(value, torch.optim.Optimizer)


def _is_flag(value):
    return isinstance(value, bool | np.bool_)


def _is_device(value):
    return isinstance(value, str | torch.device)


def _is_dtype(value):
    return isinstance(value, torch.dtype | np.dtype | type) and _dtype_name(value) in DTYPES


def _is_random_state(value):
    if _is_integer(value):
        return 0 <= value < 2**32
    return isinstance(value, np.random.RandomState)


def _is_class_weight(value):
    return isinstance(value, Mapping) and all(_is_number(w) and w >= 0 for w in value.values())


FLAG = OneOf((True, False), accepts_also=_is_flag)

RULES = {
    "n_layers": Integer(1, or_else=(None,)),
    "n_units": EachLayer(Integer(1)),
    "activation": EachLayer(
        OneOf(tuple(ACTIVATIONS), " or a callable on tensors or a torch.nn.Module class", callable)
    ),
    "init_scale": Number(0, or_else=("auto",)),
    "optimizer": OneOf(
        (*OPTIMIZERS, "lbfgs"), " or a torch.optim.Optimizer class", _is_optimizer_class
    ),
    "learning_rate": Number(0, includes_low=False),
    "learning_rate_schedule": OneOf(
        tuple(SCHEDULES), " or a callable (epoch, max_iter) -> factor", callable
    ),
    "momentum": Number(0, 1),
    "nesterovs_momentum": FLAG,
    "weight_decay": Number(0),
    "dropout": EachLayer(Number(0, 1)),
    "loss": OneOf(tuple(LOSSES)),
    "shuffle": FLAG,
    "batch_size": Integer(1, or_else=("auto", None)),
    "max_iter": Integer(1),
    "tol": Number(0),
    "n_iter_no_change": Integer(1),
    "early_stopping": OneOf((True, False, "auto"), accepts_also=_is_flag),
    "validation_fraction": Number(0, 1, includes_low=False),
    "standardize": FLAG,
    "class_weight": OneOf(
        (None, "balanced"), " or a dict from labels to weights of at least 0", _is_class_weight
    ),
    "n_networks": OneOf((1,), accepts_also=lambda value: _is_integer(value) and value == 1),
    "device": OneOf(("auto", "cpu", "cuda"), ', "cuda:1" or a torch.device', _is_device),
    "dtype": OneOf(("auto", "float32", "float64"), accepts_also=_is_dtype),
    "warm_start": FLAG,
    "verbose": Integer(0, or_else=(True, False)),
    "random_state": OneOf(
        (None,),
        " or an integer from 0 to 2**32 - 1 or a numpy.random.RandomState",
        _is_random_state,
    ),
}


def check_parameters(parameters):
    """Check each parameter by itself; what they say together is up to `make_plan`.

    Parameters
    ----------
    parameters : object
        With the parameters as attributes.

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
    for name, rule in RULES.items():
        value = getattr(parameters, name)
        if not rule.accepts(value):
            raise ValueError(f"{name} must be {rule}, got {value!r}.")


@dataclass(frozen=True)
class Plan:
    """What the parameters come to for some data.

    Attributes
    ----------
    parameters : object
        The parameters themselves, checked, as attributes.
    layer_sizes : tuple of int
        n^[0], …, n^[L].
    activations : tuple of str or callable
        One for each hidden layer, as `get_activation` takes it.
    dropout : list of float
        One for each hidden layer.
    device : torch.device
    dtype : torch.dtype
    generator : torch.Generator
        On the CPU: the source of initial weights and shuffles.
    dropout_generator : torch.Generator
        On the device; the same one where that is the CPU.
    """

    parameters: Any
    layer_sizes: tuple
    activations: tuple
    dropout: list
    device: torch.device
    dtype: torch.dtype
    generator: torch.Generator
    dropout_generator: torch.Generator


def make_plan(parameters, X):
    """Return the Plan for checked parameters and data X of shape (n_samples, n_features).

    Raises
    ------
    ValueError
        If parameters contradict each other in the number of layers, or ask for a device that is
        not there.
    """
    n_layers, n_units = parameters.n_layers, parameters.n_units
    if n_layers is None:
        n_layers = len(n_units) + 1 if is_sequence(n_units) else DEFAULT_N_LAYERS
    units = _for_each_layer("n_units", n_units, n_layers)
    activations = _for_each_layer("activation", parameters.activation, n_layers)
    device = resolve_device(parameters.device)
    seed = _draw_seed(parameters.random_state)
    generator = torch.Generator("cpu").manual_seed(seed)
    on_cpu = device.type == "cpu"
    return Plan(
        parameters=parameters,
        layer_sizes=(X.shape[1], *map(int, units), 1),
        activations=tuple(activations),
        dropout=_for_each_layer("dropout", parameters.dropout, n_layers),
        device=device,
        dtype=resolve_dtype(parameters.dtype, X.dtype, device),
        generator=generator,
        dropout_generator=generator if on_cpu else torch.Generator(device).manual_seed(seed),
    )


def _draw_seed(random_state):
    # None draws from the system, not from NumPy's global state, which is not ours to advance.
    if random_state is None:
        return int(np.random.default_rng().integers(2**31))
    return int(check_random_state(random_state).randint(2**31))


def _for_each_layer(name, value, n_layers):
    if not is_sequence(value):
        return [value] * (n_layers - 1)
    if len(value) != n_layers - 1:
        raise ValueError(
            f"{name} must have one entry for each hidden layer, {n_layers - 1} for n_layers="
            f"{n_layers} (which counts the output layer), got {len(value)}: {value!r}."
        )
    return list(value)


def resolve_device(device):
    """Return the torch.device for the parameter `device`.

    Raises
    ------
    ValueError
        If it is not the name of a CPU or CUDA device, or this machine has no such device.
    """
    if isinstance(device, str) and device == "auto":
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be {RULES['device']}, got {device!r}.") from error
    if resolved.type == "cpu":
        return resolved
    if resolved.type != "cuda":
        raise ValueError(f"device must be {RULES['device']}, got {device!r}.")
    if (resolved.index or 0) >= torch.cuda.device_count():
        raise ValueError(
            f"device must be present on this machine, which has {torch.cuda.device_count()} CUDA "
            f"devices, got {device!r}."
        )
    return resolved


def resolve_dtype(dtype, X_dtype, device):
    """Return the torch.dtype of the network.

    "auto" follows scikit-learn on the CPU, float32 for float32 (and float16) data and float64 for
    all other; and takes float32 on CUDA, where float64 is slow.
    """
    if not (isinstance(dtype, str) and dtype == "auto"):
        return DTYPES[_dtype_name(dtype)]
    is_narrow = X_dtype in (np.dtype(np.float32), np.dtype(np.float16))
    return torch.float32 if is_narrow or device.type == "cuda" else torch.float64


def _dtype_name(dtype):
    if isinstance(dtype, torch.dtype):
        return str(dtype).removeprefix("torch.")
    try:
        return np.dtype(dtype).name
    except TypeError:
        return None
