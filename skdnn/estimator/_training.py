"""The training: from a plan, a split and a start to a result, watched by whom it concerns."""

import copy
from functools import partial

from sklearn.exceptions import ConvergenceWarning

from skdnn.sharing import current_trainer
from skdnn.training import train
from skdnn.watching import EpochLines, make_score, score_name, warn

from ._examples import keep_read
from ._fitted import learnt_attributes, network_attributes


def run_training(plan, split, start, score=None, observers=(), state=None, trainer=train):
    """Train, and return the TrainingResult.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training before an epoch was through: there is nothing to keep.
    """
    parameters, network = plan.parameters, start.network
    if parameters.verbose and plan.processes.rank == 0:
        name = score_name(parameters.scoring or network.output.score)
        observers = (*observers, EpochLines(split.training.n_rows, name))
    result = trainer(
        network,
        split.training,
        start.rule,
        validation=split.validation,
        score=score,
        learning_rate=plan.learning_rate(network.layer_sizes[0], split.training.batch_size),
        schedule=plan.schedule,
        loss=plan.loss,
        max_grad_norm=parameters.max_grad_norm,
        max_iter=plan.max_iter,
        tol=parameters.tol,
        n_iter_no_change=parameters.n_iter_no_change,
        keep_best=bool(parameters.early_stopping),
        generators=plan.dropout_generators,
        observers=observers,
        state=state,
        n_threads=parameters.n_threads,
        processes=plan.processes,
    )
    if result.interrupted and result.n_iter.max() == 0:
        raise KeyboardInterrupt
    return result


def run_watched_training(estimator, plan, split, start, journal, tasks):
    """Train, before the eyes of a scorer, a checkpoint and callbacks.

    Parameters
    ----------
    estimator : NetworkEstimator
        Which they are shown, as if the fit had ended.
    plan, split, start : Plan, Split, Start
    journal : Journal
    tasks : EpochTasks
    """

    def as_fitted(network, member):
        fitted = copy.copy(estimator)
        vars(fitted).update(network_attributes(plan, split, network, member))
        keep_read(fitted, split.watched[member].given, split.watched[member].X)
        return fitted

    score = make_score(plan.parameters.scoring, split.watched, as_fitted)
    if score is None and plan.parameters.scoring is not None:
        warn(
            f"scoring={plan.parameters.scoring!r} has no rows to score, since none are held out. "
            "Set early_stopping=True, or give X_val and y_val."
        )
    tasks.begin(partial(learnt_attributes, plan, split), plan.max_iter)
    journal.seed = plan.seed
    state = plan.processes.first(journal.state)
    observers = [observer for observer in (tasks, journal) if observer.looks]
    return run_training(plan, split, start, score, observers, state, current_trainer(train))


def ended(estimator, plan, result):
    """Return a fitted estimator; pass an interruption on, or warn where epochs ran out.

    Raises
    ------
    KeyboardInterrupt
        If Ctrl-C ended the training: so it ends the search or the loop, too.
    """
    if result.interrupted:
        raise KeyboardInterrupt(
            "Training was interrupted. The estimator is fitted, with the weights after epoch "
            f"{result.best_iter.max()}."
        )
    if not (result.converged.all() or plan.ends_at_max_iter):
        warn(
            f"Training ended at max_iter={plan.max_iter} before the cost stopped improving. Raise "
            "max_iter, or learning_rate where the cost falls slowly.",
            ConvergenceWarning,
        )
    return estimator
