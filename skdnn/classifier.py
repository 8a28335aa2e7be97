"""DeepBinaryClassifier: the face of the house.

It reads parameters and data, hands them to the rooms, and copies what comes back to its fitted
attributes. How a network learns is not here but in `skdnn.network` and `skdnn.training`.
"""

from contextlib import contextmanager
from types import SimpleNamespace

import numpy as np
import torch
from scipy import sparse
from scipy.special import expit, log_expit
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.utils.validation import check_is_fitted, column_or_1d, validate_data

from skdnn._assembly import (
    Examples,
    empty_network,
    incremental_state,
    make_batches,
    make_network,
    make_rule,
    run_training,
    warn_of_an_early_end,
)
from skdnn._parameters import check_parameters
from skdnn._plan import incremental, make_plan
from skdnn.data import (
    Standardizer,
    apply_class_weight,
    check_two_classes,
    check_weights,
    encode_known_labels,
    encode_labels,
    identity_standardizer,
    tensor_chunks,
)
from skdnn.network import Network, compute_logits, get_activation
from skdnn.training import threads_for


class DeepBinaryClassifier(ClassifierMixin, BaseEstimator):
    """Yes or no from a vector of features, by a deep dense network."""

    def __init__(
        self,
        n_layers=None,
        n_units=128,
        *,
        activation="relu",
        init_scale="auto",
        optimizer="adam",
        learning_rate=0.001,
        learning_rate_schedule="auto",
        momentum=0.0,
        nesterovs_momentum=False,
        weight_decay="auto",
        dropout=0.0,
        loss="log_loss",
        shuffle=True,
        batch_size="auto",
        max_iter=100,
        tol=1e-4,
        n_iter_no_change=10,
        early_stopping="auto",
        validation_fraction=0.1,
        standardize=True,
        class_weight=None,
        n_networks=1,
        device="auto",
        dtype="auto",
        warm_start=False,
        verbose=0,
        random_state=None,
    ):
        self.n_layers = n_layers
        self.n_units = n_units
        self.activation = activation
        self.init_scale = init_scale
        self.optimizer = optimizer
        self.learning_rate = learning_rate
        self.learning_rate_schedule = learning_rate_schedule
        self.momentum = momentum
        self.nesterovs_momentum = nesterovs_momentum
        self.weight_decay = weight_decay
        self.dropout = dropout
        self.loss = loss
        self.shuffle = shuffle
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.standardize = standardize
        self.class_weight = class_weight
        self.n_networks = n_networks
        self.device = device
        self.dtype = dtype
        self.warm_start = warm_start
        self.verbose = verbose
        self.random_state = random_state

    def fit(self, X, y, sample_weight=None, X_val=None, y_val=None):
        """Train the network.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
            Numbers, one example a row. Sparse data is made dense batch by batch, never as a whole.
        y : array-like of shape (n_samples,)
            Any two labels: numbers, strings, booleans.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of at least 0 in the cost ``Σ weight * loss / Σ weight``; rows of weight 0
            behave as absent. None weighs all rows the same.
        X_val : like X, of shape (n_validation, n_features), default=None
            Rows to watch after each epoch instead of held-out ones.
        y_val : array-like of shape (n_validation,), default=None
            Their labels.

        Returns
        -------
        self : DeepBinaryClassifier

        Raises
        ------
        ValueError
            If a parameter or the data breaks a rule, or the training diverges. The estimator is
            then as it was before.

        Warns
        -----
        ConvergenceWarning
            If `max_iter` was reached before the cost stopped improving.
        """
        with _restored_on_error(self):
            parameters = self._checked_parameters()
            examples, classes = self._read(X, y, sample_weight)
            watched = self._read_validation(X_val, y_val, classes)
            plan = make_plan(parameters, examples.X)
            standardizer, training, validation = make_batches(plan, examples, watched)
            continues = self.warm_start and hasattr(self, "coefs_")
            network = self._start(plan, classes, standardizer, training, continues)
            result = run_training(plan, network, make_rule(plan, network), training, validation)
            warn_of_an_early_end(plan, result)
            self._keep(plan, classes, standardizer, network, training, result, continues)
            self._incremental_state = None
        return self

    def partial_fit(self, X, y, classes=None, sample_weight=None):
        """Train on for one epoch, on these rows.

        The optimizer goes on where the last call left it: with ``shuffle=False`` and chunks of
        whole batches, chunk after chunk gives what one epoch of `fit` over all of them gives. What
        standardising needs is learned from the first chunk. The learning rate is constant, and no
        rows are held out.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)
        y : array-like of shape (n_samples,)
            May lack one of the classes.
        classes : array-like of shape (2,), default=None
            Both labels; needed in the first call.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `fit`.

        Returns
        -------
        self : DeepBinaryClassifier

        Raises
        ------
        ValueError
            As in `fit`, and for ``early_stopping=True`` or ``optimizer="lbfgs"``, which need all
            rows at once.
        """
        with _restored_on_error(self):
            parameters = incremental(self._checked_parameters())
            continues = hasattr(self, "coefs_")
            examples, classes = self._read_more(X, y, classes, sample_weight, continues)
            state = getattr(self, "_incremental_state", None)
            plan = make_plan(parameters, examples.X, state)
            standardizer, training, _ = make_batches(plan, examples, state=state)
            network = self._start(plan, classes, standardizer, training, continues)
            rule = make_rule(plan, network, state)
            result = run_training(plan, network, rule, training)
            self._keep(plan, classes, standardizer, network, training, result, continues)
            self._incremental_state = incremental_state(plan, standardizer, rule)
        return self

    def decision_function(self, X):
        """Return the logit Z^[L] of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
            ``log(p / (1 - p))`` with p the probability of ``classes_[1]``; above 0 where that is
            predicted. In the network's dtype.
        """
        check_is_fitted(self)
        X = self._validate(X)
        device = _device_at_hand(self.device_)
        W = [None, *(_to_tensor(coef, device) for coef in self.coefs_)]
        b = [None, *(_to_tensor(intercept, device)[None] for intercept in self.intercepts_)]
        activations = [None, *map(get_activation, (*self.activations_, "identity"))]
        operations = 2 * X.shape[0] * sum(coef.size for coef in self.coefs_)
        with torch.no_grad(), threads_for(operations):
            chunks = tensor_chunks(X, self._input_standardizer(), W[1].dtype, device)
            Z = [compute_logits(chunk, W, b, activations).squeeze(1).cpu() for chunk in chunks]
        return torch.cat(Z).numpy()

    def predict_proba(self, X):
        """Return the probabilities of both classes.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, 2)
            Columns in the order of `classes_`.
        """
        Z = self.decision_function(X)
        return np.column_stack([expit(-Z), expit(Z)])

    def predict_log_proba(self, X):
        """Return the logarithms of the probabilities of both classes.

        Computed from the logit: finite where a probability is too small for a float.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples, 2)
            Columns in the order of `classes_`.
        """
        Z = self.decision_function(X)
        return np.column_stack([log_expit(-Z), log_expit(Z)])

    def predict(self, X):
        """Return the more probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame} of shape (n_samples, n_features)

        Returns
        -------
        array of shape (n_samples,)
        """
        positive = self.decision_function(X) > 0
        return self.classes_[positive.astype(np.intp)]

    def to_module(self):
        """Return the fitted network as a plain torch.nn.Module.

        Returns
        -------
        torch.nn.Sequential
            From a tensor X of shape (n_samples, n_features), in the network's dtype and not
            standardised, to P(y = ``classes_[1]``) of shape (n_samples,); on the CPU.

        Examples
        --------
        >>> import torch
        >>> from skdnn import DeepBinaryClassifier
        >>> X, y = [[0.0], [1.0], [2.0], [3.0]], [0, 0, 1, 1]
        >>> clf = DeepBinaryClassifier(n_layers=1, optimizer="lbfgs", weight_decay=0.1).fit(X, y)
        >>> clf.to_module()(torch.tensor([[1.5]], dtype=torch.float64)).item()
        0.500
        """
        check_is_fitted(self)
        activations = [get_activation(activation) for activation in self.activations_]
        dtype = getattr(torch, self.coefs_[0].dtype.name)
        network = Network(self.layer_sizes_, activations, dtype=dtype)
        network.load(self.coefs_, self.intercepts_)
        module = network.to_module()
        standardizer = self._input_standardizer()
        if standardizer is not None:
            module.insert(0, standardizer.to_module(dtype))
        return module

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_class = False
        tags.input_tags.sparse = True
        return tags

    def _checked_parameters(self):
        parameters = SimpleNamespace(**self.get_params(deep=False))
        check_parameters(parameters)
        return parameters

    def _read(self, X, y, sample_weight):
        X, y = self._validate(X, y, reset=True)
        classes, y = encode_labels(y)
        examples = self._weigh(X, y, classes, check_weights(sample_weight, X.shape[0]))
        check_two_classes(y[examples.weight > 0], " with a weight above zero")
        return examples, classes

    def _read_more(self, X, y, classes, sample_weight, continues):
        if classes is None and not continues:
            raise ValueError("classes must be given in the first call of partial_fit, got None.")
        known = self.classes_ if continues else encode_labels(column_or_1d(classes))[0]
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(f"classes must be those of the first call, {known}, got {classes}.")
        X, y = self._validate(X, y, reset=not continues)
        y = encode_known_labels(y, known, "y")
        return self._weigh(X, y, known, check_weights(sample_weight, X.shape[0])), known

    def _read_validation(self, X_val, y_val, classes):
        if (X_val is None) != (y_val is None):
            raise ValueError("X_val and y_val must be given together, got one of them.")
        if X_val is None:
            return None
        X, y = self._validate(X_val, y_val)
        return self._weigh(X, encode_known_labels(y, classes, "y_val"), classes, np.ones(len(y)))

    def _weigh(self, X, y, classes, weight):
        return Examples(X, y, apply_class_weight(weight, y, classes, self.class_weight))

    def _validate(self, X, *y, reset=False):
        # Dense data keeps its dtype: it is converted chunk by chunk, without a copy of the whole.
        dtype = (np.float64, np.float32) if sparse.issparse(X) else "numeric"
        return validate_data(self, X, *y, reset=reset, accept_sparse="csr", dtype=dtype)

    def _start(self, plan, classes, standardizer, training, continues):
        """Return the network to train, with new weights or the fitted ones."""
        if not continues:
            return make_network(plan, training)
        if self.layer_sizes_ != plan.layer_sizes or list(self.classes_) != list(classes):
            raise ValueError(
                "warm_start and partial_fit must find the layer sizes and classes of the previous "
                f"fit, {self.layer_sizes_} and {list(self.classes_)}, got {plan.layer_sizes} and "
                f"{list(classes)}."
            )
        W, b = list(self.coefs_), list(self.intercepts_)
        before = self._input_standardizer() or identity_standardizer(len(W[0]))
        W[0], b[0] = standardizer.unfold(*before.fold(W[0], b[0]))
        network = empty_network(plan)
        network.load(W, b)
        return network

    def _keep(self, plan, classes, standardizer, network, training, result, continues):
        """Copy what was learnt to the fitted attributes: NumPy arrays and plain values."""
        self.classes_ = classes
        self.layer_sizes_, self.n_layers_ = network.layer_sizes, network.n_layers
        self.n_outputs_, self.out_activation_ = 1, "logistic"
        self.activations_ = plan.activations
        self.device_ = str(plan.device)
        self._keep_weights(network, standardizer)
        self._keep_curves(result, training.n_rows, continues)

    def _keep_weights(self, network, standardizer):
        self.coefs_, self.intercepts_ = network.arrays()
        dtype = self.coefs_[0].dtype
        self.input_mean_ = self.input_scale_ = None
        if standardizer.folds_exactly(dtype):
            W, b = standardizer.fold(self.coefs_[0], self.intercepts_[0])
            self.coefs_[0], self.intercepts_[0] = W.astype(dtype), b.astype(dtype)
        else:
            self.input_mean_, self.input_scale_ = standardizer.mean, standardizer.scale

    def _keep_curves(self, result, n_rows, continues):
        epochs, rows = (self.n_iter_, self.t_) if continues else (0, 0)
        self.n_iter_ = epochs + int(result.n_iter[0])
        self.best_iter_ = epochs + int(result.best_iter[0])
        self.t_ = rows + int(result.n_iter[0]) * n_rows
        self.best_loss_ = float(result.best_cost[0])
        for name, curve in (
            ("loss_curve_", result.cost_curve),
            ("validation_loss_curve_", result.validation_cost_curve),
            ("validation_scores_", result.validation_accuracy_curve),
        ):
            earlier = getattr(self, name, None) if continues else None
            setattr(self, name, None if curve is None else (earlier or []) + curve[:, 0].tolist())
        self.loss_ = self.loss_curve_[-1] if self.loss_curve_ else float("nan")

    def _input_standardizer(self):
        if self.input_mean_ is None:
            return None
        return Standardizer(self.input_mean_, 1 / self.input_scale_)


def _device_at_hand(device):
    """Return the device of the fit, or the CPU where there is no such device any more."""
    device = torch.device(device)
    has_it = device.type == "cpu" or (device.index or 0) < torch.cuda.device_count()
    return device if has_it else torch.device("cpu")


def _to_tensor(array, device):
    # Arrays loaded with joblib's mmap_mode are read-only, which torch warns of; those are copied.
    return torch.from_numpy(np.require(array, requirements="W")).to(device)


@contextmanager
def _restored_on_error(estimator):
    """Give the estimator back the attributes it had, should the block fail."""
    before = vars(estimator).copy()
    try:
        yield
    except BaseException:
        vars(estimator).clear()
        vars(estimator).update(before)
        raise
