"""The split: batches of the training rows and of the validation set."""

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

import numpy as np
import torch
from sklearn.base import BaseEstimator

from skdnn.data.batches import (
    N_FOLDS,
    Batches,
    OnDemandRows,
    RowsOfEachNetwork,
    hold_out,
    make_folds,
    make_rows,
)
from skdnn.data.encoding import (
    Encoder,
    WeightedColumns,
    assign_folds,
    columns_with_rare_categories,
    fit_encoder,
    identity_encoder,
    out_of_fold_means,
)
from skdnn.data.streaming import Rows, StreamedBatches
from skdnn.data.targets import Target, encode_groups

from ._examples import Examples
from ._file_examples import FileExamples
from ._parameters import dtype_name
from ._plan import Plan

Learned: TypeAlias = tuple[Encoder, Target]


@dataclass(frozen=True)
class Split:
    """The rows of a fit as batches, and what was learned from the training rows.

    Attributes
    ----------
    encoder : Encoder
        Learned from X of the training rows.
    target : Target
        Learned from y of the training rows.
    training : Batches or StreamedBatches
    validation : Batches or None
        The validation set: X_val, or held-out rows.
    validation_rows : list of Examples
        The validation set of each network, for a scorer; empty if there are no rows to score.
    held_out : array of int of shape (M, rows) or None
        The rows of X that each network of a stack holds out, padded with -1.
    member_encoders : sequence of Encoder
        For each network of a stack, the encoder with the target means of its own training rows;
        empty if all networks have the same encoder.
    """

    encoder: Encoder
    target: Target
    training: Batches | StreamedBatches
    validation: Batches | None = None
    validation_rows: list[Examples] = field(default_factory=list)
    held_out: np.ndarray | None = None
    member_encoders: Sequence[Encoder] = ()


def fitted_encoder(fitted: BaseEstimator) -> Encoder:
    """Return the Encoder of a fitted estimator."""
    if fitted.input_encoding_ is None:
        return identity_encoder(fitted.n_features_in_)
    return Encoder.from_state(fitted.input_encoding_)


def make_split(plan: Plan, examples: Examples) -> Split:
    """Return the Split of Examples into training rows and a validation set."""
    if isinstance(examples, FileExamples):
        return _split_file(plan, examples)
    validation = examples.validation
    if validation is None and plan.holds_out:
        return _hold_out(plan, examples) if plan.n_networks is None else _make_folds(plan, examples)
    rows = np.flatnonzero(examples.weight)  # rows of weight zero count as absent
    n_all, numbers = plan.processes.number_rows(examples.weight > 0)
    learned, training_rows = _learn(plan, examples, rows)
    training = _make_batches(
        plan, learned, training_rows, rows, numbers, **plan.batch_options(n_all)
    )
    if validation is None:
        return Split(*learned, training)
    rows = np.arange(len(validation.y))
    _, numbers = plan.processes.number_rows(np.ones(len(rows), dtype=bool))
    batches = _make_batches(plan, learned, validation, rows, numbers)
    return Split(*learned, training, batches, [validation] * (plan.n_networks or 1))


def _hold_out(plan: Plan, examples: Examples) -> Split:
    """Hold out a fraction of the rows, the same rows for the whole training."""
    processes = plan.processes
    rows = np.flatnonzero(examples.weight)
    n_all, numbers = processes.number_rows(examples.weight > 0)
    strata = examples.target.strata(examples.y[rows])
    if strata is not None and processes.size > 1:
        local, strata = strata, np.empty(n_all, dtype=np.intp)
        strata[processes.allgather_concat(numbers)] = processes.allgather_concat(local)
    both = hold_out(
        n_all,
        plan.parameters.validation_fraction,
        _draw_seed(plan),
        strata,
        _group_codes(examples, rows),
    )
    # `both` numbers the rows of all processes: find those of this process, and their positions.
    parts = []
    for chosen in both:
        position = np.full(n_all, -1)
        position[chosen] = np.arange(len(chosen))
        position = position[numbers]
        is_chosen = position >= 0
        parts.append((rows[is_chosen], position[is_chosen]))
    (training, training_numbers), (held_out, held_out_numbers) = parts
    learned, training_rows = _learn(plan, examples, training)
    options = plan.batch_options(len(both[0]))
    is_scored = plan.parameters.scoring is not None
    return Split(
        *learned,
        _make_batches(plan, learned, training_rows, training, training_numbers, **options),
        _make_batches(plan, learned, examples, held_out, held_out_numbers),
        [examples.take_with_given(held_out)] if is_scored else [],
    )


