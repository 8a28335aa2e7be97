"""The start: a network with its first weights, and the rule that is to move them."""

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from skdnn.callbacks import warn
from skdnn.network import (
    Network,
    get_activation,
    initialize,
    is_saturated,
    is_symmetric,
    layer_views,
)
from skdnn.training import WEIGHTS, make_optimizer

from ._split import fitted_encoder

# Of a network's parameters in its flat tensor; a pickle may come from a version with another one.
LAYOUT = "[W b]"


@dataclass(frozen=True)
class InitializedNetwork:
    """What is to be trained.

    Attributes
    ----------
    network : Network
    optimizer : update rule
        For this network.
    """

    network: Network
    optimizer: Any


def initialize_network(plan, split):
    """Return the Start of a training: from new weights, or where an earlier one ended."""
    network = _new_network(plan, split) if plan.before is None else _fitted_network(plan, split)
    return InitializedNetwork(network, _make_optimizer(plan, split, network))


def _new_network(plan, split):
    """Return a network with its initial weights.

    Warns
    -----
    UserWarning
        If all units of a hidden layer start equal, or the output starts saturated.
    """
    training = split.training
    network = _empty_network(plan, training.n_inputs)
    if plan.alternates_bins:
        network.input_mask = network.theta.new_ones((plan.n_networks, 1, training.n_inputs))
        network.input_mask[1::2, :, split.encoder.bins] = 0
    y, weight = map(
        plan.processes.allgather_concat, (training.y.double(), training.weight.double())
    )
    constant = plan.loss.constant(y, weight)
    initialize(network, plan.parameters.init_scale, plan.generators, constant)
    # Without a weight a constant output is right from the start, and so stays.
    network.W[-1][..., split.target.deviation == 0, :] = 0
    if is_symmetric(network):
        warn(
            "All weights of a hidden layer start equal: its units will compute the same and stay "
            f"equal for ever. Set init_scale='auto' or to a small number, got init_scale="
            f"{plan.parameters.init_scale}.",
        )
    some_rows = training.rows[:64].mT
    if plan.processes.broadcast(some_rows.numel() > 0 and is_saturated(network, some_rows)):
        warn(
            "The output starts saturated: its answers lie where it is flat, where the gradient is "
            f"almost zero. {_cure(plan.parameters)}"
        )
    return network


def _cure(parameters):
    if parameters.init_scale == "auto" and parameters.standardize is False:
        return "Let standardize be True, or scale X, got standardize=False."
    return f"Set init_scale='auto' or to a small number, got init_scale={parameters.init_scale}."


