"""From a plan and checked data to a result: batches, a network, its update rule, training.

The stations between the face and the rooms: which rows to hold out, how large a batch is, from
which weights to start, what to tell the user.
"""

from dataclasses import dataclass, field

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skdnn._telling import warn
from skdnn.data import (
    Batches,
    Encoder,
    fit_encoder,
    fold_out,
    hold_out,
    make_rows,
)
from skdnn.network import (
    Network,
    get_activation,
    initialize,
    is_saturated,
    is_symmetric,
    layer_views,
)
from skdnn.training import epoch_logits, make_optimizer, train
from skdnn.watching import EpochLines

# Of a network's parameters in its flat tensor; a pickle may come from a version with another one.
LAYOUT = "[W b]"


@dataclass(frozen=True)
class Split:
    """The rows of a fit, each where it is needed.

    Attributes
    ----------
    encoder : Encoder
        Learned from the rows to train on.
    training : Batches
    validation : Batches or None
        The rows to watch after each epoch: the user's, or held-out ones.
    watched : list of Examples
        The same as they are, for each network, for a scorer; empty where there is none to ask.
    held_out : array of int of shape (M, rows) or None
        The rows of X that each network of a stack holds out, filled up with -1.
    """

    encoder: Encoder
    training: Batches
    validation: Batches | None = None
    watched: list = field(default_factory=list)
    held_out: np.ndarray | None = None


def make_split(plan, examples, watched=None, encoder=None):
    """Return the Split of Examples into rows to train on and rows to watch.

    Parameters
    ----------
    plan : Plan
    examples : Examples
    watched : Examples or None, default=None
        The user's own validation rows.
    encoder : Encoder or None, default=None
        Of an earlier fit that goes on; None learns one.
    """
    if encoder is not None and plan.is_incremental:
        encoder = encoder.learnt_on(examples.X, examples.weight)
    rows = np.flatnonzero(examples.weight)  # rows of weight zero behave as absent
    if watched is None and plan.holds_out:
        return (_split_once if plan.n_networks is None else _split_in_folds)(
            plan, examples, rows, encoder
        )
    encoder = encoder or _fit_encoder(plan, examples, rows)
    training = _batches(plan, encoder, examples, rows, **_steps(plan, len(rows)))
    if watched is None:
        return Split(encoder, training)
    validation = _batches(plan, encoder, watched, np.arange(len(watched.y)))
    return Split(encoder, training, validation, [watched] * (plan.n_networks or 1))


def _split_once(plan, examples, rows, encoder):
    """Hold out the same rows for good."""
    training, held_out = hold_out(
        examples.y[rows], plan.parameters.validation_fraction, _draw_seed(plan)
    )
    training, held_out = rows[training], rows[held_out]
    encoder = encoder or _fit_encoder(plan, examples, training)
    return Split(
        encoder,
        _batches(plan, encoder, examples, training, **_steps(plan, len(training))),
        _batches(plan, encoder, examples, held_out),
        _if_scored(plan, examples, [held_out]),
    )


def _split_in_folds(plan, examples, rows, encoder):
    """Hold out another fold for each network; all see the same encoded rows."""
    groups = None if examples.groups is None else examples.groups[rows]
    training, held_out = fold_out(examples.y[rows], plan.n_networks, _draw_seed(plan), groups)
    encoder = encoder or _fit_encoder(plan, examples, rows)
    tensors = make_rows(examples.X, rows, encoder, plan.dtype, plan.device)

    def batches(index, **options):
        y, weight = examples.y[rows][index], examples.weight[rows][index] * (index >= 0)
        return Batches(tensors, y, weight, plan.dtype, index=np.maximum(index, 0), **options)

    held_out_rows = np.where(held_out < 0, -1, rows[held_out])
    return Split(
        encoder,
        batches(training, **_steps(plan, training.shape[1])),
        batches(held_out),
        _if_scored(plan, examples, [index[index >= 0] for index in held_out_rows]),
        held_out_rows,
    )


def _if_scored(plan, examples, held_out):
    return [] if plan.parameters.scoring is None else [examples.take(rows) for rows in held_out]


def _steps(plan, n_rows):
    """Return how the rows of an epoch come: how many a step, and shuffled by whom."""
    generators = plan.generators if plan.parameters.shuffle else ()
    return {"batch_size": plan.batch_size(n_rows), "generators": generators}


def _batches(plan, encoder, examples, rows, **options):
    tensors = make_rows(examples.X, rows, encoder, plan.dtype, plan.device)
    return Batches(tensors, examples.y[rows], examples.weight[rows], plan.dtype, **options)


def _draw_seed(plan):
    return int(torch.randint(2**31, (), generator=plan.generator, device="cpu"))


def _fit_encoder(plan, examples, rows):
    weight = np.zeros_like(examples.weight)
    weight[rows] = examples.weight[rows]
    return fit_encoder(examples.X, weight, plan.parameters.standardize, plan.numeric_embedding)


def make_network(plan, training):
    """Return a network with its initial weights, for Batches to train on.

    Warns
    -----
    UserWarning
        If all units of a hidden layer start equal, or the output starts saturated.
    """
    network = empty_network(plan, training.n_inputs)
    log_odds = training.log_odds()
    initialize(network, plan.parameters.init_scale, plan.generators, log_odds)
    if is_symmetric(network):
        warn(
            "All weights of a hidden layer start equal: its units will compute the same and stay "
            f"equal for ever. Set init_scale='auto' or to a small number, got init_scale="
            f"{plan.parameters.init_scale}.",
        )
    if is_saturated(network, training.rows[:64].mT):
        warn(
            "The output starts saturated: its probabilities are 0 or 1 and the gradient is almost "
            f"zero. Set init_scale='auto' or to a small number, got init_scale="
            f"{plan.parameters.init_scale}.",
        )
    return network


