"""DeepRegressor: a number, or several, from a vector of features.

Its parameters and its predictions. How a fit goes is in `skdnn.estimator`, how a network learns in
`skdnn.network` and `skdnn.training`.
"""

import os
from collections.abc import Callable, Sequence
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
    MatrixLike,
    NetworkEstimator,
    Number,
    OneOf,
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


NUMBERS = Task(
    target=RealNumbers,
    output=LINEAR,
    constraints={
        "loss": OneOf(tuple(LINEAR.losses)),
        "quantile": Number(0, 1, includes_low=False, or_else=(None,)),
    },
    loss=_loss,
    weigh=lambda parameters, target, y, weight, processes: weight,
    # A number says more than a yes or no: bins pay from the first rows on, with less of a penalty.
    penalty_fraction=0.03,
    rows_worth_binning=1,
    alternates_bins=False,
    out_of_fold=("oob_prediction_", lambda Z: Z[:, 0] if Z.shape[1] == 1 else Z),
)


class DeepRegressor(RegressorMixin, NetworkEstimator):
    """A real number, or several, from a vector of features, by a deep dense network.

    Linear regression is the network with one layer; this is the one with L. Layer l computes
    ``A^[l] = g(A^[l-1] W^[l] + b^[l])`` from ``A^[0] = X``, but the last one is linear,
    ``ŷ = Z^[L]``, of either sign and any size; training minimises the cost
    ``J = Σ w loss(ŷ, y) / Σ w`` [1]_. y is standardised inside, weighted, by its training rows, and
    the last layer then takes its units on itself: a constant y predicts itself.

    Parameters
    ----------
    n_layers : int or None, default=None
        L, the output layer counted: 1 is linear regression. None is 3, or ``len(n_units) + 1``
        where `n_units` is a sequence.
    n_units : int or sequence of int, default=128
        Units of every hidden layer, or of each.
    activation : str, callable or sequence of such, default="relu"
        Function g of every hidden layer, or of each: "sigmoid" (or "logistic"), "tanh", "relu",
        "leaky_relu", "identity" (or "linear"), "elu", "selu", "gelu", "silu", "mish"; or a
        differentiable function from a tensor to one of the same shape; or a torch.nn.Module class
        without parameters of its own.
    init_scale : float or "auto", default="auto"
        Standard deviation of the initial weights. "auto" is ``sqrt(gain / n^[l-1])``, with the gain
        of the activation (2 for ReLU) [2]_: 0.017 for 7200 pixels. Biases start at 0, but that of
        the output at the best single answer to the training rows, weighted. 0.0 starts from zeros,
        all biases among them, which suits one layer alone.
    optimizer : {"adam", "adamw", "sgd", "lbfgs"} or torch.optim.Optimizer class, default="adam"
        "sgd" with ``batch_size=None`` is the lecture's gradient descent. "lbfgs" takes all rows at
        once, and suits little data and one layer.
    learning_rate : float or "auto", default="auto"
        Rate α in ``W := W - α dW``. "auto" is 0.003; for "adam" and "adamw" times
        ``sqrt(256 / n)`` for more than 256 inputs n and again for as many columns of X, and
        ``sqrt(batch / 256)`` where ``batch_size="auto"`` makes longer batches; for them with one
        layer ``3 / n^[0]`` but at most 0.03. Without effect for "lbfgs".
    learning_rate_schedule : str or callable, default="auto"
        Factor of the learning rate over time: "constant", "inverse_scaling" (or "invscaling",
        ``1 / sqrt(1 + epoch)``), "cosine" (to 0 at `max_iter`), "warmup_cosine"; or a function of
        (epoch, max_iter). "auto" is "cosine" for "adam" and "adamw", else "constant".
    momentum : float, default=0.0
        Factor μ in ``v := μ v + dW``, ``W := W - α v``; for "sgd".
    nesterovs_momentum : bool, default=False
        Nesterov's variant of it.
    weight_decay : float or "auto", default="auto"
        Strength λ of the penalty ``λ/2 Σ W²`` beside the cost, biases free, with y standardised;
        for "adamw" decoupled. "auto" is ``50 / Σ w`` but at most 0.01 for "adam", 0.03 times that
        where rows are held out, and at least ``0.01 min(1, n_features / Σ w)²``, 0.3 times that for
        several networks; for "adam" with one layer ``n_features / (4 max(100, Σ w))``; else 0. Σ w
        is the number of rows where all weigh 1. One layer with "lbfgs" and ``standardize=False`` is
        scikit-learn's Ridge with ``alpha = weight_decay * Σ w``, times `n_outputs_` for several.
    dropout : float or sequence of float, default=0.0
        Share of the units of every hidden layer, or of each, that a training step leaves out.
    max_grad_norm : float or None, default=None
        Euclidean norm to which a longer gradient of a step is shortened.
    weight_averaging : float, default=0.0
        Above 0, such as 0.99, the weights are averaged over the steps, each step back counting so
        much less; the averages are what is watched, kept and predicts.
    loss : {"squared_error", "absolute_error", "quantile"}, default="squared_error"
        ``(ŷ - y)² / 2``, whose lowest mean is at the mean of y; ``|ŷ - y|``, at the median; or
        ``q (y - ŷ)`` where ŷ is too low and ``(1 - q) (ŷ - y)`` where it is too high, at the
        quantile q [4]_. Of y standardised; of several outputs the mean.
    quantile : float or None, default=None
        The q of ``loss="quantile"``, above 0 and below 1; without effect for the others.
    shuffle : bool, default=True
        Shuffle the rows before each epoch. A full batch stays in order.
    batch_size : int, "auto" or None, default="auto"
        Rows of a step. None is all of them; "auto" is all up to 64, else a thirtieth but at least
        32 and at most 256; for "adam" and "adamw" from 51,200 rows on a two-hundredth, at most
        1024. "lbfgs" takes all.
    max_iter : int or "auto", default="auto"
        Epochs at the most, or iterations. "auto" is 50; 25 from 20,000 rows on for "adam", "adamw".
    tol : float, default=1e-4
        Improvement of the cost, or of the score, that counts as one. For "lbfgs" without early
        stopping, the largest component of the gradient at which it has converged.
    n_iter_no_change : int, default=10
        Epochs without an improvement after which training ends.
    early_stopping : bool or "auto", default="auto"
        Hold out rows, watch their cost instead of the training cost, and keep the weights of the
        best epoch. "auto" does so where `scoring` is given; from 10,000 rows on, except for
        "lbfgs"; for "adam" and "adamw" from 100 to 999 and of fewer than 4 a column, but not for
        "adam" with one layer. `X_val` given to `fit` is watched instead; False only records it.
    scoring : str, callable or None, default=None
        What to watch of those rows in place of the cost, higher is better: a scorer's name, such as
        "neg_mean_absolute_error", or a function of (estimator, X, y), which gets X as it was
        passed, a frame as a frame. It gets their weights where these differ and it takes
        `sample_weight`.
    validation_fraction : float, default=0.1
        Share of the rows to hold out.
    standardize : bool, "smooth_clip" or "robust", default="smooth_clip"
        True subtracts each feature's weighted mean and divides by its standard deviation, learned
        from the training rows, both folded into the first layer, so that `coefs_` take X as it is.
        "smooth_clip" then bends far values, ``z / sqrt(1 + (z / 3)²)``, and lets those beyond the
        quartiles by five times their distance count as if they were just there; "robust" bends
        them with median and interquartile range. A feature that never varies is ignored. A missing
        number becomes 0, with an input beside it that says so where some were missing in training.
    categorical_features : "from_dtype", sequence or None, default="from_dtype"
        Columns of X that hold levels, each of which becomes an input of 0 or 1; rare and unseen
        ones share one, missing ones have their own. "from_dtype" takes a frame's columns of
        category, text and boolean type, and of objects that are not all numbers or dates; or give
        names, indices or a mask.
    target_encoding : bool or "auto", default="auto"
        Put beside the levels of a column the mean of y in each, so that rare ones say something,
        too; for a training row that of other rows, in 5 folds, as scikit-learn's TargetEncoder has
        it. "auto" does so where rare levels that come again are in more than 2 % of the rows, True
        where there are any, `partial_fit` does not.
    numeric_embedding : "auto", "piecewise_linear" or None, default="auto"
        "piecewise_linear" puts beside each number how far it is through each of 16 bins of as many
        training rows each, so that the first layer can bend there [3]_. "auto" does so for "adam"
        and "adamw" with hidden layers that are not linear: for up to 200 numeric columns, beyond
        16 only where the numbers that come of it fit into a quarter of a GB; for sparse X never.
    n_networks : int, default=1
        Networks to train side by side, their predictions averaged. Unless early stopping is False
        each holds out another fold of the rows (of 5 at least), and keeps its own best epoch.
    device : str or torch.device, default="auto"
        "cpu", "cuda", "cuda:1"; "auto" is CUDA where there is such a device.
    dtype : {"auto", "float32", "float64"} or dtype, default="auto"
        Of the network. "auto" is float64 for data of 64 bits of fewer than 1,000 rows, for
        ``optimizer="lbfgs"`` and for `partial_fit`; for more rows, on CUDA, for data in float32 or
        float16 and for frames with levels it is float32, unless float32 could not tell the numbers
        of y apart: such as are far from zero for their deviation, beyond 1e30 or below 1e-30.
        Numbers are standardised in float64 before, and what is predicted for data of 64 bits is in
        float64.
    n_threads : int or None, default=None
        Threads of the processor, for `fit` and predictions. None is one where the work is small,
        else as many as torch is set to. Set 1 where fits run in threads beside each other; where
        they run in processes (``n_jobs`` of scikit-learn), joblib sees to it.
    warm_start : bool, default=False
        Let `fit` go on from the weights of the last fit, for up to `max_iter` epochs more, with a
        new optimizer; the curves grow.
    checkpoint : str, os.PathLike, Checkpoint or None, default=None
        File in which `fit` saves its training, every 30 seconds or as a `Checkpoint` says, and from
        which the same fit is resumed after it was killed, or continued with a larger `max_iter`.
    verbose : int or bool, default=0
        Above 0, print lines after epochs, at most a few a second, and why and where `fit` stopped.
    random_state : int, RandomState or None, default=None
        Decides initial weights, shuffles, dropout and held-out rows. None differs from call to
        call, and leaves NumPy's and torch's global random states alone.

    Attributes
    ----------
    coefs_ : list of arrays of shape (n^[l-1], n^[l])
        W^[1], …, W^[L], the last of them in the units of y; of several networks, with a first axis
        of `n_networks`.
    intercepts_ : list of arrays of shape (n^[l],)
        b^[1], …, b^[L]; the same.
    layer_sizes_ : tuple of int
        n^[0], …, n^[L].
    n_layers_ : int
        L. (MLPRegressor counts the input as well.)
    activations_ : tuple
        Of the hidden layers, as they were given.
    n_outputs_, out_activation_ : int, str
        The numbers that y has for each row, and "identity".
    input_encoding_ : dict of arrays or None
        What makes of X the inputs of the first layer; None where that is folded into the layer,
        with ``standardize=True`` and no levels.
    column_kinds_ : list of str or None
        What each column of a frame, or of an array of objects, held in `fit`: "number", "date",
        "duration" or "category"; None where all are numbers.
    is_categorical_, categories_ : array of bool of shape (n_features,), list of arrays; or None
        Which columns hold levels, and for each of them the levels, None for missing: those told
        apart, and behind them rare ones, where their means are told.
    n_iter_ : int
        Epochs trained; costs and scores below are means over the networks that then still were.
    best_iter_ : int or list of int
        The epoch whose weights were kept, counted from 1, for each of several networks.
    loss_, loss_curve_ : float, list of float
        Cost of the training rows, without penalty, in the last epoch and in each. Of y
        standardised: a squared error of 0.5 explains nothing.
    best_loss_ : float
        Lowest cost, of the rows to watch where there are some.
    validation_loss_curve_, validation_scores_ : lists of float, or None
        Cost of the rows to watch after each epoch, and their R² or what `scoring` says.
    best_validation_score_ : float or None
        The score in the epoch whose weights were kept.
    oob_prediction_ : array of shape (n_samples,) or (n_samples, n_outputs), or None
        Prediction of each training row by that one of several networks that held it out. NaN
        where none did: for rows of weight 0, and with fewer than 5 networks for some others.
        Slightly optimistic, since held-out rows choose the epoch whose weights are kept.
    t_ : int
        Rows seen in training, each as often as it was.
    device_ : str
        Where the network was trained.
    n_features_in_, feature_names_in_ : int, array of str of shape (n_features,)
        Columns of X, and their names where it is a frame that has some.

    See Also
    --------
    DeepBinaryClassifier : Yes or no, by the same network with a sigmoid at its end.
    sklearn.neural_network.MLPRegressor : The same idea on the CPU.
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

    _task = NUMBERS

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
        early_stopping: bool | Literal["auto"] = "auto",
        scoring: str | Callable[..., float] | None = None,
        validation_fraction: float = 0.1,
        standardize: bool | Literal["smooth_clip", "robust"] = "smooth_clip",
        categorical_features: Sequence | Literal["from_dtype"] | None = "from_dtype",
        target_encoding: bool | Literal["auto"] = "auto",
        numeric_embedding: Literal["auto", "piecewise_linear"] | None = "auto",
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
        """Train on for one epoch, on these rows.

        The optimizer goes on where the last call left it. Means and deviations, of y as well, are
        those of all rows so far; median and quartiles are those of the first chunk, if a feature
        varies there. Levels that come later, and gaps, get inputs of their own, whose weights start
        at 0. The learning rate is constant, no rows are held out, and ``weight_decay="auto"`` is 0.

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
            The estimator itself, fitted.

        Raises
        ------
        ValueError, TypeError
            As in `fit`, and for what needs all rows at once: ``early_stopping=True``, optimizers
            other than "sgd", "adam" and "adamw".
        KeyboardInterrupt
            If Ctrl-C ended the training. The estimator is then as it was before.
        """
        return self._partial_fit(X, y, sample_weight)

    @with_default_torch_state
    def predict(self, X: MatrixLike) -> np.ndarray:
        """Return the number, or numbers, of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        array of shape (n_samples,), or (n_samples, n_outputs) where y had several
            In the units of y. In float32 where the network and the numbers in X have at most 32
            bits, else in float64; dates count as float64, categories not at all.
        """
        if is_dask_collection(X):
            return predict_on_dask(self, "predict", X)
        return raw_predict(self, X)

    @with_known_names
    @with_default_torch_state
    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return R², the share of the variance of y that is predicted.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.
        y : array-like of shape (n_samples,) or (n_samples, n_outputs)
            The numbers, or where X is in a file their column.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            ``1 - Σ w (y - ŷ)² / Σ w (y - ȳ)²``, of several outputs the mean: 1 at best, 0 for the
            mean of y.

        Raises
        ------
        ValueError, TypeError
            If numbers or weights are none that `fit` would take.
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
        # A power of two changes no digit, and keeps squares from being 0 or infinite.
        exponent = -np.frexp(np.abs(numbers).max())[1]
        numbers, predicted = (np.ldexp(part, exponent) for part in (numbers, predicted))
        return float(r2_score(numbers, predicted, sample_weight=weight))

    def __sklearn_tags__(self) -> Tags:
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = True
        return tags
