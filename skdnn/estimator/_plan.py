"""The plan: all settings of a fit, resolved from the parameters and the data.

The table has the values of "auto"; the first condition that holds decides. m is the number of rows,
w their total weight, n the number of columns of X, and Adam is "adam" or "adamw".

======================  =========================================  ================================
parameter               condition                                  value
======================  =========================================  ================================
batch_size              "lbfgs", or m <= 64                        all rows
                        Adam                                       m / 30 in [32, 256], and at least
                                                                   min(m / 200, 1024)
                        else                                       m / 30 in [32, 256]
device                  X is a CUDA tensor                         that of X
                        CUDA is available                          "cuda"
                        else                                       "cpu"
dtype                   training continues a previous fit          that of the previous fit
                        float32 is too coarse for y                float64
                        CUDA, or X has 32 bits or fewer            float32
                        "lbfgs", partial_fit, or m < 1,000         float64
                        else                                       float32
early_stopping          several networks                           whether each fold can have a row
                                                                   of each class
                        no row of some class could be held out     False
                        scoring is given                           True
                        "lbfgs", or "adam" with one layer          False
                        Adam, and 100 <= m < max(1,000, 4 n)       True
                        else                                       m >= 10,000
learning_rate           not Adam                                   0.003
                        one layer                                  3 / n^[0], at most 0.03
                        else                                       0.003, see `Plan.learning_rate`
learning_rate_schedule  Adam                                       "cosine"
                        else                                       "constant"
max_iter                Adam, and m >= 20,000                      25
                        else                                       50
numeric_embedding       not Adam, sparse X, or a linear model      None
                        one network, and too few rows, see `Task`  None
                        up to 16 numeric columns; or up to 200     "piecewise_linear"
                        and at most 2**26 inputs in all
                        else                                       None
weight_decay            not "adam"                                 0
                        one layer                                  n / (4 max(w, 100))
                        else                                       50 / w, see
                                                                   `_resolve_weight_decay`
======================  =========================================  ================================
"""

import math
from collections.abc import Callable
from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from skdnn.data.batches import count_folds
from skdnn.data.frames import Table
from skdnn.network import Loss
from skdnn.processes import SingleProcess, check_same

from ._examples import Examples, Totals
from ._parameters import CONSTRAINTS, DTYPES, dtype_name
from ._task import Task

Activation: TypeAlias = str | Callable[[torch.Tensor], torch.Tensor] | type[torch.nn.Module]

ADAM = ("adam", "adamw")
# Optimizers that can save their state. SciPy hides that of L-BFGS, and a torch class may have any.
WITH_STATE = ("sgd", "adam", "adamw")
ANNEALING = ("cosine", "warmup_cosine")
LINEAR_ACTIVATIONS = ("identity", "linear")

# The numbers below were chosen on real tables, by ROC AUC and log-loss for classification, and by
# R² and mean absolute error for regression.
DEFAULT_N_LAYERS = 3
# early_stopping: Adam soon overfits few rows, and more rows if they have many columns. Of many rows
# some can be spared; in between they help more as training rows. A validation set of fewer than 100
# rows is too noisy.
FEW_ROWS, MANY_ROWS, FEW_ROWS_PER_COLUMN = range(100, 1_000), 10_000, 4
# max_iter
EPOCHS_TO_ANNEAL, EPOCHS_OF_MANY_ROWS, ROWS_OF_FEWER_EPOCHS = 50, 25, 20_000
# dtype: rows from which data in float64 is trained on in float32.
ROWS_WORTH_FLOAT32 = 1_000
# learning_rate
LEARNING_RATE, INPUTS_AT_FULL_RATE = 0.003, 256
MAX_RATE_OF_ONE_LAYER, RATE_TIMES_INPUTS_OF_ONE_LAYER = 0.03, 3.0
# batch_size
ROWS_OF_ONE_BATCH, USUAL_BATCH, LONGEST_BATCH = 64, 256, 1024
# weight_decay
PENALTY_OF_ALL_ROWS, MAX_WEIGHT_DECAY = 50.0, 0.01
PENALTY_OF_COLUMNS, FRACTION_FOR_SEVERAL = 1 / 3, 0.3
# weight_decay of one layer: a normal prior of the weights under which the logit has this variance
# for independent standardised features.
PRIOR_VARIANCE_OF_OUTPUT = 4.0
# A lower total weight is not a number of rows: the weights of AdaBoost sum to 1.
MIN_TOTAL_WEIGHT = 100
# numeric_embedding: a column becomes 17 inputs.
MOST_COLUMNS, FEW_COLUMNS, MOST_NUMBERS, INPUTS_OF_A_COLUMN = 200, 16, 2**26, 17


