"""Training: from a plan, a split and an initialised network to a result, with its observers."""

import copy
from collections.abc import Callable, Sequence
from functools import partial

from sklearn.base import BaseEstimator
from sklearn.exceptions import ConvergenceWarning

from skdnn.callbacks import (
    EpochLines,
    EpochTasks,
    ending_line,
    make_score_function,
    score_name,
    warn,
)
from skdnn.checkpoints import CheckpointFile
from skdnn.network import Network, cost
from skdnn.processes import current_trainer
from skdnn.training import Progress, TrainingResult, train

from ._cross_validation import cost_of_folds
from ._examples import Examples, describe_out_of_range_column
from ._fitted_attributes import learned_attributes, network_attributes, set_attributes
from ._initialized_network import InitializedNetwork
from ._plan import Plan
from ._reading import cache_read_data
from ._split import Split

# By the endings of a TrainingResult.
_NOT_CONVERGED = {
    "max_iter": "Training ended at max_iter={max_iter} before the cost stopped improving. Raise "
    "max_iter, or learning_rate where the cost falls slowly.",
    "evaluations": "Training ended after too many evaluations of the cost, before it stopped "
    "improving. Raise max_iter.",
    "line_search": "Training ended before the cost stopped improving: the line search of L-BFGS "
    "found no lower cost. Set standardize=True or dtype='float64', or use another optimizer.",
}


def run_training(
    plan: Plan,
    split: Split,
    initialized: InitializedNetwork,
    score: Callable | None = None,
    observers: Sequence[Callable] = (),
    trainer: Callable = train,
    on_start: Callable | None = None,
) -> TrainingResult:
    """Train the network and return the TrainingResult.

    Parameters
    ----------
    plan, split, initialized : Plan, Split, InitializedNetwork
    score, observers, on_start : see `train`
    trainer : callable, default=train
        Called in place of `train`, as to train several fits together.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training in its first epoch, so that there are no weights to keep.
    """
    parameters, network = plan.parameters, initialized.network
    lines = None
    if parameters.verbose and plan.processes.rank == 0:
        name = score_name(parameters.scoring or network.output.score)
        lines = EpochLines(split.training.n_rows, name)
        observers = (*observers, lines)
    result = trainer(
        network,
        split.training,
        initialized.optimizer,
        initialized.config,
        validation=split.validation,
        score=score,
        criterion=partial(cost_of_folds, plan, split) if plan.cross_validates else None,
        generators=plan.dropout_generators,
        observers=observers,
        on_start=on_start,
        processes=plan.processes,
    )
    if result.interrupted and result.n_iter.max() == 0:
        raise KeyboardInterrupt
    if lines is not None and not plan.is_partial_fit:  # partial_fit trains for one epoch only
        measure = "training cost"
        if split.validation is not None and parameters.early_stopping:
            measure = f"validation {'cost' if score is None else name}"
        options = parameters.n_iter_no_change, parameters.tol
        print(ending_line(result, measure, plan.max_iter, *options))
    return result


def run_observed_training(
    estimator: BaseEstimator,
    plan: Plan,
    examples: Examples,
    split: Split,
    initialized: InitializedNetwork,
    checkpoint_file: CheckpointFile | None,
    tasks: EpochTasks,
) -> TrainingResult:
    """Train the network with a scorer, a checkpoint and callbacks, which get copies of `estimator`.

    A copy has the fitted attributes after an epoch.
    """

    def as_fitted(network: Network, member: int) -> BaseEstimator:
        fitted = copy.copy(estimator)
        set_attributes(fitted, network_attributes(plan, examples.schema, split, network, member))
        cache_read_data(
            fitted, split.validation_rows[member].given, split.validation_rows[member].X
        )
        return fitted

    score = make_score_function(plan.parameters.scoring, split.validation_rows, as_fitted)
    if score is None and plan.parameters.scoring is not None:
        warn(
            f"scoring={plan.parameters.scoring!r} has no rows to score, since none are held out. "
            "Set early_stopping=True, or give X_val and y_val."
        )

    def restore(progress: Progress) -> None:
        """Restore the state in the file, which only process 0 has."""
        state = None if checkpoint_file is None else checkpoint_file.restore(progress)
        of_first = plan.processes.broadcast(state)
        if state is None and of_first is not None:
            progress.restore(of_first)

    tasks.begin(partial(learned_attributes, plan, examples.schema, split), plan.max_iter)
    observers: list[Callable] = [tasks] if tasks.is_active else []
    if checkpoint_file is not None:
        checkpoint_file.seed = plan.seed
        observers.append(checkpoint_file)
    on_start = restore if checkpoint_file is not None or plan.processes.size > 1 else None
    trainer = current_trainer(train)
    result = run_training(plan, split, initialized, score, observers, trainer, on_start)
    if examples.validation is not None and result.n_iter.any():
        _warn_of_far_validation_set(plan, examples, split, result)
    return result


def _warn_of_far_validation_set(
    plan: Plan, examples: Examples, split: Split, result: TrainingResult
) -> None:
    """Warn if X_val lies far outside X and a constant prediction is better than the network."""
    validation, curve = split.validation, result.validation_cost_curve
    assert validation is not None
    assert curve is not None
    (y, weight), (y_val, weight_val) = (
        map(plan.processes.allgather_concat, (rows.y.double(), rows.weight.double()))
        for rows in (split.training, validation)
    )
    constant = plan.loss.constant(y, weight).unsqueeze(-1).expand_as(y_val)
    cost_of_constant = cost(plan.loss, constant, y_val, weight_val).item()
    first_cost = curve[0].mean()
    # Rounding may differ between processes, but all must decide the same.
    if not plan.processes.broadcast(first_cost > cost_of_constant):
        return
    column = describe_out_of_range_column(examples)
    if column is not None:
        warn(
            f"X_val lies far outside the range of X: {column}. The validation cost in the "
            f"first epoch was {first_cost:.3g}, that of a constant prediction is "
            f"{cost_of_constant:.3g}. Transform X_val as X: in a pipeline, set "
            "transform_input=['X_val'] and pass X_val to the fit of the pipeline, not to that of "
            "its last step (clf__X_val)."
        )


def check_convergence(plan: Plan, result: TrainingResult) -> None:
    """Warn if training has not converged; raise if it was interrupted.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training, so that it also ends a search or a loop around `fit`.
    """
    if result.interrupted:
        raise KeyboardInterrupt(
            "Training was interrupted. The estimator is fitted, with the weights after epoch "
            f"{result.best_iter.max()}."
        )
    if plan.warns_at_max_iter and not result.converged.all():
        ending = result.endings[~result.converged][0]
        warn(_NOT_CONVERGED[ending].format(max_iter=plan.max_iter), ConvergenceWarning)