def _split_file(plan: Plan, examples: FileExamples) -> Split:
    """Hold out the rows chosen by a hash of their number, or none; training rows are streamed."""
    holds_out = examples.validation is None and plan.holds_out
    totals = examples.totals()
    if holds_out and not totals.can_hold_out:
        what = "rows" if examples.factors is None else "rows of each class"
        raise ValueError(
            f"early_stopping must find {what} to hold out, but validation_fraction="
            f"{plan.parameters.validation_fraction} of {totals.n_rows} rows is too few. "
            "Use early_stopping=False."
        )
    summary = examples.summary(with_held_out=not holds_out)
    rows = np.flatnonzero(examples.is_sampled & ~(examples.is_held & holds_out))
    if not len(rows):  # nearly all have a weight of 0
        rows = np.arange(len(examples.y))
    encoder, target = _learn_from_file(plan, examples.take(rows), summary)
    training = StreamedBatches(
        examples.training_file(with_held_out=not holds_out),
        summary,
        encoder,
        target,
        Rows(*examples.representative_rows()),
        plan.dtype,
        plan.device,
        **plan.batch_options(summary.n_rows),
    )
    validation = examples.validation
    if holds_out:
        validation = examples.take(np.flatnonzero(examples.is_held))
    if validation is None:
        return Split(encoder, target, training)
    rows = np.arange(len(validation.y))
    X = OnDemandRows(validation.X, rows, encoder, plan.dtype, plan.device)
    y = target.standardized(validation.y)
    return Split(encoder, target, training, Batches(X, y, validation.weight, plan.dtype))


def _learn_from_file(plan: Plan, sample: Examples, summary: Any) -> Learned:
    """Return the Encoder and the target, learned from a sample and the statistics of all rows."""
    dtype = np.dtype(dtype_name(plan.dtype))
    rows = WeightedColumns(sample.y, sample.weight)
    target = sample.target.updated(rows, dtype, plan.loss.is_robust, summary)
    standardize = plan.parameters.standardize
    columns = WeightedColumns(sample.X, sample.weight)
    encoder = fit_encoder(columns, standardize, plan.encoded_embedding)
    return summary.refine_encoder(encoder, sample.X, standardize), target


def _make_folds(plan: Plan, examples: Examples) -> Split:
    """Hold out another fold of the rows for each network, but none for the last to cross-validate.

    The encoded rows are shared by all networks, except for their target means.
    """
    rows = np.flatnonzero(examples.weight)
    strata = examples.target.strata(examples.y[rows])
    n_folds = N_FOLDS if plan.cross_validates else plan.parameters.n_networks
    groups = _group_codes(examples, rows)
    training, held_out = make_folds(len(rows), n_folds, _draw_seed(plan), groups, strata)
    if plan.cross_validates:
        padding = (0, 1), (0, len(rows) - training.shape[1])
        training = np.pad(training, padding, constant_values=-1)
        training[-1] = np.arange(len(rows))
        held_out = np.pad(held_out, ((0, 1), (0, 0)), constant_values=-1)
    learned, _ = _learn(plan, examples, rows)
    encoder, target = learned
    y, weight = target.standardized(examples.y[rows]), examples.weight[rows]
    X: Any
    if len(columns_with_rare_categories(examples.X)):
        means, encoders = _means_of_networks(plan, examples, rows, learned, training, held_out)
        X = RowsOfEachNetwork(examples.X, rows, means, encoder, plan.dtype, plan.device)
        first_row = len(rows) * np.arange(len(training))[:, np.newaxis]
    else:
        X, encoders = make_rows(examples.X, rows, encoder, plan.dtype, plan.device), []
        first_row = np.zeros(1, dtype=np.intp)

    def make_batches(index: np.ndarray, **options: Any) -> Batches:
        index_of_X = first_row + np.maximum(index, 0)
        weight_of_index = weight[index] * (index >= 0)
        return Batches(X, y[index], weight_of_index, plan.dtype, index=index_of_X, **options)

    held_out_rows = np.where(held_out < 0, -1, rows[held_out])
    if plan.cross_validates:
        held_out[-1] = held_out[0]  # whose cost must be a number, but counts for nothing
    is_scored = plan.parameters.scoring is not None
    return Split(
        encoder,
        target,
        make_batches(training, **plan.batch_options(training.shape[1])),
        make_batches(held_out),
        [examples.take_with_given(index[index >= 0]) for index in held_out_rows if is_scored],
        held_out_rows,
        encoders,
    )