def empty_network(plan, n_inputs):
    """Return a network of the plan's shape, all weights zero.

    Raises
    ------
    ValueError
        If it does not fit into memory.
    """
    layer_sizes = (n_inputs, *plan.units, 1)
    activations = [get_activation(activation) for activation in plan.activations]
    try:
        return Network(
            layer_sizes,
            activations,
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


def with_more_inputs(W, places, n_inputs):
    """Return the weights of a first layer of more inputs, 0 but for those that W has, at places.

    The inputs are the last axis.
    """
    if len(places) == n_inputs:
        return W
    grown = np.zeros((*W.shape[:-1], n_inputs), W.dtype)
    grown[..., places] = W
    return grown


def make_rule(plan, network, state=None, encoders=None):
    """Return the update rule for a network, as an earlier call of partial_fit left the same.

    Parameters
    ----------
    plan : Plan
    network : Network
    state : dict or None, default=None
        Of `incremental_state`.
    encoders : pair of Encoder or None, default=None
        Before and now, where there is a state: the network may have more inputs now.
    """
    parameters = plan.parameters
    rule = make_optimizer(
        parameters.optimizer,
        network,
        weight_decay=plan.weight_decay,
        momentum=parameters.momentum,
        nesterov=parameters.nesterovs_momentum,
        weight_averaging=parameters.weight_averaging,
    )
    if state is None:
        return rule
    if state.get("layout") != LAYOUT:
        raise ValueError(
            "partial_fit must go on from a classifier of this version of skdnn: an earlier one has "
            "kept the state of its optimizer in another order. Fit it anew."
        )
    if state["rule"] == _describe_rule(parameters):
        before, now = encoders
        places = before.outputs_in(now)
        rule.restore(_for_more_inputs(state["optimizer"], places, network))
    return rule


def _for_more_inputs(state, places, network):
    """Return the state of a rule, of which each array has an entry for each parameter."""
    if isinstance(state, dict):
        return {name: _for_more_inputs(part, places, network) for name, part in state.items()}
    if not isinstance(state, np.ndarray):
        return state
    n_inputs, *others = network.layer_sizes
    Wb, *deeper = layer_views(torch.from_numpy(state), (len(places), *others))
    # The last column belongs to the bias.
    Wb = with_more_inputs(Wb.numpy(), [*places, n_inputs], n_inputs + 1)
    grown = np.zeros(network.n_parameters, state.dtype)
    views = layer_views(torch.from_numpy(grown), network.layer_sizes)
    for view, layer in zip(views, [torch.from_numpy(Wb), *deeper], strict=True):
        view.copy_(layer)
    return grown


def incremental_state(plan, rule):
    """Return what, beside the fitted attributes, the next call of partial_fit depends on."""
    return {
        "generator": plan.generator.get_state().numpy(),
        "layout": LAYOUT,
        "rule": _describe_rule(plan.parameters),
        "optimizer": rule.state(),
    }


def _describe_rule(parameters):
    """Name the rule by what its state depends on: another one starts anew."""
    return f"{parameters.optimizer}, averaged: {parameters.weight_averaging > 0}"


def run_training(plan, network, rule, split, score=None, observers=(), state=None):
    """Train, and return the TrainingResult.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training before an epoch was through: there is nothing to keep.
    """
    parameters = plan.parameters
    if parameters.verbose:
        observers = (*observers, EpochLines(split.training.n_rows))
    result = train(
        network,
        split.training,
        rule,
        validation=split.validation,
        score=score,
        learning_rate=plan.learning_rate(network.layer_sizes[0], split.training.batch_size),
        schedule=plan.schedule,
        loss=parameters.loss,
        max_grad_norm=parameters.max_grad_norm,
        max_iter=parameters.max_iter,
        tol=parameters.tol,
        n_iter_no_change=parameters.n_iter_no_change,
        keep_best=bool(parameters.early_stopping),
        generators=plan.dropout_generators,
        observers=observers,
        state=state,
        n_threads=parameters.n_threads,
    )
    if result.interrupted and result.n_iter.max() == 0:
        raise KeyboardInterrupt
    return result


def out_of_fold(network, split, examples):
    """Return what networks say of the rows that they held out, of shape (n_samples, 2), or None.

    NaN where no network held a row out.
    """
    if split.held_out is None:
        return None
    Z = epoch_logits(network, split.validation.epoch())
    is_row = split.held_out >= 0
    P = np.full((len(examples.y), 2), np.nan)
    for column, logits in enumerate((-Z, Z)):
        answers = torch.sigmoid(logits).squeeze(-2).cpu().numpy()
        P[split.held_out[is_row], column] = answers[is_row]
    return P


def tell_of_an_early_end(plan, result):
    """Pass an interruption on, or warn where training ran out of epochs.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training: so it ends the search or the loop, too.
    """
    max_iter = plan.parameters.max_iter
    if result.interrupted:
        raise KeyboardInterrupt(
            "Training was interrupted. The estimator is fitted, with the weights after epoch "
            f"{result.best_iter.max()}."
        )
    if not (result.converged.all() or plan.ends_at_max_iter):
        warn(
            f"Training ended at max_iter={max_iter} before the cost stopped improving. Raise "
            "max_iter, or learning_rate where the cost falls slowly.",
            ConvergenceWarning,
        )
