"""The base class of both estimators: the outline of fit, partial_fit and export."""

import os
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from typing import Any, ClassVar, TypeAlias, TypeVar

import torch
from numpy.typing import ArrayLike
from sklearn.base import BaseEstimator
from sklearn.utils import Tags

from skdnn.callbacks import CallbackSupportMixin, EpochTasks, with_callbacks
from skdnn.checkpoints import open_checkpoint
from skdnn.data.streaming import open_source
from skdnn.distributed import fit_on_dask, is_dask_collection
from skdnn.processes import current_processes
from skdnn.training import with_default_torch_state

from ._examples import FitData, read_examples, read_partial_fit_examples
from ._file_examples import read_file_examples
from ._fitted_attributes import fitted_attributes, restored_on_error, set_attributes
from ._html import NetworkHTMLMixin
from ._initialized_network import initialize_network
from ._parameters import checked_parameters
from ._plan import make_plan, partial_fit_parameters
from ._prediction import MatrixLike, fitted_module
from ._split import make_split
from ._task import Task
from ._training import check_convergence, run_observed_training, run_training
from ._unknown_names import OTHER_NAMES, unknown_name_message, with_known_names
from ._writing import write_predictions

Activation: TypeAlias = str | Callable[[torch.Tensor], torch.Tensor] | type[torch.nn.Module]
Self = TypeVar("Self", bound="NetworkEstimator")


