"""The network before training: new, or with the weights of a previous fit; and its optimizer."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skdnn.callbacks import warn
from skdnn.data.encoding import MOST_BINS, PiecewiseLinear, Standardize
from skdnn.data.frames import as_tensor
from skdnn.network import (
    Network,
    PeriodicEmbedding,
    get_activation,
    initialize,
    is_saturated,
    is_symmetric,
    layer_views,
)
from skdnn.training import WEIGHTS, TrainingConfig, make_optimizer

from ._cross_validation import FRACTION_BEFORE_KEPT
from ._plan import Plan
from ._split import Split, fitted_encoder

# The order of the parameters in the network's flat tensor. It may differ in the pickle of an
# estimator of another version.
LAYOUT = "[W b]"


@dataclass(frozen=True)
class InitializedNetwork:
    """A network, and the optimizer and the settings that train it."""

    network: Network
    optimizer: Any
    config: TrainingConfig


def initialize_network(plan: Plan, split: Split) -> InitializedNetwork:
    """Return the network with new weights, or with those of the previous fit, and its optimizer.

    The optimizer has the state that the previous call of partial_fit left.

    Raises
    ------
    ValueError
        If the network does not fit into memory, or does not continue that of the previous fit.
    """
    network = _new_network(plan, split) if plan.previous is None else _fitted_network(plan, split)
    parameters = plan.parameters
    config = TrainingConfig(
        optimizer=parameters.optimizer,
        loss=plan.loss,
        learning_rate=plan.learning_rate(split.encoder, split.training.batch_size),
        schedule=plan.schedule,
        momentum=parameters.momentum,
        nesterov=parameters.nesterovs_momentum,
        weight_decay=plan.weight_decay,
        weight_averaging=parameters.weight_averaging,
        max_grad_norm=parameters.max_grad_norm,
        max_iter=plan.max_iter,
        tol=parameters.tol,
        n_iter_no_change=math.inf if plan.cross_validates else parameters.n_iter_no_change,
        keep_best=bool(parameters.early_stopping),
        first_kept=math.ceil(FRACTION_BEFORE_KEPT * plan.max_iter) if plan.cross_validates else 1,
        n_threads=parameters.n_threads,
    )
    optimizer = make_optimizer(config, network)
    state = getattr(plan.previous, "_partial_fit_state", None) if plan.is_partial_fit else None
    if state is not None and state.get("layout") != LAYOUT:
        raise ValueError(
            "partial_fit must continue an estimator of this version of skdnn: earlier versions "
            "order the state of the optimizer differently. Fit it again."
        )
    if state is not None and state["optimizer_name"] == _optimizer_name(parameters):
        saved = state["optimizer"]
        indices = fitted_encoder(plan.previous).positions_in(split.encoder)
        weights = {name: _reencoded(saved[name], plan, split) for name in WEIGHTS if name in saved}
        optimizer.restore(_expand_state(saved, indices, network) | weights)
    return InitializedNetwork(network, optimizer, config)


def partial_fit_state(plan: Plan, initialized: InitializedNetwork) -> dict[str, Any]:
    """Return what the next call of partial_fit needs beside the fitted attributes."""
    return {
        "generator": plan.generator.get_state().numpy(),
        "layout": LAYOUT,
        "optimizer_name": _optimizer_name(plan.parameters),
        "optimizer": initialized.optimizer.state(),
    }


def frozen_parameters(plan: Plan) -> dict[str, Any]:
    """Return the parameters that must be those of the previous fit, since its encoder stays."""
    names = ["standardize", "categorical_features", "numeric_embedding", "target_encoding"]
    if plan.is_partial_fit:  # which learns no target means
        names.remove("target_encoding")
    return {name: getattr(plan.parameters, name) for name in names}


def _optimizer_name(parameters: SimpleNamespace) -> str:
    """Return a name that is different for optimizers with different entries in their states."""
    return f"{parameters.optimizer}, averaged: {parameters.weight_averaging > 0}"


def _new_network(plan: Plan, split: Split) -> Network:
    """Return a network with initial weights.

    Warns
    -----
    UserWarning
        If all units of a hidden layer start equal, or the output starts saturated.
    """
    training, parameters = split.training, plan.parameters
    network = _zero_network(plan, training.n_inputs, input_embedding(plan, split))
    y, weight = map(
        plan.processes.allgather_concat, (training.y.double(), training.weight.double())
    )
    initialize(network, parameters.init_scale, plan.generators, plan.loss.constant(y, weight))
    # Where y is constant, so is the best output: with weights of 0 it needs no training.
    network.W[-1][..., split.target.is_constant, :] = 0

    if parameters.init_scale == "auto" and parameters.standardize is not False:
        return network  # whose weights are neither equal nor too large
    advice = f"Set init_scale='auto' or to a small number, got init_scale={parameters.init_scale}."
    if is_symmetric(network):
        warn(
            "All weights of a hidden layer start equal: its units will compute the same and stay "
            f"equal for ever. {advice}"
        )
    some_rows = training.rows[:64].mT
    if plan.processes.broadcast(some_rows.numel() > 0 and is_saturated(network, some_rows)):
        if parameters.init_scale == "auto":
            advice = "Set standardize=True or scale X, got standardize=False."
        warn(f"The output starts saturated, where its gradient is almost zero. {advice}")
    return network


def input_embedding(plan: Plan, split: Split) -> PeriodicEmbedding | None:
    """Return the embedding of the encoded rows, None for none."""
    kinds, bins = plan.numeric_embeddings, split.encoder.outputs_of(PiecewiseLinear)
    # A column has as many cosines as bins, up to a limit.
    numbers, n_bins = np.unique(split.encoder.block(PiecewiseLinear).bin_column, return_counts=True)
    inputs = np.repeat(numbers, np.minimum(n_bins, MOST_BINS["periodic"])).tolist()
    periodic = PeriodicEmbedding(tuple(inputs), bins.start, bins.stop)
    if not inputs or "periodic" not in kinds:
        return None
    if len(set(kinds)) == 1:
        return periodic
    is_user = torch.tensor([kind == "periodic" for kind in kinds], device=plan.device)
    mask = torch.ones(len(kinds), 1, split.encoder.n_outputs, dtype=plan.dtype, device=plan.device)
    mask[is_user, :, bins.start + len(inputs) : bins.stop] = 0
    return replace(periodic, is_user=is_user.to(plan.dtype)[:, None, None], mask=mask)


def _zero_network(plan: Plan, n_inputs: int, embedding: PeriodicEmbedding | None = None) -> Network:
    """Return a network with the layers of the plan and all weights zero.

    Raises
    ------
    ValueError
        If it does not fit into memory.
    """
    layer_sizes = (n_inputs, *plan.units)
    activations = [get_activation(activation) for activation in plan.activations]
    try:
        return Network(
            layer_sizes,
            activations,
            output=plan.task.output,
            embedding=embedding,
            n_networks=plan.n_networks,
            dropout=plan.dropout,
            dtype=plan.dtype,
            device=plan.device,
        )
    except (RuntimeError, MemoryError, TypeError) as error:  # raised by torch for a huge size
        raise ValueError(
            "n_units, n_layers and n_networks must make a network that fits into memory, got "
            f"{plan.n_networks or 1} with layers of {layer_sizes} units: {error}"
        ) from error


def _fitted_network(plan: Plan, split: Split) -> Network:
    """Return the network of the previous fit, for rows as the new encoder encodes them.

    Raises
    ------
    ValueError
        If its layers, the classes or the frozen parameters have changed.
    """
    fitted: BaseEstimator = plan.previous
    network = _zero_network(plan, split.encoder.n_outputs, input_embedding(plan, split))
    embedding, parameters = fitted._embedding
    n_networks = fitted.coefs_[0].shape[0] if fitted.coefs_[0].ndim == 3 else 1
    expected = {
        "number of networks": n_networks,
        **plan.task.target.from_attributes(vars(fitted)).frozen(),
        "layer sizes": fitted.layer_sizes_[1:],
        "activations": fitted.activations_,
        **fitted._frozen_parameters,
        "embedding": embedding,
    }
    found = {
        "number of networks": plan.n_networks or 1,
        **split.target.frozen(),
        "layer sizes": network.layer_sizes[1:],
        "activations": plan.activations,
        **frozen_parameters(plan),
        "embedding": network.embedding,
    }
    for name, value in found.items():
        if value != expected.get(name, value):
            raise ValueError(
                f"warm_start and partial_fit must find the {name} of the previous fit, "
                f"{expected[name]}, got {value}."
            )
    _load(network, fitted.coefs_, fitted.intercepts_, plan, split)
    network.embedding_parameters.copy_(as_tensor(parameters))
    return network


def _load(
    network: Network,
    coefs: Sequence[np.ndarray],
    intercepts: Sequence[np.ndarray],
    plan: Plan,
    split: Split,
) -> None:
    """Load weights in the form of the previous estimator's `coefs_` and `intercepts_`."""
    earlier, encoder = fitted_encoder(plan.previous), split.encoder
    coefs, intercepts = list(coefs), list(intercepts)
    coefs[-1], intercepts[-1] = split.target.unmerge(coefs[-1], intercepts[-1])
    if plan.is_partial_fit:  # the rows have changed the means and standard deviations
        standardize = encoder.block(Standardize)
        coefs[0], intercepts[0] = standardize.rescaled(
            coefs[0], intercepts[0], earlier.block(Standardize)
        )
    indices = earlier.positions_in(encoder)
    W = _expand_inputs(coefs[0].swapaxes(-2, -1), indices, encoder.n_outputs)
    coefs[0] = W.swapaxes(-2, -1)
    network.load(coefs, intercepts)


