"""The plan: what the parameters come to for some data.

Layers from `n_layers` and `n_units`, a device from "auto", a generator from `random_state`.
"""

import math
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.utils import check_random_state

from skdnn.data.batches import count_folds
from skdnn.data.frames import Table
from skdnn.network import Loss
from skdnn.processes import check_same

from ._parameters import CONSTRAINTS, DTYPES, dtype_name, is_sequence
from ._task import Task

DEFAULT_N_LAYERS = 3
# Where `early_stopping="auto"` holds rows out to see when to stop: where there are few, which a
# fast optimizer soon knows by heart, also for so many columns each, such as pixels; and where there
# are many. Between, what they would have taught is worth more than what they tell; and of very few
# they tell nothing.
FAST = ("adam", "adamw")
FEW_ROWS, MANY_ROWS, FEW_ROWS_A_COLUMN = range(100, 1_000), 10_000, 4

# What "auto" comes to, by optimizer; for those that are not here, plain gradient descent and L-BFGS
# among them, no penalty and a constant rate. Chosen on real tables, by ROC AUC and log-loss, and
# where numbers are concerned by R² and mean absolute error.
SCHEDULE = {"adam": "cosine", "adamw": "cosine"}
ANNEALING = ("cosine", "warmup_cosine")
# Over so many epochs the rate may fall to zero; of many rows half as many are steps enough.
EPOCHS_TO_ANNEAL, EPOCHS_OF_MANY_ROWS, ROWS_OF_FEWER_EPOCHS = 50, 25, 20_000
# From so many rows on, data of 64 bits is trained on in 32.
ROWS_WORTH_FLOAT32 = 1_000
LEARNING_RATE, INPUTS_AT_FULL_RATE = 0.003, 256
# Up to so many rows, `batch_size="auto"` is all of them.
ROWS_OF_ONE_BATCH = 64
USUAL_BATCH, LONGEST_BATCH = 256, 1024
# One layer has no units that could drift apart: its answer may move by about as much in each step,
# however many inputs it sums.
RATE_OF_ONE_LAYER, ANSWER_RATE = 0.03, 3.0
# The more the data says, the less a penalty should: it shrinks with the weight of all rows.
PENALIZED = ("adam",)
WITHOUT_BEND = ("identity", "linear")
# Optimizers whose state can be kept: that of L-BFGS is inside SciPy, torch's hold what they like.
WITH_STATE = ("sgd", "adam", "adamw")
PENALTY_OF_ALL_ROWS, LARGEST_WEIGHT_DECAY = 50.0, 0.01
# It is at least so much for a column a row, and falls with the square of these; for each of several
# networks, whose mean errs less than any, that share of it.
PENALTY_OF_COLUMNS, FRACTION_OF_SEVERAL = 1 / 3, 0.3
# Of one layer, a normal prior of the weights under which the answer has this variance, of features
# that are standardised and independent. Weights of rows that add up to less than so many rows are
# shares, such as AdaBoost's.
VARIANCE_OF_ANSWER, FEWEST_ROWS = 4.0, 100
# Bins make seventeen inputs of a column: up to so many columns, and where these are not few, up to
# so many numbers in all.
MOST_COLUMNS, FEW_COLUMNS, MOST_NUMBERS, INPUTS_OF_A_COLUMN = 200, 16, 2**26, 17