def _means_of_networks(
    plan: Plan,
    examples: Examples,
    rows: np.ndarray,
    learned: Learned,
    training: np.ndarray,
    held_out: np.ndarray,
) -> tuple[np.ndarray, list[Encoder]]:
    """Return the target means for each network, and its Encoder with those of its training rows.

    For a training row they are the means of training rows in other folds, for a held-out row those
    of all training rows: no label of a held-out row reaches its network. `training` and `held_out`,
    of shape (M, n), are indices into the m `rows`, padded with -1; the means have shape (M, m, t).
    """
    encoder, target = learned
    y, fold = target.standardized(examples.y), _assign_folds(plan, examples, rows)
    means, encoders = [], []
    for own, held in zip(training, held_out, strict=True):
        own, held = rows[own[own >= 0]], rows[held[held >= 0]]
        weight = np.zeros_like(examples.weight)
        weight[own] = examples.weight[own]
        encoders.append(encoder.with_target_means(examples.X, y, weight))
        of_network = out_of_fold_means(WeightedColumns(examples.X, weight, y), fold)
        of_network[held] = encoders[-1].target_means.append(examples.X[held]).means
        means.append(of_network[rows])
    return np.stack(means), encoders


def _learn(plan: Plan, examples: Examples, rows: np.ndarray) -> tuple[Learned, Examples]:
    """Return the Encoder and the target, and the Examples with out-of-fold target means.

    All are learned from the training rows, an array of indices.

    Raises
    ------
    ValueError
        If the precision of the network is too low for y.
    """
    weight = np.zeros_like(examples.weight)
    weight[rows] = examples.weight[rows]
    dtype = np.dtype(dtype_name(plan.dtype))
    rows_of_y = WeightedColumns(examples.y, weight, processes=plan.processes)
    target = examples.target.updated(rows_of_y, dtype, plan.loss.is_robust)
    encoder = None if plan.previous is None else fitted_encoder(plan.previous)
    if plan.is_partial_fit and encoder is not None:
        return (encoder.updated(examples.X, weight), target), examples
    y = target.standardized(examples.y)
    columns = WeightedColumns(examples.X, weight, y, plan.processes)
    if len(columns_with_rare_categories(examples.X)):
        means = out_of_fold_means(columns, _assign_folds(plan, examples, rows))
        examples = replace(examples, X=replace(examples.X, means=means))
    if encoder is None:
        columns = replace(columns, X=examples.X)
        options = plan.parameters.standardize, plan.encoded_embedding, plan.is_partial_fit
        encoder = fit_encoder(columns, *options)
    else:
        encoder = encoder.with_target_means(examples.X, y, weight)
    return (encoder, target), examples


def _assign_folds(plan: Plan, examples: Examples, rows: np.ndarray) -> np.ndarray:
    """Return the fold of each row for target encoding; rows of a group are in the same fold."""
    is_chosen = np.zeros(len(examples.y), dtype=bool)
    is_chosen[rows] = True
    n_all, numbers = plan.processes.number_rows(is_chosen)
    fold = np.zeros(len(examples.y), dtype=np.intp)
    groups = _group_codes(examples, rows)
    fold[rows] = assign_folds(n_all, _draw_seed(plan), groups)[numbers]
    return fold


def _group_codes(examples: Examples, rows: np.ndarray) -> np.ndarray | None:
    """Return the groups of some rows as consecutive integers from 0, None without groups."""
    return None if examples.groups is None else encode_groups(examples.groups[rows])


def _make_batches(
    plan: Plan,
    learned: Learned,
    examples: Examples,
    rows: np.ndarray,
    numbers: np.ndarray,
    **options: Any,
) -> Batches:
    """Return the Batches of some rows, at the positions `numbers` among those of all processes."""
    encoder, target = learned
    X = make_rows(examples.X, rows, encoder, plan.dtype, plan.device)
    data = X, target.standardized(examples.y[rows]), examples.weight[rows], plan.dtype
    has_others = plan.processes.size > 1
    return Batches(
        *data, numbers=numbers if has_others else None, processes=plan.processes, **options
    )


def _draw_seed(plan: Plan) -> int:
    return int(torch.randint(2**31, (), generator=plan.generator, device="cpu"))