class NetworkEstimator(NetworkHTMLMixin, CallbackSupportMixin, BaseEstimator):
    """Base class of the estimators, which differ by their Task."""

    _task: ClassVar[Task]

    def set_params(self: Self, **params: Any) -> Self:
        """Set the parameters of this estimator.

        Parameters
        ----------
        **params : dict
            New values by name.

        Returns
        -------
        self : object
            The estimator.

        Raises
        ------
        ValueError
            If there is no such parameter.
        """
        names = self._get_param_names()
        for name in params:
            if name not in names and (name in OTHER_NAMES or "__" not in name):
                raise ValueError(unknown_name_message(self, "__init__", name, names))
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
        """Fit the model to X and y.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            Numbers, dates and durations, categories (see `categorical_features`) and missing
            values, as NaN or None. Dates become days since 1970 in UTC. Sparse matrices, large
            memory-mapped files and large frames are made dense batch by batch. A CUDA tensor stays
            on its device.

            X may also name files, which are then read in parts: the path of a Parquet file or of a
            folder of them, a list of such paths, or a pyarrow.dataset.Dataset without a filter.
            Files with different columns are read by one schema that does not depend on their order.

            X may also be a Dask collection, if y is one, too: each Dask worker trains on the rows
            that it holds.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs), or str
            Target values. For classification any two labels: numbers, strings, booleans, dates or
            durations. For regression numbers, with a second axis for several outputs. The name of
            a column if X is in files.
        sample_weight : array-like of shape (n_samples,) or str, default=None
            Sample weights of at least 0 in the cost ``Σ weight * loss / Σ weight``; rows of weight
            0 behave as absent. None gives all rows the weight 1. The name of a column if X is in
            files.
        X_val : like X, of shape (n_validation, n_features), default=None
            Validation set, used after each epoch instead of held-out rows; in memory. Transform it
            as X: see ``transform_input`` in the user guide for pipelines.
        y_val : like y, of shape (n_validation,) or (n_validation, n_outputs), default=None
            Target values of the validation set.
        groups : array-like of shape (n_samples,), default=None
            Group labels. Rows of one group are held out together, by each network, and are in the
            same fold for `target_encoding`.
        sample_weight_val : array-like of shape (n_validation,), default=None
            Sample weights of the validation set, in its cost and its score. `class_weight`
            multiplies them, as it multiplies `sample_weight`. None gives all rows the weight 1.

        Returns
        -------
        self : object
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            If a parameter or the data is invalid, or training diverges; if X is in files, also if
            a parameter needs all rows at once. The estimator is then unchanged.
        KeyboardInterrupt
            If Ctrl-C ended the training. The estimator is then fitted, unless this happened before
            the end of the first epoch.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached before the cost stopped improving. There is no warning if the
            schedule has lowered the learning rate to 0 over at least 50 epochs, or over
            ``max_iter="auto"``.
        UserWarning
            If a text column reads as numbers, dates or durations, nearly all values of a column
            are rare categories, `X_val` was probably not transformed as X, the initial weights are
            unsuitable, or a checkpoint cannot be saved.
        """
        if is_dask_collection(X):
            others = sample_weight, X_val, y_val, groups, sample_weight_val
            set_attributes(self, fit_on_dask(self, X, y, *others))
            return self
        processes = current_processes()
        is_first = processes.rank == 0  # only the first process saves and runs callbacks
        context = self._init_callback_context(max_subtasks=None)
        with restored_on_error(self), processes.propagating_errors():
            parameters = checked_parameters(self)
            tasks = EpochTasks(self, context if is_first else None, X, y, sample_weight)
            with open_checkpoint(parameters) if is_first else nullcontext() as checkpoint_file:
                data = FitData(X, y, sample_weight, X_val, y_val, groups, sample_weight_val)
                source = open_source(X)
                if source is None:
                    examples = read_examples(self, parameters, data)
                else:
                    examples = read_file_examples(self, parameters, data, source)
                seed = None
                if processes.broadcast(checkpoint_file is not None):
                    digest = examples.digest()
                    if checkpoint_file is not None:
                        seed = checkpoint_file.saved_seed(parameters, digest)
                plan = make_plan(self._task, parameters, examples, seed)
                split = make_split(plan, examples)
                initialized = initialize_network(plan, split)
                result = run_observed_training(
                    self, plan, examples, split, initialized, checkpoint_file, tasks
                )
                fitted = fitted_attributes(plan, examples, split, initialized, result)
                set_attributes(self, fitted)
                tasks.end()
        check_convergence(plan, result)
        return self

    def _partial_fit(
        self: Self,
        X: MatrixLike,
        y: ArrayLike,
        sample_weight: ArrayLike | None,
        target: Any = None,
    ) -> Self:
        parameters = partial_fit_parameters(checked_parameters(self))
        examples = read_partial_fit_examples(self, parameters, X, y, sample_weight, target)
        plan = make_plan(self._task, parameters, examples, is_partial_fit=True)
        split = make_split(plan, examples)
        initialized = initialize_network(plan, split)
        result = run_training(plan, split, initialized)
        set_attributes(self, fitted_attributes(plan, examples, split, initialized, result))
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
        """Write predictions to a Parquet file, row group by row group.

        Parameters
        ----------
        X : as in `fit`
            In memory or in files.
        path : str or os.PathLike
            A new file in an existing folder, or a regular file to replace. That file is replaced
            once all rows are written and keeps its owner and mode; a symbolic link is followed.
            The file may be in the folder that X names, but must not be one of the files of X.
        method : str, default="predict"
            "predict", "predict_proba", "predict_log_proba" or "decision_function". The columns are
            named "prediction", after the labels for probabilities, else after the method.
        keep : sequence of str, default=()
            Columns of X to copy, before the predictions.

        Raises
        ------
        ValueError, TypeError
            As in `predict`; also if `method` or a name in `keep` does not exist, or the path is a
            device, a pipe, a socket, a folder or a file of X, or cannot be written.
        OSError
            If writing fails later, as on a full disk. An existing file is then unchanged.
        """
        write_predictions(self, X, path, method, keep)

    @with_default_torch_state
    def to_module(self) -> torch.nn.Sequential:
        """Return the fitted network as a torch.nn.Module.

        Returns
        -------
        torch.nn.Sequential
            Maps a tensor X of shape (n_samples, n_features), in the network's dtype and not
            standardised, to P(y = ``classes_[1]``) or the predicted value, of shape (n_samples,)
            or (n_samples, n_outputs); on the CPU. A categorical column holds the index of each
            category in `categories_`, and the number of categories there for any other; a date
            column holds days since 1970 in UTC.

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