@dataclass(frozen=True)
class Plan:
    """What the parameters come to for some data.

    Attributes
    ----------
    task : Task
    parameters : object
        The parameters themselves, checked, as attributes.
    before : estimator or None
        Fitted before, where training goes on.
    n_columns : int
        Of X.
    units : tuple of int
        n^[1], …, n^[L].
    loss : Loss
    activations : tuple of str or callable
        One for each hidden layer, as `get_activation` takes it.
    dropout : list of float
        One for each hidden layer.
    weight_decay : float
    numeric_embedding : str or None
    alternates_bins : bool
        Whether every other network of several does without.
    schedule : str or callable
    max_iter : int
    ends_at_max_iter : bool
        Whether the learning rate falls to zero over `max_iter` epochs, and these are enough: then
        reaching the last of them is the plan and no failure.
    device : torch.device
    dtype : torch.dtype
    n_networks : int or None
        M for a stack of networks, None for one.
    holds_out : bool
        Whether rows are held out, to see when to stop.
    is_partial_fit : bool
        Whether more rows are to come, by partial_fit.
    processes : SingleProcess or Communicator
        That share the rows.
    seed : int
        What `random_state` came to.
    generator : torch.Generator
        On the CPU: the source of held-out rows and, for one network, of all below.
    generators : list of torch.Generator
        On the CPU, one for each network: the source of initial weights and shuffles.
    dropout_generators : list of torch.Generator
        On the device; the same ones where that is the CPU, unless several processes drop units.
    """

    task: Task
    parameters: Any
    before: Any
    n_columns: int
    units: tuple
    loss: Loss
    activations: tuple
    dropout: list
    weight_decay: float
    numeric_embedding: str | None
    alternates_bins: bool
    schedule: Any
    max_iter: int
    ends_at_max_iter: bool
    device: torch.device
    dtype: torch.dtype
    n_networks: int | None
    holds_out: bool
    is_partial_fit: bool
    processes: Any
    seed: int
    generator: torch.Generator
    generators: list
    dropout_generators: list

    def learning_rate(self, n_inputs, batch_size):
        """Return α for a network of n^[0] inputs and steps of so many rows.

        A step of Adam moves every weight by about α whatever its gradient, and so a unit by the
        more the more inputs it has; one with 3072 pixels soon forgets where it started. That grows
        with the root of their number where they say different things, as the bins of a column do,
        and with their number itself where all say much the same, as pixels do. The mean gradient of
        more rows has less noise, and may be followed further.
        """
        if self.parameters.learning_rate != "auto":
            return self.parameters.learning_rate
        if self.parameters.optimizer not in FAST:
            return LEARNING_RATE
        if len(self.units) == 1:
            return min(RATE_OF_ONE_LAYER, ANSWER_RATE / n_inputs)
        rate = LEARNING_RATE
        for n in (n_inputs, self.n_columns):
            rate *= min(1.0, math.sqrt(INPUTS_AT_FULL_RATE / n))
        if self.parameters.batch_size == "auto" and batch_size > USUAL_BATCH:
            rate *= math.sqrt(batch_size / USUAL_BATCH)
        return rate

    def batch_size(self, n_rows):
        """Return how many rows a step sees, None for all of them."""
        batch_size, optimizer = self.parameters.batch_size, self.parameters.optimizer
        if optimizer == "lbfgs" or batch_size is None:
            return None
        if batch_size != "auto":
            return batch_size
        if n_rows <= ROWS_OF_ONE_BATCH:
            return None
        usual = min(USUAL_BATCH, max(32, n_rows // 30))
        # Very many rows are enough steps even if these are longer, which takes half the time.
        return max(usual, min(LONGEST_BATCH, n_rows // 200)) if optimizer in FAST else usual


def make_plan(task, parameters, examples, seed=None, is_partial_fit=False):
    """Return the Plan for checked parameters and Examples.

    Parameters
    ----------
    task : Task
    parameters : object
        With the parameters as attributes.
    examples : Examples
    seed : int or None, default=None
        Instead of one drawn by `random_state`.
    is_partial_fit : bool, default=False
        For partial_fit: the generator goes on where an earlier call left it.

    Raises
    ------
    ValueError
        If parameters contradict each other, or ask for a device that is not there.
    """
    _check_together(parameters)
    n_layers, n_units = parameters.n_layers, parameters.n_units
    if n_layers is None:
        n_layers = len(n_units) + 1 if is_sequence(n_units) else DEFAULT_N_LAYERS
    units = _for_each_layer("n_units", n_units, n_layers)
    activations = _for_each_layer("activation", parameters.activation, n_layers)
    device = resolve_device(parameters.device, examples.X)
    processes, totals, before = examples.processes, examples.totals(), examples.before
    check_same(processes, {"The kind of device": device.type})
    seed = processes.broadcast(_draw_seed(parameters.random_state)) if seed is None else seed
    generator = _make_generator(seed, before if is_partial_fit else None)
    generators = _for_each_network(generator, parameters.n_networks)
    schedule = parameters.learning_rate_schedule
    if schedule == "auto":
        schedule = SCHEDULE.get(parameters.optimizer, "constant")
    holds_out = _holds_out(parameters, examples, totals, n_layers)
    embedding = _resolve_embedding(task, parameters, examples, totals, activations)
    chosen_bins = embedding is not None and parameters.numeric_embedding == "auto"
    dropout = _for_each_layer("dropout", parameters.dropout, n_layers)
    # Each process drops units of its own; all else is drawn alike.
    drops_apart = any(dropout) and processes.size > 1
    is_enough = parameters.max_iter == "auto" or parameters.max_iter >= EPOCHS_TO_ANNEAL
    return Plan(
        task=task,
        parameters=parameters,
        before=before,
        n_columns=examples.X.shape[1],
        units=(*map(int, units), examples.target.n_outputs),
        loss=task.loss(parameters),
        activations=tuple(activations),
        dropout=dropout,
        weight_decay=_resolve_weight_decay(
            task, parameters, totals.weight, examples.X.shape[1], n_layers, holds_out
        ),
        numeric_embedding=embedding,
        # What networks with bins get wrong, those without may get right.
        alternates_bins=task.alternates_bins and parameters.n_networks > 1 and chosen_bins,
        schedule=schedule,
        max_iter=_resolve_max_iter(parameters, totals),
        ends_at_max_iter=schedule in ANNEALING and is_enough,
        device=device,
        dtype=_resolve_dtype(parameters, examples, totals, device, is_partial_fit),
        n_networks=None if parameters.n_networks == 1 else int(parameters.n_networks),
        holds_out=holds_out,
        is_partial_fit=is_partial_fit,
        processes=processes,
        seed=seed,
        generator=generator,
        generators=generators,
        dropout_generators=[
            _on_device(member, device, processes.rank if drops_apart else None)
            for member in generators
        ],
    )


def _resolve_max_iter(parameters, totals):
    if parameters.max_iter != "auto":
        return parameters.max_iter
    has_many = totals.n_rows >= ROWS_OF_FEWER_EPOCHS
    return EPOCHS_OF_MANY_ROWS if has_many and parameters.optimizer in FAST else EPOCHS_TO_ANNEAL


def _resolve_weight_decay(task, parameters, total_weight, n_columns, n_layers, holds_out):
    if parameters.weight_decay != "auto":
        return parameters.weight_decay
    if parameters.optimizer not in PENALIZED:
        return 0.0
    if n_layers == 1:
        return n_columns / (VARIANCE_OF_ANSWER * max(FEWEST_ROWS, total_weight))
    fraction = task.penalty_fraction
    usual = min(LARGEST_WEIGHT_DECAY, PENALTY_OF_ALL_ROWS / total_weight)
    if holds_out:
        usual *= fraction
    columns_a_row = min(1.0, n_columns / max(FEWEST_ROWS, total_weight))
    several = FRACTION_OF_SEVERAL if parameters.n_networks > 1 else 1.0
    return max(usual, several * fraction * PENALTY_OF_COLUMNS * columns_a_row**2)


def _resolve_embedding(task, parameters, examples, totals, activations):
    if parameters.numeric_embedding != "auto":
        return parameters.numeric_embedding
    if parameters.optimizer not in FAST or totals.is_sparse:
        return None
    # One layer, or layers without a bend between them, would no longer be a linear model.
    if all(activation in WITHOUT_BEND for activation in activations):
        return None
    numbers = examples.X.numbers if isinstance(examples.X, Table) else examples.X
    n_rows, n_columns = totals.n_rows, numbers.shape[1]
    # Several networks do not learn the bins of every row by heart.
    has_rows = parameters.n_networks > 1 or n_rows >= task.rows_worth_binning
    is_small = n_rows * n_columns * INPUTS_OF_A_COLUMN <= MOST_NUMBERS
    is_worth_it = has_rows and n_columns <= MOST_COLUMNS and (is_small or n_columns <= FEW_COLUMNS)
    return "piecewise_linear" if is_worth_it else None


def _make_generator(seed, before):
    generator = torch.Generator("cpu")
    state = getattr(before, "_partial_fit_state", None)
    if state is not None:
        return generator.set_state(torch.from_numpy(state["generator"].copy()))
    return generator.manual_seed(seed)


def _for_each_network(generator, n_networks):
    if n_networks == 1:
        return [generator]
    seeds = torch.randint(2**31, (n_networks,), generator=generator, device="cpu").tolist()
    return [torch.Generator("cpu").manual_seed(seed) for seed in seeds]


def _holds_out(parameters, examples, totals, n_layers):
    """Resolve `early_stopping` for a fit without validation rows of its own."""
    if parameters.early_stopping != "auto":
        return parameters.early_stopping
    n_rows, n_rarest = totals.n_rows, totals.n_rarest
    if parameters.n_networks > 1:
        # What one network of several holds out, the others learn from.
        return bool(n_rarest >= count_folds(parameters.n_networks))
    if n_rarest * parameters.validation_fraction < 1 or not examples.can_hold_out():
        return False
    if parameters.scoring is not None:
        return True  # else there would be nothing to score
    if parameters.optimizer == "lbfgs":
        return False
    if n_layers == 1 and parameters.optimizer in PENALIZED:
        return False  # its penalty keeps it from learning by heart
    few = range(FEW_ROWS.start, max(FEW_ROWS.stop, FEW_ROWS_A_COLUMN * examples.X.shape[1]))
    is_few = n_rows in few and parameters.optimizer in FAST
    return bool(is_few or n_rows >= MANY_ROWS)


def _on_device(generator, device, rank):
    """Return a generator on the device: the same one on the CPU, else one seeded by its twin.

    The twin draws the seed, so that initial weights and shuffles are those of the CPU. A process
    with a rank has one of its own.
    """
    if device.type == "cpu" and rank is None:
        return generator
    twin = torch.Generator("cpu").set_state(generator.get_state())
    seed = int(torch.randint(2**31, (), generator=twin, device="cpu"))
    return torch.Generator(device).manual_seed(seed + (rank or 0))


def partial_fit_parameters(parameters):
    """Return the parameters as partial_fit takes them: one epoch, at a constant learning rate.

    Raises
    ------
    ValueError
        If a parameter needs all rows at once.
    """
    for name in ("early_stopping", "target_encoding"):
        if vars(parameters)[name] not in (False, "auto"):
            raise ValueError(f"{name} must be False or 'auto' for partial_fit, got True.")
    if parameters.n_networks > 1:
        raise ValueError(f"n_networks must be 1 for partial_fit, got {parameters.n_networks}.")
    if parameters.checkpoint is not None:
        raise ValueError(
            f"checkpoint must be None for partial_fit, got {parameters.checkpoint!r}: between two "
            "calls, save the estimator."
        )
    _check_has_state(parameters.optimizer, "partial_fit")
    changes = {"max_iter": 1, "early_stopping": False, "learning_rate_schedule": "constant"}
    # How many rows are to come is not known.
    unknown = {"weight_decay": 0.0, "numeric_embedding": None}
    changes |= {name: value for name, value in unknown.items() if vars(parameters)[name] == "auto"}
    return SimpleNamespace(**{**vars(parameters), **changes})


def _check_together(parameters):
    if parameters.checkpoint is not None:
        _check_has_state(parameters.optimizer, "checkpoint")
    for name, off in (("max_grad_norm", None), ("weight_averaging", 0), ("n_networks", 1)):
        if parameters.optimizer == "lbfgs" and getattr(parameters, name) != off:
            raise ValueError(
                f"{name} must be {off} for optimizer='lbfgs', which takes steps of its own, got "
                f"{getattr(parameters, name)!r}."
            )

    if parameters.n_networks > 1 and parameters.warm_start:
        raise ValueError(
            f"n_networks must be 1 for warm_start=True, got {parameters.n_networks}: the networks "
            "would see rows that others had held out."
        )


def _check_has_state(optimizer, what):
    if optimizer not in WITH_STATE:
        names = ", ".join(map(repr, WITH_STATE))
        raise ValueError(f"optimizer must be one of {names} for {what}, got {optimizer!r}.")


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


def resolve_device(device, X):
    """Return the torch.device for the parameter `device`; "auto" stays on that of a CUDA tensor X.

    Raises
    ------
    ValueError
        If it is not the name of a CPU or CUDA device, or this machine has no such device.
    """
    if isinstance(device, str) and device == "auto":
        if isinstance(X, torch.Tensor) and X.is_cuda:
            return X.device
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        resolved = torch.device(device)
    except RuntimeError as error:
        raise ValueError(f"device must be {CONSTRAINTS['device']}, got {device!r}.") from error
    if resolved.type == "cpu":
        return resolved
    if resolved.type != "cuda":
        raise ValueError(f"device must be {CONSTRAINTS['device']}, got {device!r}.")
    n_devices = torch.cuda.device_count()
    if (resolved.index or 0) >= n_devices:
        found = f"the last CUDA device is 'cuda:{n_devices - 1}'"
        if not n_devices:
            found = "no CUDA device is available"
        if torch.version.cuda is None and torch.version.hip is None:
            found += f", since PyTorch {torch.__version__} is built without CUDA"
        raise ValueError(
            f"device={str(device)!r} was requested, but {found}. Use device='cpu' or device='auto'."
        )
    return resolved


def _resolve_dtype(parameters, examples, totals, device, is_partial_fit):
    """Return the torch.dtype of the network.

    "auto" is that of the network that is trained on, if there is one. On CUDA it is float32, since
    float64 is slow there, and for data of 32 bits or fewer, unless float32 could not tell numbers
    to be predicted apart. For data of 64 bits it is float32 from a number of rows on: their noise
    is far above its rounding, and it takes half the time.
    """
    if not (isinstance(parameters.dtype, str) and parameters.dtype == "auto"):
        return DTYPES[dtype_name(parameters.dtype)]
    if examples.before is not None:
        return DTYPES[examples.before.coefs_[0].dtype.name]
    if examples.target.needs_double(examples.y, examples.weight, examples.processes):
        return torch.float64
    if device.type == "cuda" or totals.has_32_bits:
        return torch.float32
    # L-BFGS ends where the gradient is smaller than float32 can tell; and how many rows are to
    # come is not known in partial_fit.
    takes_double = parameters.optimizer == "lbfgs" or is_partial_fit
    is_small = totals.n_rows < ROWS_WORTH_FLOAT32
    return torch.float64 if takes_double or is_small else torch.float32
