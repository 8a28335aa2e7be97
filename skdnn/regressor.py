"""DeepRegressor: its parameters and predictions; `skdnn.estimator` implements `fit`."""

import os
from collections.abc import Callable, Sequence
from numbers import Real
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import ArrayLike, DTypeLike
from sklearn.base import RegressorMixin
from sklearn.metrics import r2_score
from sklearn.utils import Tags

from skdnn.checkpoints import Checkpoint
from skdnn.data.targets import RealNumbers, check_weights, normalized_numbers
from skdnn.distributed import is_dask_collection, predict_on_dask, score_on_dask
from skdnn.estimator import (
    Activation,
    Interval,
    MatrixLike,
    NetworkEstimator,
    Options,
    Task,
    raw_predict,
    read_target_and_weight,
    with_known_names,
)
from skdnn.network import LINEAR, Loss, quantile_loss
from skdnn.training import with_default_torch_state


def _loss(parameters: Any) -> Loss:
    if parameters.loss != "quantile":
        return LINEAR.losses[parameters.loss]
    if parameters.quantile is None:
        raise ValueError(
            "quantile must be a number above 0 and below 1 for loss='quantile', got None."
        )
    return quantile_loss(parameters.quantile)


REGRESSION = Task(
    target=RealNumbers,
    output=LINEAR,
    constraints={
        "loss": Options(tuple(LINEAR.losses)),
        "quantile": Interval(Real, 0, 1, "neither", (None,)),
    },
    loss=_loss,
    weigh=lambda parameters, target, y, weight, totals: weight,
    is_classification=False,
    out_of_fold=("oob_prediction_", lambda Z: Z[:, 0] if Z.shape[1] == 1 else Z),
)


