"""From a plan and checked data to a result: batches, a network, its update rule, training.

The stations between the face and the rooms: which rows to hold out, how large a batch is, from
which weights to start, what to tell the user.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch
from sklearn.exceptions import ConvergenceWarning

from skdnn._reading import Examples
from skdnn.data import (
    Batches,
    Standardizer,
    fit_standardizer,
    hold_out,
    identity_standardizer,
    make_rows,
)
from skdnn.network import Network, get_activation, initialize, is_saturated, is_symmetric
from skdnn.training import make_optimizer, train
from skdnn.watching import EpochLines

# From this many rows on, `early_stopping="auto"` holds some out to see when to stop: with fewer,
# what they would have taught is worth more than what they tell.
ROWS_WORTH_HOLDING_OUT = 10_000
# Up to this many rows, `batch_size="auto"` is the full batch.
FEW_ROWS = 64


@dataclass(frozen=True)
class Split:
    """The rows of a fit, each where it is needed.

    Attributes
    ----------
    standardizer : Standardizer
        Learned from the rows to train on.
    training : Batches
    validation : Batches or None
        The rows to watch after each epoch: the user's, or held-out ones.
    watched : Examples or None
        The same as they are, for a scorer.
    """

    standardizer: Standardizer
    training: Batches
    validation: Batches | None
    watched: Examples | None


def make_split(plan, examples, watched=None, state=None):
    """Return the Split of Examples into rows to train on and rows to watch.

    Parameters
    ----------
    plan : Plan
    examples : Examples
    watched : Examples or None, default=None
        The user's own validation rows.
    state : dict or None, default=None
        Of an earlier call of partial_fit, whose standardizer stays.
    """
    rows = np.flatnonzero(examples.weight)  # rows of weight zero behave as absent
    held_out = None
    if watched is None and _holds_out(plan.parameters, len(rows)):
        rows, held_out = _hold_out(plan, rows, examples.y)
    standardizer = _make_standardizer(plan, examples, rows, state)
    batches = partial(_batches, plan, standardizer)
    training = batches(
        examples,
        rows,
        batch_size=_batch_size(plan.parameters, len(rows)),
        generators=[plan.generator] if plan.parameters.shuffle else (),
    )
    if watched is not None:
        validation = batches(watched, np.arange(len(watched.y)))
    else:
        validation = None if held_out is None else batches(examples, held_out)
        if validation is not None and plan.parameters.scoring is not None:
            watched = examples.take(held_out)
    return Split(standardizer, training, validation, watched)


def _batches(plan, standardizer, examples, rows, **options):
    tensors = make_rows(examples.X, rows, standardizer, plan.dtype, plan.device)
    return Batches(tensors, examples.y[rows], examples.weight[rows], plan.dtype, **options)


def _holds_out(parameters, n_rows):
    if parameters.early_stopping == "auto":
        return parameters.optimizer != "lbfgs" and n_rows >= ROWS_WORTH_HOLDING_OUT
    return parameters.early_stopping


def _hold_out(plan, rows, y):
    seed = int(torch.randint(2**31, (), generator=plan.generator, device="cpu"))
    training, held_out = hold_out(y[rows], plan.parameters.validation_fraction, seed)
    return rows[training], rows[held_out]


def _make_standardizer(plan, examples, rows, state):
    if state is not None:
        return Standardizer(state["mean"], state["inverse_scale"])
    if not plan.parameters.standardize:
        return identity_standardizer(examples.X.shape[1])
    weight = np.zeros_like(examples.weight)
    weight[rows] = examples.weight[rows]
    return fit_standardizer(examples.X, weight)


def _batch_size(parameters, n_rows):
    if parameters.optimizer == "lbfgs" or parameters.batch_size is None:
        return None
    if parameters.batch_size == "auto":
        return None if n_rows <= FEW_ROWS else min(256, max(32, n_rows // 30))
    return parameters.batch_size


def make_network(plan, training):
    """Return a network with its initial weights.

    Warns
    -----
    UserWarning
        If all units of a hidden layer start equal, or the output starts saturated.
    """
    network = empty_network(plan)
    initialize(network, plan.parameters.init_scale, [plan.generator])
    if is_symmetric(network):
        warnings.warn(
            "All weights of a hidden layer start equal: its units will compute the same and stay "
            f"equal for ever. Set init_scale='auto' or to a small number, got init_scale="
            f"{plan.parameters.init_scale}.",
            UserWarning,
            stacklevel=5,
        )
    if is_saturated(network, training.rows[:256]):
        warnings.warn(
            "The output starts saturated: its probabilities are 0 or 1 and the gradient is almost "
            f"zero. Set init_scale='auto' or to a small number, got init_scale="
            f"{plan.parameters.init_scale}.",
            UserWarning,
            stacklevel=5,
        )
    return network


def empty_network(plan):
    """Return a network of the plan's shape, all weights zero."""
    return Network(
        plan.layer_sizes,
        [get_activation(activation) for activation in plan.activations],
        dropout=plan.dropout,
        dtype=plan.dtype,
        device=plan.device,
    )


def make_rule(plan, network, state=None):
    """Return the update rule for a network, as an earlier call of partial_fit left it."""
    parameters = plan.parameters
    rule = make_optimizer(
        parameters.optimizer,
        network,
        weight_decay=plan.weight_decay,
        momentum=parameters.momentum,
        nesterov=parameters.nesterovs_momentum,
        weight_averaging=parameters.weight_averaging,
    )
    if state is not None:
        rule.restore(state["optimizer"])
    return rule


def incremental_state(plan, standardizer, rule):
    """Return what, beside the weights, the next call of partial_fit depends on, as arrays."""
    return {
        "mean": standardizer.mean,
        "inverse_scale": standardizer.inverse_scale,
        "generator": plan.generator.get_state().numpy(),
        "optimizer": rule.state(),
    }


def run_training(plan, network, rule, split, score=None, observers=(), state=None):
    """Train, and return the TrainingResult."""
    parameters = plan.parameters
    if parameters.verbose:
        observers = (*observers, EpochLines(split.training.n_rows))
    return train(
        network,
        split.training,
        rule,
        validation=split.validation,
        score=score,
        learning_rate=parameters.learning_rate,
        schedule=plan.schedule,
        loss=parameters.loss,
        max_grad_norm=parameters.max_grad_norm,
        max_iter=parameters.max_iter,
        tol=parameters.tol,
        n_iter_no_change=parameters.n_iter_no_change,
        keep_best=bool(parameters.early_stopping),
        generators=[plan.dropout_generator],
        observers=observers,
        state=state,
        n_threads=parameters.n_threads,
    )


def warn_of_an_early_end(plan, result):
    """Warn where training was interrupted, or ran out of epochs."""
    max_iter = plan.parameters.max_iter
    if result.interrupted:
        warnings.warn(
            f"Training was interrupted; the weights are those after epoch {result.best_iter[0]}.",
            UserWarning,
            stacklevel=4,
        )
    elif not (result.converged.all() or plan.ends_at_max_iter):
        warnings.warn(
            f"Training ended at max_iter={max_iter} before the cost stopped improving. Raise "
            "max_iter, or learning_rate where the cost falls slowly.",
            ConvergenceWarning,
            stacklevel=4,
        )
