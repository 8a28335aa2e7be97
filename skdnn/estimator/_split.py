"""The split: which rows to train on, and which to watch, as batches of tensors."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import torch

from skdnn.data.batches import (
    Batches,
    OnDemandRows,
    OwnBatches,
    RowsOfEachNetwork,
    hold_out,
    make_folds,
    make_rows,
)
from skdnn.data.encoding import (
    Encoder,
    assign_folds,
    columns_with_means,
    fit_encoder,
    out_of_fold_means,
)
from skdnn.data.streaming import Rows, StreamedBatches
from skdnn.data.targets import encode_groups

from ._file_examples import FileExamples
from ._parameters import dtype_name


@dataclass(frozen=True)
class Split:
    """The rows of a fit, each where it is needed.

    Attributes
    ----------
    encoder : Encoder
        Learned from X of the rows to train on.
    target : TwoClasses or RealNumbers
        Learned from their y.
    training : Batches
    validation : Batches or None
        The rows to watch after each epoch: the user's, or held-out ones.
    validation : list of Examples
        The same as they are, for each network, for a scorer; empty where there is none to ask.
    held_out : array of int of shape (M, rows) or None
        The rows of X that each network of a stack holds out, filled up with -1.
    member_encoders : sequence of Encoder
        For each network of a stack, the encoder with the target means of its own training rows;
        empty where all networks have the same.
    """

    encoder: Encoder
    target: Any
    training: Batches
    validation: Batches | None = None
    validation_rows: list = field(default_factory=list)
    held_out: np.ndarray | None = None
    member_encoders: Sequence[Encoder] = ()

    def encoder_of(self, member):
        """Return the Encoder of one network of a stack, for None that of all of them."""
        has_own = member is not None and self.member_encoders
        return self.member_encoders[member] if has_own else self.encoder


def fitted_encoder(fitted):
    """Return the Encoder of a fitted estimator, or None for None."""
    return None if fitted is None else Encoder(**fitted._encoding)


def make_split(plan, examples):
    """Return the Split of Examples into rows to train on and rows to watch."""
    if isinstance(examples, FileExamples):
        return _split_file(plan, examples)
    rows = np.flatnonzero(examples.weight)  # rows of weight zero behave as absent
    validation = examples.validation
    if validation is None and plan.holds_out:
        return (_split_once if plan.n_networks is None else _split_in_folds)(plan, examples, rows)
    n_all, numbers = plan.processes.number_rows(examples.weight > 0)
    learned, training_file = _learn(plan, examples, rows)
    training = _batches(plan, learned, training_file, rows, numbers, **_steps(plan, n_all))
    if validation is None:
        return Split(*learned, training)
    _, numbers = plan.processes.number_rows(np.ones(len(validation.y), dtype=bool))
    batches = _batches(plan, learned, validation, np.arange(len(validation.y)), numbers)
    return Split(*learned, training, batches, [validation] * (plan.n_networks or 1))


def _split_once(plan, examples, rows):
    """Hold out the same rows for good."""
    n_all, numbers = plan.processes.number_rows(examples.weight > 0)
    training, held_out = hold_out(
        n_all,
        plan.parameters.validation_fraction,
        _draw_seed(plan),
        _of_all(plan, examples.target.strata(examples.y[rows]), numbers, n_all),
        _groups_of(examples, rows),
    )
    n_training = len(training)
    training, places = _found_here(training, numbers, n_all)
    held_out, places_held_out = _found_here(held_out, numbers, n_all)
    training, held_out = rows[training], rows[held_out]
    learned, training_file = _learn(plan, examples, training)
    return Split(
        *learned,
        _batches(plan, learned, training_file, training, places, **_steps(plan, n_training)),
        _batches(plan, learned, examples, held_out, places_held_out),
        _if_scored(plan, examples, [held_out]),
    )


def _split_file(plan, examples):
    """Hold out the rows that a hash of their number names, if any; the others stay in the file."""
    holds_out = examples.validation is None and plan.holds_out
    summary = examples.summary(with_held_out=not holds_out)
    rows = np.flatnonzero(examples.is_sampled & ~(examples.is_held & holds_out))
    if not len(rows):  # nearly all have a weight of 0
        rows = np.arange(len(examples.y))
    held_out = np.flatnonzero(examples.is_held)
    if holds_out and not examples.can_hold_out():
        what = "rows" if examples.factors is None else "rows of both classes"
        raise ValueError(
            f"early_stopping must find {what} to hold out, but validation_fraction="
            f"{plan.parameters.validation_fraction} of {examples.totals().n_rows} rows is too few. "
            "Use early_stopping=False."
        )
    encoder, target = learned = _learn_of_file(plan, examples, rows, summary)
    training = StreamedBatches(
        examples.training_file(with_held_out=not holds_out),
        summary,
        encoder,
        target,
        Rows(*examples.standing_for_all()),
        plan.dtype,
        plan.device,
        **_steps(plan, summary.n_rows),
    )
    validation = examples.validation
    if holds_out:
        validation = examples.take(held_out)
    if validation is None:
        return Split(*learned, training)
    rows = np.arange(len(validation.y))
    tensors = OnDemandRows(validation.X, rows, encoder, plan.dtype, plan.device)
    y = target.standardized(validation.y)
    return Split(*learned, training, Batches(tensors, y, validation.weight, plan.dtype))


def _learn_of_file(plan, examples, rows, summary):
    """Return the Encoder and the target that a sample teaches, and what is known of all rows."""
    sample = examples.take(rows)
    dtype = np.dtype(dtype_name(plan.dtype))
    target = sample.target.updated(
        sample.y, sample.weight, dtype, plan.loss.is_robust, summary=summary
    )
    standardize = plan.parameters.standardize
    encoder = fit_encoder(sample.X, sample.weight, standardize, plan.numeric_embedding)
    return summary.exact(encoder, sample.X, standardize), target


def _of_all(plan, strata, numbers, n_all):
    """Return the strata of the rows of all processes, by their numbers."""
    if strata is None or plan.processes.size == 1:
        return strata
    of_all = np.empty(n_all, dtype=np.intp)
    of_all[plan.processes.allgather_concat(numbers)] = plan.processes.allgather_concat(strata)
    return of_all


def _found_here(chosen, numbers, n_all):
    """Return which of the rows that are here are chosen ones, and their places among these.

    Parameters
    ----------
    chosen : array of int
        Numbers of rows, ascending.
    numbers : array of int
        Those of the rows that are here.
    n_all : int
    """
    place = np.full(n_all, -1)
    place[chosen] = np.arange(len(chosen))
    places = place[numbers]
    return np.flatnonzero(places >= 0), places[places >= 0]


def _split_in_folds(plan, examples, rows):
    """Hold out another fold for each network; they share the encoded rows, but target means."""
    groups, strata = _groups_of(examples, rows), examples.target.strata(examples.y[rows])
    training, held_out = make_folds(len(rows), plan.n_networks, _draw_seed(plan), groups, strata)
    learned, _ = _learn(plan, examples, rows)
    encoder, target = learned
    y, encoders = target.standardized(examples.y[rows]), ()
    if len(columns_with_means(examples.X)):
        means, encoders = _means_of_networks(plan, examples, rows, learned, training, held_out)
        tensors = RowsOfEachNetwork(examples.X, rows, means, encoder, plan.dtype, plan.device)
        first_row = len(rows) * np.arange(plan.n_networks)[:, np.newaxis]
    else:
        tensors = make_rows(examples.X, rows, encoder, plan.dtype, plan.device)
        first_row = 0

    def batches(index, **options):
        weight = examples.weight[rows][index] * (index >= 0)
        index_of_tensors = first_row + np.maximum(index, 0)
        return Batches(tensors, y[index], weight, plan.dtype, index=index_of_tensors, **options)

    held_out_rows = np.where(held_out < 0, -1, rows[held_out])
    return Split(
        encoder,
        target,
        batches(training, **_steps(plan, training.shape[1])),
        batches(held_out),
        _if_scored(plan, examples, [index[index >= 0] for index in held_out_rows]),
        held_out_rows,
        encoders,
    )


def _means_of_networks(plan, examples, rows, learned, training, held_out):
    """Return the target means that each network sees, and its Encoder with those of its own rows.

    A training row gets the means of training rows in other folds, a held-out row those of all
    training rows: no network sees a label that it holds out.

    Parameters
    ----------
    plan : Plan
    examples : Examples
    rows : array of int of shape (m,)
    learned : tuple of (Encoder, target)
    training, held_out : arrays of int of shape (M, n)
        Indices into `rows`, filled up with -1.

    Returns
    -------
    means : array of shape (M, m, t)
    encoders : list of Encoder
    """
    encoder, target = learned
    y, fold = target.standardized(examples.y), _deal(plan, examples, rows)
    means, encoders = [], []
    for own, held in zip(training, held_out, strict=True):
        own, held = rows[own[own >= 0]], rows[held[held >= 0]]
        weight = np.zeros_like(examples.weight)
        weight[own] = examples.weight[own]
        encoders.append(encoder.with_means_of(examples.X, y, weight))
        of_network = out_of_fold_means(examples.X, y, weight, fold)
        n_means = of_network.shape[1]
        of_network[held] = encoders[-1].numbers_of(examples.X[held])[:, -n_means:]
        means.append(of_network[rows])
    return np.stack(means), encoders


def _learn(plan, examples, rows):
    """Return the Encoder and the target that some rows teach, and the Examples to train them on.

    Raises
    ------
    ValueError
        If y is nothing for the network's precision.
    """
    weight = np.zeros_like(examples.weight)
    weight[rows] = examples.weight[rows]
    dtype = np.dtype(dtype_name(plan.dtype))
    target = examples.target.updated(examples.y, weight, dtype, plan.loss.is_robust, plan.processes)
    encoder = fitted_encoder(plan.before)
    if plan.is_partial_fit and encoder is not None:
        return (encoder.updated(examples.X, weight), target), examples
    y = target.standardized(examples.y)
    examples = _with_other_means(plan, examples, rows, y, weight)
    if encoder is None:
        how = plan.parameters.standardize, plan.numeric_embedding
        encoder = fit_encoder(examples.X, weight, *how, y, plan.processes)
    else:
        encoder = encoder.with_means_of(examples.X, y, weight)
    return (encoder, target), examples


def _with_other_means(plan, examples, rows, y, weight):
    """Return the Examples with the means of levels that a row may see in training."""
    if not len(columns_with_means(examples.X)):
        return examples
    fold = _deal(plan, examples, rows)
    means = out_of_fold_means(examples.X, y, weight, fold, plan.processes)
    return replace(examples, X=replace(examples.X, means=means))


def _deal(plan, examples, rows):
    """Return for each row its fold for target encoding; rows of one group share a fold."""
    is_chosen = np.zeros(len(examples.y), dtype=bool)
    is_chosen[rows] = True
    n_all, numbers = plan.processes.number_rows(is_chosen)
    fold = np.zeros(len(examples.y), dtype=np.intp)
    groups = _groups_of(examples, rows)
    fold[rows] = assign_folds(n_all, _draw_seed(plan), groups)[numbers]
    return fold


def _groups_of(examples, rows):
    """Return the groups of some rows, numbered as if there were no others; None for none."""
    return None if examples.groups is None else encode_groups(examples.groups[rows])


def _batches(plan, learned, examples, rows, numbers, **options):
    """Return the batches of some rows, which have these numbers among those of all processes."""
    encoder, target = learned
    tensors = make_rows(examples.X, rows, encoder, plan.dtype, plan.device)
    held = tensors, target.standardized(examples.y[rows]), examples.weight[rows], plan.dtype
    if plan.processes.size == 1:
        return Batches(*held, **options)
    return OwnBatches(*held, numbers=numbers, processes=plan.processes, **options)


def _if_scored(plan, examples, held_out):
    """Return the Examples of the rows that each network holds out, for a scorer."""
    if plan.parameters.scoring is None:
        return []
    return [examples.take_with_given(rows) for rows in held_out]


def _steps(plan, n_rows):
    """Return how the rows of an epoch come: how many a step, and shuffled by whom."""
    generators = plan.generators if plan.parameters.shuffle else ()
    return {"batch_size": plan.batch_size(n_rows), "generators": generators}


def _draw_seed(plan):
    return int(torch.randint(2**31, (), generator=plan.generator, device="cpu"))