class DeepRegressor(RegressorMixin, NetworkEstimator):
    """Deep neural network for regression, with one or several outputs.

    Linear regression generalised to L layers: layer l computes
    ``A^[l] = g(A^[l-1] W^[l] + b^[l])`` from ``A^[0] = X``, the last one the prediction
    ``ŷ = Z^[L]``. Training minimises ``J = Σ w loss(ŷ, y) / Σ w`` by gradient descent [1]_. y is
    standardised internally; predictions and the weights of the last layer are in its units.

    Parameters
    ----------
    n_layers : int or None, default=None
        Number of layers L, including the output layer; 1 is linear regression. None is 3, or
        ``len(n_units) + 1`` if `n_units` is a sequence.
    n_units : int or sequence of int, default=128
        Number of units of every hidden layer, or of each.
    activation : str, callable or sequence of such, default="relu"
        Activation function g of every hidden layer, or of each: "sigmoid" (or "logistic"), "tanh",
        "relu", "leaky_relu", "identity" (or "linear"), "elu", "selu", "gelu", "silu" or "mish"; a
        differentiable function from a tensor to a tensor of the same shape; or a torch.nn.Module
        class without parameters.
    init_scale : float or "auto", default="auto"
        Standard deviation of the initial weights. "auto" is ``sqrt(gain / n^[l-1])`` with the gain
        of the activation, 2 for ReLU [2]_. Initial biases are 0, but the output bias is the best
        constant prediction. 0.0 makes all of them 0, which is suitable for one layer only.
    optimizer : {"adam", "adamw", "sgd", "lbfgs"} or torch.optim.Optimizer class, default="adam"
        "sgd" with ``batch_size=None`` is batch gradient descent. "lbfgs" uses all rows in every
        iteration and suits small data and one layer.
    learning_rate : float or "auto", default="auto"
        Initial learning rate α in ``W := W - α dW``; not used by "lbfgs". "auto" depends on the
        optimizer:

        - "adam" and "adamw": 0.003, times ``sqrt(256 / v)`` if v > 256, times ``sqrt(256 / u)`` if
          u > 256, and times ``sqrt(batch / 256)`` if ``batch_size="auto"`` is more than 256. v is
          the total variance of the standardised columns: 1 for each, less for a column of two
          numbers. u is v plus the number of inputs that `numeric_embedding` and missing values add;
        - the same with one layer: ``min(0.03, 3 / u)``;
        - others: 0.003.
    learning_rate_schedule : str or callable, default="auto"
        Factor of the learning rate over time: "constant", "inverse_scaling" (or "invscaling"),
        ``1 / sqrt(1 + epoch)``; "cosine", which falls to 0 at `max_iter`; "warmup_cosine"; or a
        function of (epoch, max_iter). "auto" is "cosine" for "adam" and "adamw", from 20,000 rows
        on "warmup_cosine", and "constant" for others.
    momentum : float, default=0.0
        Momentum μ in ``v := μ v + dW``, ``W := W - α v``, for "sgd".
    nesterovs_momentum : bool, default=False
        Whether to use Nesterov's momentum.
    weight_decay : float or "auto", default="auto"
        Strength λ of the L2 regularisation ``λ/2 Σ W²`` of the weights, without biases, for y
        standardised; decoupled from the gradient for "adamw". "auto" depends on the optimizer, with
        Σ w the sum of the sample weights (the number of rows if they are 1), n = max(100, Σ w) and
        v as for `learning_rate`:

        - "adam": the largest of ``min(0.01, 50 / Σ w)``, times 0.03 if rows are held out,
          ``0.01 min(1, v / n)²``, times 0.3 for several networks, and with cross-validation
          ``min(0.03, 3 / Σ w)``;
        - "adam" with one layer: ``v / (4 n)``;
        - others: 0.

        One layer with "lbfgs" and ``standardize=False`` is scikit-learn's Ridge with
        ``alpha = weight_decay * Σ w``, times `n_outputs_` for several outputs.
    dropout : float or sequence of float, default=0.0
        Fraction of the units of every hidden layer, or of each, that a training step drops.
    max_grad_norm : float or None, default=None
        Clip the gradient of a step to this Euclidean norm.
    weight_averaging : float, default=0.0
        Decay of an exponential moving average of the weights over the training steps, such as 0.99.
        The averages are used for validation and prediction. 0 is no averaging.
    loss : {"squared_error", "absolute_error", "quantile"}, default="squared_error"
        ``(ŷ - y)² / 2``, which predicts the mean of y; ``|ŷ - y|``, which predicts the median; or
        the pinball loss, ``q (y - ŷ)`` if ŷ is too low and ``(1 - q) (ŷ - y)`` if it is too high,
        which predicts the quantile q [4]_. Computed for y standardised; the mean over outputs.
    quantile : float or None, default=None
        The q of ``loss="quantile"``, above 0 and below 1; not used by other losses.
    shuffle : bool, default=True
        Whether to shuffle the rows before each epoch. A full batch is not shuffled.
    batch_size : int, "auto" or None, default="auto"
        Number of rows of a training step, the mini-batch; None is all rows, as always for "lbfgs".
        "auto" depends on the number m of rows:

        - up to 64: all rows;
        - more: ``m / 30``, at least 32 and at most 256;
        - from 51,200, for "adam" and "adamw": ``m / 200``, at most 1024.
    max_iter : int or "auto", default="auto"
        Maximum number of epochs, or of iterations of "lbfgs". "auto" is 50, but
        for "adam" and "adamw" 15 from 20,000 rows on, or 25 of several networks; with
        cross-validation it is 10,000 / m of m rows, at least 50 and at most 200.
    tol : float, default=1e-4
        Tolerance: a smaller improvement of the cost or score does not count. For "lbfgs" without
        early stopping, training has converged if no component of the gradient is larger.
    n_iter_no_change : int, default=10
        Number of epochs without improvement after which training stops.
    early_stopping : bool, "cross_validation" or "auto", default="auto"
        Whether to hold out rows as a validation set, stop when their cost no longer improves, and
        keep the weights of the best epoch. A validation set passed to `fit` is used instead; if
        False, its curves are only recorded. "cross_validation" trains on all rows for `max_iter`
        epochs, beside five networks that each hold out another fold, and keeps the weights of the
        epoch in which these predict their folds best; a classifier also divides its logits by the
        temperature that is best for the folds. "auto" does so for classification with fewer than
        400 rows and at most 200 columns, "adam" or "adamw" and several layers, if `scoring` is
        None, the rows are in memory and each fold can have a row of each class. Else it holds out
        rows in these cases:

        - `scoring` is given;
        - there are several networks;
        - there are 10,000 rows or more, except for "lbfgs";
        - there are 100 rows or more, but fewer than ``max(1000, 4 n_features)``, for "adam" and
          "adamw".

        It does not do so for "adam" with one layer and neither of the first two cases, nor if less
        than one row (of each class) would be held out.
    scoring : str, callable or None, default=None
        Score of the validation set to use in place of its cost, higher is better: the name of a
        scorer, such as "neg_mean_absolute_error", or a function of (estimator, X, y). X is passed
        in the container that `fit` got, and sample weights too if they differ and the scorer takes
        them.
    validation_fraction : float, default=0.1
        Fraction of the rows to hold out.
    standardize : bool, "smooth_clip" or "robust", default="smooth_clip"
        How to standardise numeric columns; statistics are weighted and learned from the training
        rows. Constant columns are ignored. A missing value becomes 0, and a column that has some in
        training gets a missing-value indicator.

        - True: subtract the mean and divide by the standard deviation;
        - "smooth_clip": as True, with outliers clipped at five interquartile ranges beyond the
          quartiles when learning, then ``z / sqrt(1 + (z / 3)²)``. A column of two numbers is
          divided by half their difference instead;
        - "robust": as "smooth_clip", with median and interquartile range;
        - False: no change.
    categorical_features : "from_dtype", sequence or None, default="from_dtype"
        Categorical columns of X, by name, index or mask; they are one-hot encoded. Rare and unseen
        categories share one input, missing values have their own. "from_dtype" uses the columns of
        a frame of categorical, text or boolean type, and of objects other than numbers and dates.
    target_encoding : bool or "auto", default="auto"
        Whether to add the target mean of each category to columns with rare categories. Means are
        computed out of fold in 5 folds, as by scikit-learn's TargetEncoder. "auto" does so if rare
        categories that occur more than once make up over 2 % of the rows, True if there are any.
        `partial_fit` does not.
    numeric_embedding : "auto", "piecewise_linear", "periodic" or None, default="auto"
        What the network gets of each number beside its standardised value: "piecewise_linear" adds
        a piecewise-linear encoding in 16 bins of equal frequency, "periodic" seven trained cosines
        ``a cos(2π (w x + b))`` [3]_; fewer of a column of few distinct numbers, none if there are
        two. "auto" is "piecewise_linear" for "adam" and "adamw" with a nonlinear hidden layer, if
        at most 200 columns get bins (of more than 16 only if the encoded rows fit into a quarter of
        a GB).
    n_networks : int, default=1
        Number of networks to train together; their predictions are averaged. Each holds out another
        fold of the rows, of at least 5, and keeps its own best epoch, unless early stopping is
        False.
    device : str or torch.device, default="auto"
        "cpu", "cuda" or "cuda:1". "auto" is "cuda" if available.
    dtype : {"auto", "float32", "float64"} or dtype, default="auto"
        Floating point type of the network. "auto" is float64 if float32 cannot distinguish the
        values of y: far from zero compared with their standard deviation, beyond 1e30 or below
        1e-30. Otherwise it is float32 on CUDA, for float32 and float16 data and for frames with
        categories. For other data it is float64 with fewer than 1,000 rows, "lbfgs" or
        `partial_fit`, else float32. Data is standardised in float64 in any case, and predictions
        for float64 data are float64.
    n_threads : int or None, default=None
        Number of CPU threads for `fit` and predictions. None is 1 for small data and networks, else
        that of torch. Use 1 for several fits in parallel threads; for parallel processes
        (``n_jobs``) joblib limits the threads.
    warm_start : bool, default=False
        Whether `fit` continues training from the weights of the last fit, for up to `max_iter` more
        epochs, with a new optimizer. The curves are continued. X is encoded as in the last fit, so
        parameters of the encoding, such as `standardize`, must not change.
    checkpoint : str, os.PathLike, Checkpoint or None, default=None
        File in which `fit` saves its training every 30 seconds, or as the `Checkpoint` says. The
        same `fit` resumes from it after an interruption, or continues with a larger `max_iter`.
    verbose : int or bool, default=0
        If above 0, print the progress, at most a few lines a second, and why `fit` stopped.
    random_state : int, RandomState or None, default=None
        Seed of the initial weights, shuffling, dropout and held-out rows. Pass an int for
        reproducible results. The global random states of NumPy and torch are not used.

    Attributes
    ----------
    coefs_ : list of arrays of shape (n^[l-1], n^[l])
        Weights W^[1], …, W^[L], the last one in the units of y; with several networks, the first
        axis is `n_networks`. Those of the first layer are for inputs as `input_encoding_` encodes
        them. To change weights, assign new arrays: predictions may use copies.
    intercepts_ : list of arrays of shape (n^[l],)
        Biases b^[1], …, b^[L]; with several networks, the first axis is `n_networks`.
    layer_sizes_ : tuple of int
        n^[0], …, n^[L].
    n_layers_ : int
        L. MLPRegressor counts the input as well.
    activations_ : tuple
        Activations of the hidden layers, as passed.
    n_outputs_, out_activation_ : int, str
        Number of outputs, and "identity".
    input_encoding_ : dict of arrays or None
        The encoding from X to the inputs of the first layer; ``coefs_[0]`` and ``intercepts_[0]``
        refer to these inputs. None if they are X as it is: with ``standardize=False`` and neither
        categories nor missing values nor bins. With ``standardize=True`` and none of the three, the
        weights and biases for X as it is are::

            W = model.input_encoding_["inverse_scale"][:, None] * model.coefs_[0]
            b = model.intercepts_[0] - model.input_encoding_["center"] @ W
    column_kinds_ : list of str or None
        Kind of each column of a frame or an array of objects: "number", "date", "duration" or
        "category"; None if all columns are numbers.
    is_categorical_, categories_ : array of bool of shape (n_features,), list of arrays; or None
        Which columns are categorical, and the categories of each: the frequent ones, followed by
        rare ones if these are target-encoded. None stands for a missing value.
    n_iter_ : int
        Number of epochs. Costs and scores below are means over the networks still training.
    best_iter_ : int or list of int
        The epoch whose weights are used, counted from 1; a list for several networks.
    loss_, loss_curve_ : float, list of float
        Cost of the training rows, without regularisation, in the last epoch and in each epoch; for
        y standardised, so that the squared error of a constant prediction is 0.5.
    best_loss_ : float
        Lowest cost, of the validation set if there is one.
    validation_loss_curve_, validation_scores_ : lists of float, or None
        Cost of the validation set after each epoch, and its R² or `scoring`.
    best_validation_score_ : float or None
        Validation score in the epoch `best_iter_`.
    oob_prediction_ : array of shape (n_samples,) or (n_samples, n_outputs), or None
        Out-of-fold predictions of the training rows, each by the one of several networks that held
        it out, also of those that only choose the epoch. NaN for rows that none held out: rows of
        weight 0, and some others with fewer than 5 networks. They are slightly optimistic, because
        the held-out rows choose the best epoch.
    t_ : int
        Number of rows seen in training, counted in every epoch.
    device_ : str
        Device of the training.
    n_features_in_, feature_names_in_ : int, array of str of shape (n_features,)
        Number of columns of X, and their names if X is a frame with names.

    See Also
    --------
    DeepBinaryClassifier : The same network for binary classification.
    sklearn.neural_network.MLPRegressor : Multi-layer perceptron on the CPU.
    sklearn.linear_model.Ridge : The network with one layer.

    References
    ----------
    .. [1] I. Goodfellow, Y. Bengio, A. Courville, "Deep Learning", MIT Press, 2016, chapter 6.
    .. [2] K. He, X. Zhang, S. Ren, J. Sun, "Delving deep into rectifiers", ICCV 2015.
    .. [3] Y. Gorishniy, I. Rubachev, A. Babenko, "On embeddings for numerical features in tabular
       deep learning", NeurIPS 2022.
    .. [4] R. Koenker, G. Bassett, "Regression quantiles", Econometrica 46, 1978.

    Examples
    --------
    >>> from sklearn.datasets import load_diabetes
    >>> from sklearn.model_selection import train_test_split
    >>> from skdnn import DeepRegressor
    >>> X, y = load_diabetes(return_X_y=True)
    >>> X_train, X_test, y_train, y_test = train_test_split(X, y, random_state=0)
    >>> reg = DeepRegressor(n_networks=5, random_state=0).fit(X_train, y_train)
    >>> reg.predict(X_test).shape
    (111,)
    >>> reg.score(X_test, y_test)  # R²
    0.3
    """

    _task = REGRESSION

    @with_known_names
    def __init__(
        self,
        n_layers: int | None = None,
        n_units: int | Sequence[int] = 128,
        *,
        activation: Activation | Sequence[Activation] = "relu",
        init_scale: float | Literal["auto"] = "auto",
        optimizer: str | type[torch.optim.Optimizer] = "adam",
        learning_rate: float | Literal["auto"] = "auto",
        learning_rate_schedule: str | Callable[[float, int], float] = "auto",
        momentum: float = 0.0,
        nesterovs_momentum: bool = False,
        weight_decay: float | Literal["auto"] = "auto",
        dropout: float | Sequence[float] = 0.0,
        max_grad_norm: float | None = None,
        weight_averaging: float = 0.0,
        loss: Literal["squared_error", "absolute_error", "quantile"] = "squared_error",
        quantile: float | None = None,
        shuffle: bool = True,
        batch_size: int | Literal["auto"] | None = "auto",
        max_iter: int | Literal["auto"] = "auto",
        tol: float = 1e-4,
        n_iter_no_change: int = 10,
        early_stopping: bool | Literal["auto", "cross_validation"] = "auto",
        scoring: str | Callable[..., float] | None = None,
        validation_fraction: float = 0.1,
        standardize: bool | Literal["smooth_clip", "robust"] = "smooth_clip",
        categorical_features: Sequence | Literal["from_dtype"] | None = "from_dtype",
        target_encoding: bool | Literal["auto"] = "auto",
        numeric_embedding: Literal["auto", "piecewise_linear", "periodic"] | None = "auto",
        n_networks: int = 1,
        device: str | torch.device = "auto",
        dtype: DTypeLike | torch.dtype = "auto",
        n_threads: int | None = None,
        warm_start: bool = False,
        checkpoint: str | os.PathLike | Checkpoint | None = None,
        verbose: int | bool = 0,
        random_state: int | np.random.RandomState | None = None,
    ) -> None:
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
        self.max_grad_norm = max_grad_norm
        self.weight_averaging = weight_averaging
        self.loss = loss
        self.quantile = quantile
        self.shuffle = shuffle
        self.batch_size = batch_size
        self.max_iter = max_iter
        self.tol = tol
        self.n_iter_no_change = n_iter_no_change
        self.early_stopping = early_stopping
        self.scoring = scoring
        self.validation_fraction = validation_fraction
        self.standardize = standardize
        self.categorical_features = categorical_features
        self.target_encoding = target_encoding
        self.numeric_embedding = numeric_embedding
        self.n_networks = n_networks
        self.device = device
        self.dtype = dtype
        self.n_threads = n_threads
        self.warm_start = warm_start
        self.checkpoint = checkpoint
        self.verbose = verbose
        self.random_state = random_state

    @with_known_names
    @with_default_torch_state
    def partial_fit(
        self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None
    ) -> "DeepRegressor":
        """Update the model with one epoch over these rows.

        The optimizer continues from the last call. Means and standard deviations, also of y, are
        those of all rows so far; medians and quartiles are those of the first chunk, if a column
        varies there. New categories and missing values get inputs of their own, with initial
        weights 0. The learning rate is constant, no rows are held out, and ``weight_decay="auto"``
        is 0.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            As in `fit`.
        sample_weight : array-like of shape (n_samples,), default=None
            As in `fit`.

        Returns
        -------
        self : DeepRegressor
            The fitted estimator.

        Raises
        ------
        ValueError, TypeError
            As in `fit`, and for parameters that need all rows at once: ``early_stopping=True``,
            optimizers other than "sgd", "adam" and "adamw".
        KeyboardInterrupt
            If Ctrl-C ended the training. The estimator is then unchanged.
        """
        return self._partial_fit(X, y, sample_weight)

    @with_default_torch_state
    def predict(self, X: MatrixLike) -> np.ndarray:
        """Predict the target values for X.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) for several outputs
            In the units of y. It is float32 if the network and the numbers in X have at most 32
            bits, else float64; dates have 64 bits.
        """
        if is_dask_collection(X):
            return predict_on_dask(self, "predict", X)
        return raw_predict(self, X)

    @with_known_names
    @with_default_torch_state
    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the coefficient of determination R².

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            True values, or the name of their column if X is in files.
        sample_weight : array-like of shape (n_samples,), default=None
            Sample weights.

        Returns
        -------
        float
            ``1 - Σ w (y - ŷ)² / Σ w (y - ȳ)²``, the mean over several outputs; 1 at best, 0 for
            predicting the mean of y.

        Raises
        ------
        ValueError, TypeError
            If y or the weights are invalid, as in `fit`.
        """
        if is_dask_collection(X):
            return score_on_dask(self, X, y, sample_weight)
        y, sample_weight = read_target_and_weight(X, y, sample_weight)
        predicted, numbers = self.predict(X), normalized_numbers(y)
        weight = check_weights(sample_weight, len(predicted))
        if np.shape(numbers) != predicted.shape:
            raise ValueError(
                f"y must hold numbers of shape {predicted.shape}, got {np.shape(numbers)}."
            )
        # Scaling by a power of two is exact and keeps the squares from being 0 or infinite.
        exponent = -np.frexp(np.abs(numbers).max())[1]
        numbers, predicted = (np.ldexp(values, exponent) for values in (numbers, predicted))
        return float(r2_score(numbers, predicted, sample_weight=weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
