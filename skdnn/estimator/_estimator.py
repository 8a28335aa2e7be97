"""What both faces are: an estimator that reads, plans, splits, starts, trains and keeps."""

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any, ClassVar, TypeAlias, TypeVar

import torch
from numpy.typing import ArrayLike
from scipy import sparse
from sklearn.base import BaseEstimator
from sklearn.utils import Tags

from skdnn.callbacks import CallbackSupportMixin, EpochTasks, with_callbacks
from skdnn.checkpoints import CheckpointFile, open_checkpoint
from skdnn.distributed import fit_on_dask, is_dask_collection
from skdnn.processes import current_processes
from skdnn.training import with_default_torch_state

from ._examples import read_more_examples_or_file
from ._file_examples import read_examples_or_file
from ._fitted import fitted_attributes
from ._html import NetworkHTMLMixin
from ._initialized_network import initialize_network
from ._parameters import checked_parameters
from ._plan import make_plan, partial_fit_parameters
from ._prediction import fitted_module
from ._split import make_split
from ._task import Task
from ._training import ended, run_observed_training, run_training
from ._unknown_names import OTHER_NAMES, unknown_name, with_known_names
from ._writing import write_predictions

Activation: TypeAlias = str | Callable[[torch.Tensor], torch.Tensor] | type[torch.nn.Module]
MatrixLike: TypeAlias = (
    ArrayLike | sparse.sparray | sparse.spmatrix | os.PathLike | Sequence[os.PathLike]
)
Self = TypeVar("Self", bound="NetworkEstimator")