def _reencoded(theta: np.ndarray, plan: Plan, split: Split) -> np.ndarray:
    """Return the weights that the optimizer keeps, such as averages, for the new encoder.

    The scales of X and y have changed since the previous call, so they are adapted as those of the
    network are.
    """
    target = plan.task.target.from_attributes(vars(plan.previous))
    network = _zero_network(plan, fitted_encoder(plan.previous).n_outputs)
    network.theta.copy_(torch.from_numpy(theta))
    coefs, intercepts = network.arrays()
    coefs[-1], intercepts[-1] = target.merge(coefs[-1], intercepts[-1])
    network = _zero_network(plan, split.encoder.n_outputs)
    _load(network, coefs, intercepts, plan, split)
    return network.theta.cpu().numpy()


def _expand_inputs(W: np.ndarray, indices: Sequence[int] | np.ndarray, n_inputs: int) -> np.ndarray:
    """Return W of shape (..., n_inputs), with its columns at some indices and 0 elsewhere."""
    if len(indices) == n_inputs:
        return W
    expanded = np.zeros((*W.shape[:-1], n_inputs), W.dtype)
    expanded[..., indices] = W
    return expanded


def _expand_state(state: Any, indices: Sequence[int] | np.ndarray, network: Network) -> Any:
    """Return the state of an optimizer with the new inputs of the first layer, 0 for these.

    Each array in the state has one number for each parameter of the network.
    """
    if isinstance(state, dict):
        return {name: _expand_state(value, indices, network) for name, value in state.items()}
    if not isinstance(state, np.ndarray):
        return state
    n_inputs, *others = network.layer_sizes
    first, *deeper = layer_views(torch.from_numpy(state), (len(indices), *others))
    # The last column is the bias.
    first = torch.from_numpy(_expand_inputs(first.numpy(), [*indices, n_inputs], n_inputs + 1))
    expanded = np.zeros(network.n_parameters, state.dtype)
    views = layer_views(torch.from_numpy(expanded), network.layer_sizes)
    for view, layer in zip(views, [first, *deeper], strict=True):
        view.copy_(layer)
    return expanded
