"""From a plan and checked data to what training takes: batches and a network.

The station between the face and the rooms: it decides which rows to hold out, how large a batch is
and from which weights to start.
"""

import warnings
from dataclasses import dataclass
from functools import partial

import numpy as np
import torch

from skdnn.data import (
    Batches,
    fit_standardizer,
    hold_out,
    identity_standardizer,
    make_rows,
    weighted_rows,
)
from skdnn.network import Network, get_activation, initialize, is_saturated, is_symmetric

# From this many rows on, `early_stopping="auto"` holds some out to see when to stop: with fewer,
# what they would have taught is worth more than what they tell.
ROWS_WORTH_HOLDING_OUT = 1000


@dataclass(frozen=True)
class Examples:
    """Checked data.

    Attributes
    ----------
    X : array or CSR matrix of shape (n_samples, n_features)
    y : array of int of shape (n_samples,)
        0 or 1.
    weight : array of shape (n_samples,)
        Sample weight times class weight.
    """

    X: np.ndarray
    y: np.ndarray
    weight: np.ndarray


def make_batches(plan, examples, watched):
    """Return what is learned from the training rows for standardising, and the batches.

    Parameters
    ----------
    plan : Plan
    examples : Examples
    watched : Examples or None
        The user's own validation rows.

    Returns
    -------
    standardizer : Standardizer
    training : Batches
    validation : Batches or None
        The rows to watch after each epoch: the user's, or held-out ones.
    """
    rows = weighted_rows(examples.y, examples.weight)
    held_out = None
    if watched is None and _holds_out(plan.parameters, len(rows)):
        rows, held_out = _split(plan, rows, examples.y)
    standardizer = _make_standardizer(plan, examples, rows)
    batches = partial(_batches, plan, standardizer)
    training = batches(
        examples,
        rows,
        batch_size=_batch_size(plan.parameters, len(rows)),
        generators=[plan.generator] if plan.parameters.shuffle else (),
    )
    if watched is not None:
        return standardizer, training, batches(watched, np.arange(len(watched.y)))
    return standardizer, training, None if held_out is None else batches(examples, held_out)


def _batches(plan, standardizer, examples, rows, **options):
    tensors = make_rows(examples.X, rows, standardizer, plan.dtype, plan.device)
    return Batches(tensors, examples.y[rows], examples.weight[rows], plan.dtype, **options)


def _holds_out(parameters, n_rows):
    if parameters.early_stopping == "auto":
        return parameters.optimizer != "lbfgs" and n_rows >= ROWS_WORTH_HOLDING_OUT
    return parameters.early_stopping


def _split(plan, rows, y):
    seed = int(torch.randint(2**31, (), generator=plan.generator, device="cpu"))
    training, held_out = hold_out(y[rows], plan.parameters.validation_fraction, seed)
    return rows[training], rows[held_out]


def _make_standardizer(plan, examples, rows):
    if not plan.parameters.standardize:
        return identity_standardizer(examples.X.shape[1])
    weight = np.zeros_like(examples.weight)
    weight[rows] = examples.weight[rows]
    return fit_standardizer(examples.X, weight)


def _batch_size(parameters, n_rows):
    if parameters.optimizer == "lbfgs" or parameters.batch_size is None:
        return None
    if parameters.batch_size == "auto":
        return min(200, n_rows)
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
            stacklevel=3,
        )
    if is_saturated(network, training.rows[:256]):
        warnings.warn(
            "The output starts saturated: its probabilities are 0 or 1 and the gradient is almost "
            f"zero. Set init_scale='auto' or to a small number, got init_scale="
            f"{plan.parameters.init_scale}.",
            UserWarning,
            stacklevel=3,
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