@dataclass(frozen=True)
class Plan:
    """All settings of a fit.

    Attributes
    ----------
    task : Task
    parameters : SimpleNamespace
        The checked parameters.
    previous : estimator or None
        The estimator of the previous fit, for warm_start and partial_fit.
    n_columns : int
        Columns of X.
    units : tuple of int
        n^[1], …, n^[L].
    loss : Loss
    activations : tuple of str or callable
        One for each hidden layer, as `get_activation` takes it.
    dropout : list of float
        One for each hidden layer.
    weight_decay : float
    numeric_embedding : str or None
    alternates_embedding : bool
        Whether every second network does without the embedding.
    schedule : str or callable
    max_iter : int
    warns_at_max_iter : bool
        Whether to warn if training ends at `max_iter`: not if the learning rate has then been
        annealed to 0 over enough epochs.
    device : torch.device
    dtype : torch.dtype
    n_networks : int or None
        M for a stack of networks, None for one network.
    holds_out : bool
        Whether rows are held out for early stopping.
    is_partial_fit : bool
    processes : SingleProcess or Communicator
        The processes that share the rows.
    seed : int
        Drawn by `random_state`.
    generator : torch.Generator
        On the CPU: draws held-out rows, and seeds or is the generator of each network.
    generators : list of torch.Generator
        On the CPU, one for each network: draws initial weights and shuffles.
    dropout_generators : list of torch.Generator
        On the device, one for each network: draws dropout masks.
    """

    task: Task
    parameters: SimpleNamespace
    previous: BaseEstimator | None
    n_columns: int
    units: tuple[int, ...]
    loss: Loss
    activations: tuple[Activation, ...]
    dropout: list[float]
    weight_decay: float
    numeric_embedding: str | None
    alternates_embedding: bool
    schedule: Any
    max_iter: int
    warns_at_max_iter: bool
    device: torch.device
    dtype: torch.dtype
    n_networks: int | None
    holds_out: bool
    is_partial_fit: bool
    processes: SingleProcess
    seed: int
    generator: torch.Generator
    generators: list[torch.Generator]
    dropout_generators: list[torch.Generator]

    def learning_rate(self, n_inputs: int, batch_size: int) -> float:
        """Return α for a network with n^[0] inputs and batches of this size.

        A step of Adam changes each weight by about α whatever its gradient, and so changes a unit
        the more the more inputs it has. For independent inputs the change grows with the root of
        their number, as for those of a piecewise-linear encoding; for inputs that agree, such as
        pixels, it grows with their number. Hence one root for the inputs and one for the columns.
        Longer batches have gradients with less noise, which allow longer steps.
        """
        if self.parameters.learning_rate != "auto":
            return self.parameters.learning_rate
        if self.parameters.optimizer not in ADAM:
            return LEARNING_RATE
        if len(self.units) == 1:
            return min(MAX_RATE_OF_ONE_LAYER, RATE_TIMES_INPUTS_OF_ONE_LAYER / n_inputs)
        rate = LEARNING_RATE
        for n in (n_inputs, self.n_columns):
            rate *= min(1.0, math.sqrt(INPUTS_AT_FULL_RATE / n))
        if self.parameters.batch_size == "auto" and batch_size > USUAL_BATCH:
            rate *= math.sqrt(batch_size / USUAL_BATCH)
        return rate

    def batch_options(self, n_rows: int) -> dict[str, Any]:
        """Return the options of `Batches` for training rows: `batch_size` and `generators`."""
        batch_size, optimizer = self.parameters.batch_size, self.parameters.optimizer
        if optimizer == "lbfgs" or (batch_size == "auto" and n_rows <= ROWS_OF_ONE_BATCH):
            batch_size = None  # all rows
        elif batch_size == "auto":
            batch_size = min(USUAL_BATCH, max(32, n_rows // 30))
            if optimizer in ADAM:
                # Very many rows are enough steps even in longer batches, which take half the time.
                batch_size = max(batch_size, min(LONGEST_BATCH, n_rows // 200))
        generators = self.generators if self.parameters.shuffle else ()
        return {"batch_size": batch_size, "generators": generators}


def make_plan(
    task: Task,
    parameters: SimpleNamespace,
    examples: Examples,
    seed: int | None = None,
    is_partial_fit: bool = False,
) -> Plan:
    """Return the Plan for checked parameters and Examples.

    Parameters
    ----------
    task : Task
    parameters : SimpleNamespace
    examples : Examples
    seed : int or None, default=None
        The seed of a fit that is resumed; None draws one by `random_state`.
    is_partial_fit : bool, default=False
        Whether to continue with the generator of the previous call of partial_fit.

    Raises
    ------
    ValueError
        If parameters contradict each other, or the device is not available.
    """
    _check_combinations(parameters)
    n_layers, n_units = parameters.n_layers, parameters.n_units
    if n_layers is None:
        n_layers = len(n_units) + 1 if isinstance(n_units, tuple) else DEFAULT_N_LAYERS
    units = _per_layer("n_units", n_units, n_layers)
    activations = _per_layer("activation", parameters.activation, n_layers)
    dropout = _per_layer("dropout", parameters.dropout, n_layers)
    device = resolve_device(parameters.device, examples.X)
    processes, totals, previous = examples.processes, examples.totals(), examples.previous
    check_same(processes, {"The kind of device": device.type})

    if seed is None:
        random_state = parameters.random_state
        if random_state is None:  # not NumPy's global state, which must not change
            random_state = np.random.RandomState()
        seed = processes.broadcast(int(check_random_state(random_state).randint(2**31)))
    state = getattr(previous, "_partial_fit_state", None) if is_partial_fit else None
    # Each process drops units of its own; all other draws are the same in all processes.
    rank = processes.rank if any(dropout) and processes.size > 1 else None
    generator, generators, dropout_generators = _make_generators(
        seed, state, parameters.n_networks, device, rank
    )

    schedule, max_iter = parameters.learning_rate_schedule, parameters.max_iter
    if schedule == "auto":
        schedule = "cosine" if parameters.optimizer in ADAM else "constant"
    is_annealed = schedule in ANNEALING and (max_iter == "auto" or max_iter >= EPOCHS_TO_ANNEAL)
    if max_iter == "auto":
        has_many_rows = totals.n_rows >= ROWS_OF_FEWER_EPOCHS and parameters.optimizer in ADAM
        max_iter = EPOCHS_OF_MANY_ROWS if has_many_rows else EPOCHS_TO_ANNEAL
    holds_out = _resolve_early_stopping(parameters, examples, totals, n_layers)
    embedding = _resolve_embedding(task, parameters, examples, totals, activations)
    # Networks with and without an embedding make different errors, which average out.
    alternates = task.alternates_embedding and parameters.n_networks > 1
    alternates = alternates and embedding is not None and parameters.numeric_embedding == "auto"
    return Plan(
        task=task,
        parameters=parameters,
        previous=previous,
        n_columns=examples.X.shape[1],
        units=(*map(int, units), examples.target.n_outputs),
        loss=task.loss(parameters),
        activations=tuple(activations),
        dropout=dropout,
        weight_decay=_resolve_weight_decay(
            task, parameters, totals.weight, examples.X.shape[1], n_layers, holds_out
        ),
        numeric_embedding=embedding,
        alternates_embedding=alternates,
        schedule=schedule,
        max_iter=max_iter,
        warns_at_max_iter=not is_annealed,
        device=device,
        dtype=_resolve_dtype(parameters, examples, totals, device, is_partial_fit),
        n_networks=None if parameters.n_networks == 1 else int(parameters.n_networks),
        holds_out=holds_out,
        is_partial_fit=is_partial_fit,
        processes=processes,
        seed=seed,
        generator=generator,
        generators=generators,
        dropout_generators=dropout_generators,
    )


def partial_fit_parameters(parameters: SimpleNamespace) -> SimpleNamespace:
    """Return the parameters for a call of partial_fit: one epoch, a constant learning rate.

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
            f"checkpoint must be None for partial_fit, got {parameters.checkpoint!r}: save the "
            "estimator between two calls instead."
        )
    _check_has_state(parameters.optimizer, "partial_fit")
    changes = {"max_iter": 1, "early_stopping": False, "learning_rate_schedule": "constant"}
    # Their "auto" depends on the total number of rows, which is not known.
    unknown = {"weight_decay": 0.0, "numeric_embedding": None}
    changes |= {name: value for name, value in unknown.items() if vars(parameters)[name] == "auto"}
    return SimpleNamespace(**{**vars(parameters), **changes})


def _check_combinations(parameters: SimpleNamespace) -> None:
    if parameters.checkpoint is not None:
        _check_has_state(parameters.optimizer, "checkpoint")
    for name, off in (("max_grad_norm", None), ("weight_averaging", 0), ("n_networks", 1)):
        value = getattr(parameters, name)
        if parameters.optimizer == "lbfgs" and value != off:
            raise ValueError(
                f"{name} must be {off} for optimizer='lbfgs', which chooses its own steps, got "
                f"{value!r}."
            )
    if parameters.n_networks > 1 and parameters.warm_start:
        raise ValueError(
            f"n_networks must be 1 for warm_start=True, got {parameters.n_networks}: a network "
            "would be trained on rows that it held out in the previous fit."
        )


def _check_has_state(optimizer: Any, purpose: str) -> None:
    if optimizer not in WITH_STATE:
        names = ", ".join(map(repr, WITH_STATE))
        raise ValueError(f"optimizer must be one of {names} for {purpose}, got {optimizer!r}.")


def _per_layer(name: str, value: Any, n_layers: int) -> list:
    """Return the values of a parameter for the hidden layers."""
    if not isinstance(value, tuple):
        return [value] * (n_layers - 1)
    if len(value) != n_layers - 1:
        raise ValueError(
            f"{name} must have one entry for each hidden layer, {n_layers - 1} for n_layers="
            f"{n_layers} (which counts the output layer), got {len(value)}: {value!r}."
        )
    return list(value)


def _make_generators(
    seed: int, state: dict | None, n_networks: int, device: torch.device, rank: int | None
) -> tuple[torch.Generator, list[torch.Generator], list[torch.Generator]]:
    """Return the generators of a Plan: `generator`, `generators` and `dropout_generators`."""
    generator = torch.Generator("cpu")
    if state is None:
        generator.manual_seed(seed)
    else:
        generator.set_state(torch.from_numpy(state["generator"].copy()))
    generators = [generator]
    if n_networks > 1:
        seeds = torch.randint(2**31, (n_networks,), generator=generator, device="cpu").tolist()
        generators = [torch.Generator("cpu").manual_seed(seed) for seed in seeds]
    if device.type == "cpu" and rank is None:
        return generator, generators, generators
    dropout_generators = []
    for member in generators:
        # A copy draws the seed, so that initial weights and shuffles are the same as on the CPU.
        copy = torch.Generator("cpu").set_state(member.get_state())
        dropout_seed = int(torch.randint(2**31, (), generator=copy, device="cpu")) + (rank or 0)
        dropout_generators.append(torch.Generator(device).manual_seed(dropout_seed))
    return generator, generators, dropout_generators


def resolve_device(device: str | torch.device, X: Any) -> torch.device:
    """Return the torch.device for the parameter `device`.

    "auto" is the device of X for a CUDA tensor, else CUDA if available, else the CPU.

    Raises
    ------
    ValueError
        If it is not the name of a CPU or CUDA device, or no such device is available.
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


def _resolve_early_stopping(
    parameters: SimpleNamespace, examples: Examples, totals: Totals, n_layers: int
) -> bool:
    """Return whether rows are held out if there is no X_val. The first condition decides."""
    if parameters.early_stopping != "auto":
        return parameters.early_stopping
    if parameters.n_networks > 1:
        # A row that one network holds out is a training row of the others.
        return bool(totals.n_rarest >= count_folds(parameters.n_networks))
    if totals.n_rarest * parameters.validation_fraction < 1 or not examples.can_hold_out():
        return False
    if parameters.scoring is not None:
        return True  # the scorer needs rows
    if parameters.optimizer == "lbfgs" or (parameters.optimizer == "adam" and n_layers == 1):
        return False  # for "adam" with one layer, weight_decay="auto" prevents overfitting
    max_few = max(FEW_ROWS.stop, FEW_ROWS_PER_COLUMN * examples.X.shape[1])
    is_few = totals.n_rows in range(FEW_ROWS.start, max_few) and parameters.optimizer in ADAM
    return bool(is_few or totals.n_rows >= MANY_ROWS)


def _resolve_embedding(
    task: Task,
    parameters: SimpleNamespace,
    examples: Examples,
    totals: Totals,
    activations: list[Activation],
) -> str | None:
    if parameters.numeric_embedding != "auto":
        return parameters.numeric_embedding
    # A linear model, of one layer or with linear activations, would not stay linear.
    is_linear = all(activation in LINEAR_ACTIVATIONS for activation in activations)
    if parameters.optimizer not in ADAM or totals.is_sparse or is_linear:
        return None
    numbers = examples.X.numbers if isinstance(examples.X, Table) else examples.X
    n_rows, n_columns = totals.n_rows, numbers.shape[1]
    # The mean of several networks does not overfit few rows by the embedding.
    has_enough_rows = parameters.n_networks > 1 or n_rows >= task.min_rows_for_embedding
    is_small = n_rows * n_columns * INPUTS_OF_A_COLUMN <= MOST_NUMBERS
    is_narrow = n_columns <= MOST_COLUMNS and (is_small or n_columns <= FEW_COLUMNS)
    return "piecewise_linear" if has_enough_rows and is_narrow else None


def _resolve_weight_decay(
    task: Task,
    parameters: SimpleNamespace,
    total_weight: float,
    n_columns: int,
    n_layers: int,
    holds_out: bool,
) -> float:
    """Return the weight decay.

    "auto" with more than one layer is 50 / w, at most 0.01, times `penalty_fraction` where rows are
    held out, since early stopping prevents overfitting, too. It is at least
    ``penalty_fraction / 3 * min(1, n / max(w, 100))**2``, since a network overfits few rows with
    many columns, and at least 0.3 times that for several networks, since their mean overfits less.
    """
    if parameters.weight_decay != "auto":
        return parameters.weight_decay
    if parameters.optimizer != "adam":
        return 0.0
    if n_layers == 1:
        return n_columns / (PRIOR_VARIANCE_OF_OUTPUT * max(MIN_TOTAL_WEIGHT, total_weight))
    fraction = task.penalty_fraction
    usual = min(MAX_WEIGHT_DECAY, PENALTY_OF_ALL_ROWS / total_weight)
    if holds_out:
        usual *= fraction
    columns_per_row = min(1.0, n_columns / max(MIN_TOTAL_WEIGHT, total_weight))
    several = FRACTION_FOR_SEVERAL if parameters.n_networks > 1 else 1.0
    return max(usual, several * fraction * PENALTY_OF_COLUMNS * columns_per_row**2)


def _resolve_dtype(
    parameters: SimpleNamespace,
    examples: Examples,
    totals: Totals,
    device: torch.device,
    is_partial_fit: bool,
) -> torch.dtype:
    """Return the torch.dtype of the network. The first condition decides."""
    if not (isinstance(parameters.dtype, str) and parameters.dtype == "auto"):
        return DTYPES[dtype_name(parameters.dtype)]
    if examples.previous is not None:
        return DTYPES[examples.previous.coefs_[0].dtype.name]
    if examples.target.needs_float64(examples.y, examples.weight, examples.processes):
        return torch.float64
    if device.type == "cuda" or totals.has_32_bits:  # float64 is slow on CUDA
        return torch.float32
    # L-BFGS stops at gradients too small for float32. For partial_fit the number of rows is not
    # known. With more rows the noise of the data is far larger than the rounding of float32, which
    # takes half the time.
    needs_float64 = parameters.optimizer == "lbfgs" or is_partial_fit
    is_small = totals.n_rows < ROWS_WORTH_FLOAT32
    return torch.float64 if needs_float64 or is_small else torch.float32
