"""The plan: all settings of a fit, resolved from the parameters and the data.

`_defaults` has the values of "auto".
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import cycle, islice
from types import SimpleNamespace
from typing import Any, TypeAlias

import numpy as np
import torch
from sklearn.base import BaseEstimator
from sklearn.utils import check_random_state

from skdnn.data.batches import N_FOLDS
from skdnn.data.encoding import Encoder, OneHot, Standardize, WeightedColumns
from skdnn.data.frames import Table
from skdnn.network import Loss
from skdnn.processes import SingleProcess, check_same
from skdnn.training import OPTIMIZERS, optimizer_kind

from ._defaults import ALTERNATING, CROSS_VALIDATION, Facts, value_of
from ._examples import Examples
from ._parameters import CONSTRAINTS, DTYPES, dtype_name
from ._task import Task

Activation: TypeAlias = str | Callable[[torch.Tensor], torch.Tensor] | type[torch.nn.Module]

ANNEALING = ("cosine", "warmup_cosine")
# Over so many epochs the learning rate can be annealed to 0 without a warning.
EPOCHS_TO_ANNEAL = 50
LINEAR_ACTIVATIONS = ("identity", "linear")
DEFAULT_N_LAYERS = 3


@dataclass(frozen=True)
class Plan:
    """All settings of a fit."""

    task: Task
    parameters: SimpleNamespace  # checked
    facts: Facts  # which the rules of "auto" ask
    previous: BaseEstimator | None  # that of the fit to continue, for warm_start and partial_fit
    n_columns: int  # of X
    units: tuple[int, ...]  # n^[1], …, n^[L]
    loss: Loss
    activations: tuple[Activation, ...]  # one for each hidden layer, as `get_activation` takes it
    dropout: list[float]  # one for each hidden layer
    weight_decay: float
    numeric_embeddings: list[str | None]  # one for each network
    schedule: Any
    max_iter: int
    # Whether to warn if training ends at `max_iter`: not if the learning rate has been annealed to
    # 0 over enough epochs.
    warns_at_max_iter: bool
    device: torch.device
    dtype: torch.dtype
    n_networks: int | None  # M for a stack of networks, None for one network
    holds_out: bool  # whether rows are held out for early stopping
    # Whether this is only done to choose the epoch: the last network is trained on all rows.
    cross_validates: bool
    is_partial_fit: bool
    processes: SingleProcess  # which share the rows
    seed: int  # drawn by `random_state`
    # On the CPU: draws held-out rows, and seeds or is the generator of each network.
    generator: torch.Generator
    # On the CPU, one for each network: draws initial weights and shuffles.
    generators: list[torch.Generator]
    # On the device, one for each network: draws dropout masks.
    dropout_generators: list[torch.Generator]

    @property
    def encoded_embedding(self) -> str | None:
        """The `numeric_embedding` of the Encoder, which all networks share."""
        is_binned = "piecewise_linear" in self.numeric_embeddings
        return "piecewise_linear" if is_binned else self.numeric_embeddings[0]

    def learning_rate(self, encoder: Encoder, batch_size: int) -> float:
        """Return α for the encoder's inputs and batches of this size."""
        n_inputs = self.facts.variance + encoder.without(Standardize, OneHot).n_outputs
        facts = replace(self.facts, n_inputs=n_inputs, rows_of_batch=batch_size)
        return value_of("learning_rate", facts)

    def batch_options(self, n_rows: int) -> dict[str, Any]:
        """Return the options of `Batches` for training rows: `batch_size` and `generators`."""
        batch_size = None  # all rows
        if not self.facts.optimizer.uses_all_rows:
            batch_size = value_of("batch_size", replace(self.facts, n_rows=n_rows))
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
    processes, previous = examples.processes, examples.previous
    facts = _facts(task, parameters, examples, activations, is_partial_fit)
    device = _checked_device(value_of("device", facts))
    facts = replace(facts, device_type=device.type)
    early_stopping = value_of("early_stopping", facts)
    cross_validates = early_stopping == CROSS_VALIDATION and examples.validation is None
    facts = replace(facts, holds_out=bool(early_stopping), cross_validates=cross_validates)
    # Beside the network, one for each fold.
    n_networks = N_FOLDS + 1 if cross_validates else int(parameters.n_networks)
    if cross_validates and not facts.can_make_folds:
        raise ValueError(
            f"early_stopping must not be {CROSS_VALIDATION!r} where rows are in files or shared by "
            f"processes, or where a class has fewer than {N_FOLDS} rows or there are fewer groups."
        )
    check_same(processes, {"The kind of device": device.type})

    if seed is None:
        random_state = parameters.random_state
        if random_state is None:  # not NumPy's global state, which must not change
            random_state = np.random.RandomState()
        seed = int(check_random_state(random_state).randint(2**31))
    seed = processes.broadcast(seed)  # process 0 may resume a fit
    state = getattr(previous, "_partial_fit_state", None) if is_partial_fit else None
    # Each process drops units of its own; all other draws are the same in all processes.
    rank = processes.rank if any(dropout) and processes.size > 1 else None
    generator, generators, dropout_generators = _make_generators(
        seed, state, n_networks, device, rank
    )

    schedule, max_iter = value_of("learning_rate_schedule", facts), value_of("max_iter", facts)
    is_long = parameters.max_iter == "auto" or max_iter >= EPOCHS_TO_ANNEAL
    embedding = value_of("numeric_embedding", facts)
    embeddings = embedding if embedding == ALTERNATING else (embedding,)
    return Plan(
        task=task,
        parameters=parameters,
        facts=facts,
        previous=previous,
        n_columns=examples.X.shape[1],
        units=(*map(int, units), examples.target.n_outputs),
        loss=task.loss(parameters),
        activations=tuple(activations),
        dropout=dropout,
        weight_decay=value_of("weight_decay", facts),
        numeric_embeddings=list(islice(cycle(embeddings), n_networks)),
        schedule=schedule,
        max_iter=max_iter,
        warns_at_max_iter=not (schedule in ANNEALING and is_long),
        device=device,
        dtype=DTYPES[dtype_name(value_of("dtype", facts))],
        n_networks=None if n_networks == 1 else n_networks,
        holds_out=facts.holds_out,
        cross_validates=cross_validates,
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
            value = vars(parameters)[name]
            raise ValueError(f"{name} must be False or 'auto' for partial_fit, got {value!r}.")
    if parameters.numeric_embedding == "periodic":
        raise ValueError(
            "numeric_embedding must be None, 'auto' or 'piecewise_linear' for partial_fit, got "
            "'periodic': the scales of its inputs change from call to call."
        )
    if parameters.n_networks > 1:
        raise ValueError(f"n_networks must be 1 for partial_fit, got {parameters.n_networks}.")
    if parameters.checkpoint is not None:
        raise ValueError(
            f"checkpoint must be None for partial_fit, got {parameters.checkpoint!r}: save the "
            "estimator between two calls instead."
        )
    _check_has_state(parameters.optimizer, "partial_fit")
    changes = {"max_iter": 1, "early_stopping": False, "learning_rate_schedule": "constant"}
    return SimpleNamespace(**{**vars(parameters), **changes})


def _check_combinations(parameters: SimpleNamespace) -> None:
    if parameters.checkpoint is not None:
        _check_has_state(parameters.optimizer, "checkpoint")
    switched_off: list[tuple[str, Any, str]] = []
    if optimizer_kind(parameters.optimizer).chooses_steps:
        reason = f"optimizer={parameters.optimizer!r}, which chooses its own steps"
        if parameters.early_stopping == CROSS_VALIDATION:
            raise ValueError(f"early_stopping must not be {CROSS_VALIDATION!r} for {reason}.")
        for name, off in (("max_grad_norm", None), ("weight_averaging", 0), ("n_networks", 1)):
            switched_off.append((name, off, reason))
    if parameters.early_stopping == CROSS_VALIDATION:
        reason = f"early_stopping={CROSS_VALIDATION!r}"
        for name, off in (("n_networks", 1), ("scoring", None), ("warm_start", False)):
            switched_off.append((name, off, reason))
    for name, off, reason in switched_off:
        value = getattr(parameters, name)
        if value != off:
            raise ValueError(f"{name} must be {off} for {reason}, got {value!r}.")
    if parameters.n_networks > 1 and parameters.warm_start:
        raise ValueError(
            f"n_networks must be 1 for warm_start=True, got {parameters.n_networks}: a network "
            "would be trained on rows that it held out in the previous fit."
        )


def _check_has_state(optimizer: Any, purpose: str) -> None:
    if not optimizer_kind(optimizer).has_state:
        names = ", ".join(repr(name) for name, kind in OPTIMIZERS.items() if kind.has_state)
        raise ValueError(f"optimizer must be one of {names} for {purpose}, got {optimizer!r}.")


def _facts(
    task: Task,
    parameters: SimpleNamespace,
    examples: Examples,
    activations: list[Activation],
    is_partial_fit: bool,
) -> Facts:
    X, previous = examples.X, examples.previous
    numbers = X.numbers if isinstance(X, Table) else X
    n_numbers, variance = numbers.shape[1], float(X.shape[1])
    if not is_partial_fit:  # whose columns are scaled by their deviation, so that all count as 1
        of_X = WeightedColumns(numbers, examples.weight, processes=examples.processes)
        half_range, variances = of_X.two_valued
        n_numbers = int(np.isnan(half_range).sum())
        if isinstance(parameters.standardize, str):  # else they are not divided by half their range
            variance += float(variances.sum()) - len(variances)
    of_y = WeightedColumns(examples.y, examples.weight, processes=examples.processes)
    return Facts(
        parameters=parameters,
        optimizer=optimizer_kind(parameters.optimizer),
        is_classification=task.is_classification,
        is_partial_fit=is_partial_fit,
        n_layers=len(activations) + 1,
        is_linear=all(activation in LINEAR_ACTIVATIONS for activation in activations),
        n_columns=X.shape[1],
        n_numbers=n_numbers,
        variance=variance,
        **vars(examples.totals()),
        needs_float64=previous is None and examples.target.updated(of_y).needs_float64,
        cuda_device=X.device if isinstance(X, torch.Tensor) and X.is_cuda else None,
        previous_dtype=None if previous is None else DTYPES[previous.coefs_[0].dtype.name],
    )


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


def _checked_device(device: str | torch.device) -> torch.device:
    """Return the torch.device of a name.

    Raises
    ------
    ValueError
        If it is not the name of a CPU or CUDA device, or no such device is available.
    """
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