def _empty_network(plan, n_inputs):
    """Return a network of the plan's shape, all weights zero.

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
            n_networks=plan.n_networks,
            dropout=plan.dropout,
            dtype=plan.dtype,
            device=plan.device,
        )
    except (RuntimeError, MemoryError, TypeError) as error:  # what torch says of a huge size
        raise ValueError(
            "n_units, n_layers and n_networks must make a network that fits into memory, got "
            f"{plan.n_networks or 1} with layers of {layer_sizes} units: {error}"
        ) from error


def _fitted_network(plan, split):
    """Return the network of an estimator fitted before, for rows as the split encodes them.

    Raises
    ------
    ValueError
        If parameters or classes are no longer those of that network.
    """
    network = _empty_network(plan, split.encoder.n_outputs)
    _check_same(plan, split, network)
    _load(network, plan.before.coefs_, plan.before.intercepts_, plan, split)
    return network


def _load(network, coefs, intercepts, plan, split):
    """Give a network the weights that an estimator fitted before has, or has had."""
    fitted, encoder = plan.before, split.encoder
    coefs, intercepts = list(coefs), list(intercepts)
    coefs[-1], intercepts[-1] = split.target.unmerge(coefs[-1], intercepts[-1])
    if fitted.input_encoding_ is None:
        coefs[0], intercepts[0] = encoder.unmerge(coefs[0], intercepts[0])
    places = fitted_encoder(fitted).outputs_in(encoder)
    W = _with_more_inputs(coefs[0].swapaxes(-2, -1), places, encoder.n_outputs)
    coefs[0] = W.swapaxes(-2, -1)
    network.load(coefs, intercepts)


def _check_same(plan, split, network):
    fitted, target = plan.before, plan.task.target.from_attributes(vars(plan.before))
    stack = fitted.coefs_[0].shape[:-2]
    before = {
        "number of networks": stack[0] if stack else 1,
        **target.frozen(),
        "layer sizes": fitted.layer_sizes_[1:],
        "activations": fitted.activations_,
        **fitted._frozen_parameters,
    }
    now = {
        "number of networks": plan.n_networks or 1,
        **split.target.frozen(),
        "layer sizes": network.layer_sizes[1:],
        "activations": plan.activations,
        **frozen(plan.parameters),
    }
    for what, value in before.items():
        if value != now[what]:
            raise ValueError(
                f"warm_start and partial_fit must find the {what} of the previous fit, {value}, "
                f"got {now[what]}."
            )


def frozen(parameters):
    """Return the parameters that the first fit settles, since its encoder stays, by name."""
    return {name: getattr(parameters, name) for name in ("standardize", "categorical_features")}


def _with_more_inputs(W, places, n_inputs):
    """Return the weights of a first layer of more inputs, 0 but for those that W has, at places.

    The inputs are the last axis.
    """
    if len(places) == n_inputs:
        return W
    grown = np.zeros((*W.shape[:-1], n_inputs), W.dtype)
    grown[..., places] = W
    return grown


def _make_optimizer(plan, split, network):
    """Return the update rule for a network, as an earlier call of partial_fit left the same."""
    parameters = plan.parameters
    optimizer = make_optimizer(
        parameters.optimizer,
        network,
        weight_decay=plan.weight_decay,
        momentum=parameters.momentum,
        nesterov=parameters.nesterovs_momentum,
        weight_averaging=parameters.weight_averaging,
    )
    state = getattr(plan.before, "_partial_fit_state", None) if plan.is_partial_fit else None
    if state is None:
        return optimizer
    if state.get("layout") != LAYOUT:
        raise ValueError(
            "partial_fit must go on from an estimator of this version of skdnn: an earlier one has "
            "kept the state of its optimizer in another order. Fit it anew."
        )
    if state["rule"] == _describe_optimizer(parameters):
        places = fitted_encoder(plan.before).outputs_in(split.encoder)
        kept = state["optimizer"]
        moved = {name: _moved(kept[name], plan, split) for name in WEIGHTS if name in kept}
        optimizer.restore(_for_more_inputs(kept, places, network) | moved)
    return optimizer


def _moved(theta, plan, split):
    """Return weights beside the network's own as they are for means and deviations of now."""
    fitted, encoder = plan.before, fitted_encoder(plan.before)
    target = plan.task.target.from_attributes(vars(fitted))
    network = _empty_network(plan, encoder.n_outputs)
    network.theta.copy_(torch.from_numpy(theta))
    coefs, intercepts = network.arrays()
    if fitted.input_encoding_ is None:
        coefs[0], intercepts[0] = encoder.merge(coefs[0], intercepts[0])
    coefs[-1], intercepts[-1] = target.merge(coefs[-1], intercepts[-1])
    network = _empty_network(plan, split.encoder.n_outputs)
    _load(network, coefs, intercepts, plan, split)
    return network.theta.cpu().numpy()


def _for_more_inputs(state, places, network):
    """Return the state of a rule, of which each array has an entry for each parameter."""
    if isinstance(state, dict):
        return {name: _for_more_inputs(part, places, network) for name, part in state.items()}
    if not isinstance(state, np.ndarray):
        return state
    n_inputs, *others = network.layer_sizes
    Wb, *deeper = layer_views(torch.from_numpy(state), (len(places), *others))
    # The last column belongs to the bias.
    Wb = _with_more_inputs(Wb.numpy(), [*places, n_inputs], n_inputs + 1)
    grown = np.zeros(network.n_parameters, state.dtype)
    views = layer_views(torch.from_numpy(grown), network.layer_sizes)
    for view, layer in zip(views, [torch.from_numpy(Wb), *deeper], strict=True):
        view.copy_(layer)
    return grown


def partial_fit_state(plan, initialized):
    """Return what, beside the fitted attributes, the next call of partial_fit depends on."""
    return {
        "generator": plan.generator.get_state().numpy(),
        "layout": LAYOUT,
        "rule": _describe_optimizer(plan.parameters),
        "optimizer": initialized.optimizer.state(),
    }


def _describe_optimizer(parameters):
    """Name the rule by what its state depends on: another one starts anew."""
    return f"{parameters.optimizer}, averaged: {parameters.weight_averaging > 0}"
