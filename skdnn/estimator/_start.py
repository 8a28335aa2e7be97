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

from ._split import known_encoder

# Of a network's parameters in its flat tensor; a pickle may come from a version with another one.
LAYOUT = "[W b]"


@dataclass(frozen=True)
class Start:
    """What is to be trained.

    Attributes
    ----------
    network : Network
    rule : update rule
        For this network.
    """

    network: Network
    rule: Any


def make_start(plan, split):
    """Return the Start of a training: from new weights, or where an earlier one ended."""
    network = _new_network(plan, split) if plan.before is None else _fitted_network(plan, split)
    return Start(network, _make_rule(plan, split, network))


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
    y, share = map(plan.processes.concatenated, (training.y.double(), training.share.double()))
    answer = plan.loss.constant(y, share)
    initialize(network, plan.parameters.init_scale, plan.generators, answer)
    # Without a weight a constant output is right from the start, and so stays.
    network.W[-1][..., split.target.constant_outputs(), :] = 0
    if is_symmetric(network):
        warn(
            "All weights of a hidden layer start equal: its units will compute the same and stay "
            f"equal for ever. Set init_scale='auto' or to a small number, got init_scale="
            f"{plan.parameters.init_scale}.",
        )
    some_rows = training.rows[:64].mT
    if plan.processes.first(some_rows.numel() > 0 and is_saturated(network, some_rows)):
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
    coefs[-1], intercepts[-1] = split.target.unfold(coefs[-1], intercepts[-1])
    if fitted.input_encoding_ is None:
        coefs[0], intercepts[0] = encoder.unfold(coefs[0], intercepts[0])
    places = known_encoder(fitted).outputs_in(encoder)
    W = _with_more_inputs(coefs[0].swapaxes(-2, -1), places, encoder.n_outputs)
    coefs[0] = W.swapaxes(-2, -1)
    network.load(coefs, intercepts)


def _check_same(plan, split, network):
    fitted, target = plan.before, plan.task.target.known(vars(plan.before))
    stack = fitted.coefs_[0].shape[:-2]
    before = {
        "number of networks": stack[0] if stack else 1,
        **target.settled(),
        "layer sizes": fitted.layer_sizes_[1:],
        "activations": fitted.activations_,
        **fitted._settled,
    }
    now = {
        "number of networks": plan.n_networks or 1,
        **split.target.settled(),
        "layer sizes": network.layer_sizes[1:],
        "activations": plan.activations,
        **settled(plan.parameters),
    }
    for what, value in before.items():
        if value != now[what]:
            raise ValueError(
                f"warm_start and partial_fit must find the {what} of the previous fit, {value}, "
                f"got {now[what]}."
            )


def settled(parameters):
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


def _make_rule(plan, split, network):
    """Return the update rule for a network, as an earlier call of partial_fit left the same."""
    parameters = plan.parameters
    rule = make_optimizer(
        parameters.optimizer,
        network,
        weight_decay=plan.weight_decay,
        momentum=parameters.momentum,
        nesterov=parameters.nesterovs_momentum,
        weight_averaging=parameters.weight_averaging,
    )
    state = getattr(plan.before, "_incremental_state", None) if plan.is_incremental else None
    if state is None:
        return rule
    if state.get("layout") != LAYOUT:
        raise ValueError(
            "partial_fit must go on from an estimator of this version of skdnn: an earlier one has "
            "kept the state of its optimizer in another order. Fit it anew."
        )
    if state["rule"] == _describe_rule(parameters):
        places = known_encoder(plan.before).outputs_in(split.encoder)
        kept = state["optimizer"]
        moved = {name: _moved(kept[name], plan, split) for name in WEIGHTS if name in kept}
        rule.restore(_for_more_inputs(kept, places, network) | moved)
    return rule


def _moved(theta, plan, split):
    """Return weights beside the network's own as they are for means and deviations of now."""
    fitted, encoder = plan.before, known_encoder(plan.before)
    target = plan.task.target.known(vars(fitted))
    network = _empty_network(plan, encoder.n_outputs)
    network.theta.copy_(torch.from_numpy(theta))
    coefs, intercepts = network.arrays()
    if fitted.input_encoding_ is None:
        coefs[0], intercepts[0] = encoder.fold(coefs[0], intercepts[0])
    coefs[-1], intercepts[-1] = target.fold(coefs[-1], intercepts[-1])
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


def incremental_state(plan, start):
    """Return what, beside the fitted attributes, the next call of partial_fit depends on."""
    return {
        "generator": plan.generator.get_state().numpy(),
        "layout": LAYOUT,
        "rule": _describe_rule(plan.parameters),
        "optimizer": start.rule.state(),
    }


def _describe_rule(parameters):
    """Name the rule by what its state depends on: another one starts anew."""
    return f"{parameters.optimizer}, averaged: {parameters.weight_averaging > 0}"