class NetworkEstimator(NetworkHTMLMixin, CallbackSupportMixin, BaseEstimator):
    """An estimator that learns by a dense network; what it predicts, a face says by its Task."""

    _task: ClassVar[Task]

    def set_params(self: Self, **params: Any) -> Self:
        """Set parameters by name.

        Parameters
        ----------
        **params : dict
            New values.

        Returns
        -------
        self : object
            The estimator itself.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        known = self._get_param_names()
        for name in params:
            if name not in known and (name in OTHER_NAMES or "__" not in name):
                raise ValueError(unknown_name(self, "__init__", name, known))
        return super().set_params(**params)

    @with_known_names
    @with_default_torch_state
    @with_callbacks
    def fit(
        self: Self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None = None,
        X_val: MatrixLike | None = None,
        y_val: ArrayLike | None = None,
        groups: ArrayLike | None = None,
        sample_weight_val: ArrayLike | None = None,
    ) -> Self:
        """Train the network, or all of them.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            Numbers, dates and durations, NaN or None where missing, and levels (see
            `categorical_features`), one example a row. Dates are days since 1970 in UTC. Sparse
            data is made dense batch by batch, never as a whole, and so are a large memory-mapped
            file and a large frame read; a tensor on CUDA stays there. Or where the rows are, which
            are then read part by part: the path of a Parquet file or of a folder of them, a list of
            such paths, a pyarrow.dataset.Dataset, or a scan of polars. Files whose columns differ
            are read by one schema, whatever their order. Or a collection of Dask, as y then is one,
            too: its workers train on the rows that they have.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or str
            Of a classifier any two labels: numbers, strings, booleans, dates, durations. Of a
            regressor numbers, with a second axis for several at once. Where X is in a file, the
            name of a column.
        sample_weight : array-like of shape (n_samples,) or str, default=None
            Weights of at least 0 in the cost ``Σ weight * loss / Σ weight``; rows of weight 0
            behave as absent. None weighs all rows the same; a name is that of a column, as of y.
        X_val : like X, of shape (n_validation, n_features), default=None
            Validation set, used after each epoch instead of held-out rows; in memory. It must be
            transformed as X is: see ``transform_input`` in the user guide for pipelines.
        y_val : like y, of shape (n_validation,) or (n_validation, n_outputs), default=None
            Labels or numbers of the validation set.
        groups : array-like of shape (n_samples,), default=None
            Rows of the same group are held out together, by one network and by each of several,
            and are in the same fold for `target_encoding`.
        sample_weight_val : array-like of shape (n_validation,), default=None
            Weights of the validation set in its cost and its score; rows of weight 0 behave as
            absent. None weighs all rows the same. `class_weight` multiplies them, as it multiplies
            `sample_weight`.

        Returns
        -------
        self : object
            The estimator itself, fitted.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data breaks a rule, or the training diverges; where X is in a
            file, if a parameter needs all rows at once. The estimator is then as it was before.
        KeyboardInterrupt
            If Ctrl-C ended the training. The estimator is then fitted, unless the first epoch was
            not through.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached before the cost stopped improving; not where it is "auto", or
            50 and more, and the learning rate has then come to 0 ("cosine").
        UserWarning
            If a text column reads as numbers, dates or durations, nearly all values of a column
            are rare categories, `X_val` was probably not transformed as X, the network starts
            badly, or a checkpoint cannot be saved.
        """
        if is_dask_collection(X):
            return fit_on_dask(self, X, y, sample_weight, X_val, y_val, groups, sample_weight_val)
        with _fitting(self, X, y, sample_weight) as (parameters, checkpoint_file, tasks):
            examples = read_examples_or_file(
                self, parameters, X, y, sample_weight, groups, X_val, y_val, sample_weight_val
            )
            plan = make_plan(
                self._task, parameters, examples, checkpoint_file.find(parameters, examples)
            )
            split = make_split(plan, examples)
            initialized = initialize_network(plan, split)
            result = run_observed_training(
                self, plan, examples, split, initialized, checkpoint_file, tasks
            )
            self.__dict__.update(fitted_attributes(plan, examples, split, initialized, result))
        return ended(self, plan, result)

    def _partial_fit(
        self: Self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        target: Any = None,
    ) -> Self:
        with _going_on(self) as parameters:
            examples = read_more_examples_or_file(self, parameters, X, y, sample_weight, target)
            plan = make_plan(self._task, parameters, examples, is_partial_fit=True)
            split = make_split(plan, examples)
            initialized = initialize_network(plan, split)
            result = run_training(plan, split, initialized)
            self.__dict__.update(fitted_attributes(plan, examples, split, initialized, result))
        return self

    @with_default_torch_state
    def write_predictions(
        self,
        X: MatrixLike,
        path: str | os.PathLike,
        *,
        method: str = "predict",
        keep: Sequence[str] = (),
    ) -> None:
        """Write predictions into a Parquet file, row group by row group.

        Parameters
        ----------
        X : as in `fit`
            In memory or in a file.
        path : str or os.PathLike
            A regular file, which is replaced when all is written and keeps owner and mode, or a new
            one in a folder that exists. A symbolic link is followed. It may be in the folder that X
            names, but must not be one of the files of X.
        method : str, default="predict"
            "predict", "predict_proba", "predict_log_proba" or "decision_function". The columns are
            "prediction", the name of the method or, of probabilities, the labels.
        keep : sequence of str, default=()
            Columns of X to copy, before the predictions.

        Raises
        ------
        ValueError, TypeError
            As in `predict`; and if a name is none, or the path is a device, a pipe, a socket, a
            folder or a file of X, or cannot be written.
        OSError
            If writing fails later, as on a full disk. An earlier file is then as it was before.
        """
        write_predictions(self, X, path, method, keep)

    @with_default_torch_state
    def to_module(self) -> torch.nn.Sequential:
        """Return the fitted network as a plain torch.nn.Module.

        Returns
        -------
        torch.nn.Sequential
            From a tensor X of shape (n_samples, n_features), in the network's dtype and not
            standardised, to P(y = ``classes_[1]``), or to the number that a regressor predicts, of
            shape (n_samples,), or (n_samples, n_outputs) with several; on the CPU. A column of
            levels has each one's index in `categories_`, and their number for any other; one of
            dates has days since 1970 in UTC.

        Examples
        --------
        >>> import torch
        >>> from skdnn import DeepBinaryClassifier
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
        >>> clf = DeepBinaryClassifier(n_layers=1, optimizer="lbfgs", weight_decay=0.1).fit(X, y)
        >>> clf.to_module()(torch.tensor([[1.5]], dtype=torch.float64)).item()
        0.500
        """
        return fitted_module(self)

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        tags.input_tags.allow_nan = True
        return tags


@contextmanager
def _fitting(estimator: Any, *passed: Any) -> Iterator[tuple[Any, CheckpointFile, EpochTasks]]:
    """Give a fit its checked parameters, its checkpoint, and callbacks, which see it end, too.

    Of several processes it is the first that saves and that callbacks see.
    """
    processes = current_processes()
    context = estimator._init_callback_context(max_subtasks=None)
    with _restored_on_error(estimator), processes.failing_together():
        parameters = checked_parameters(estimator)
        tasks = EpochTasks(estimator, context if processes.rank == 0 else None, *passed)
        with open_checkpoint(
            parameters.checkpoint if processes.rank == 0 else None
        ) as checkpoint_file:
            yield parameters, checkpoint_file, tasks
            tasks.end()


@contextmanager
def _going_on(estimator: Any) -> Iterator[Any]:
    """Give a call of partial_fit its checked parameters."""
    with _restored_on_error(estimator):
        yield partial_fit_parameters(checked_parameters(estimator))


@contextmanager
def _restored_on_error(estimator: Any) -> Iterator[None]:
    """Give an estimator back the attributes that it had, should the block fail."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
