"""What a fitted classifier answers: logits, probabilities, labels, and itself as a torch module."""

from typing import TypeAlias

import numpy as np
import torch
from numpy.typing import ArrayLike
from scipy import sparse
from scipy.special import expit, log_expit
from sklearn.utils.validation import check_is_fitted, column_or_1d

from skdnn._fitted import fitted_module
from skdnn._logits import fitted_logits, is_plainly_valid
from skdnn._reading import read_data
from skdnn.data import check_weights, plain_labels
from skdnn.training import plainly

MatrixLike: TypeAlias = ArrayLike | sparse.sparray | sparse.spmatrix


def _of_both(function, Z):
    """Return a function of the logits of both classes, of shape (n_samples, 2)."""
    both = np.empty((len(Z), 2), Z.dtype)
    function(-Z, out=both[:, 0])
    function(Z, out=both[:, 1])
    return both


class PredictionMixin:
    """The methods of a fitted DeepBinaryClassifier."""

    classes_: np.ndarray

    @plainly
    def decision_function(self, X: MatrixLike) -> np.ndarray:
        """Return the logit Z^[L] of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        array of shape (n_samples,)
            ``log(p / (1 - p))`` with p the probability of ``classes_[1]``; above 0 where that is
            predicted. In float32 where both the network and X have no more digits, else in float64.
        """
        return self._logits(X)

    def _logits(self, X):
        if not hasattr(self, "coefs_"):
            check_is_fitted(self)  # tells; and takes longer than one row through the network
        if is_plainly_valid(self, X):
            return fitted_logits(self, X, has_gaps=False)
        return fitted_logits(self, read_data(self, X))

    @plainly
    def predict_proba(self, X: MatrixLike) -> np.ndarray:
        """Return the probabilities of both classes.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        array of shape (n_samples, 2)
            Columns in the order of `classes_`.
        """
        return _of_both(expit, self._logits(X))

    @plainly
    def predict_log_proba(self, X: MatrixLike) -> np.ndarray:
        """Return the logarithms of the probabilities, finite where those are too small for a float.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        array of shape (n_samples, 2)
            Columns in the order of `classes_`.
        """
        return _of_both(log_expit, self._logits(X))

    @plainly
    def predict(self, X: MatrixLike) -> np.ndarray:
        """Return the more probable class of each row.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.

        Returns
        -------
        array of shape (n_samples,)
            Of `classes_`.
        """
        return self._labels(X)

    def _labels(self, X):
        positive = self._logits(X) > 0
        return self.classes_[positive.astype(np.intp)]

    @plainly
    def score(self, X: MatrixLike, y: ArrayLike, sample_weight: ArrayLike | None = None) -> float:
        """Return the accuracy, the share of rows whose class is predicted.

        Parameters
        ----------
        X : {array-like, sparse matrix, data frame, tensor} of shape (n_samples, n_features)
            As in `fit`.
        y : array-like of shape (n_samples,)
            The labels.
        sample_weight : array-like of shape (n_samples,), default=None
            Weights of the rows.

        Returns
        -------
        float
            From 0 to 1.

        Raises
        ------
        ValueError, TypeError
            If labels or weights are none that `fit` would take, but for labels of neither class,
            which are wrong.
        """
        predicted = self._labels(X)
        labels = column_or_1d(plain_labels(y), warn=True)
        if len(labels) != len(predicted):
            raise ValueError(
                f"y must hold one label for each of {len(predicted)} rows, got {len(labels)}."
            )
        is_right = labels.astype(object) == predicted.astype(object)
        return float(np.average(is_right, weights=check_weights(sample_weight, len(labels))))

    @plainly
    def to_module(self) -> torch.nn.Sequential:
        """Return the fitted network as a plain torch.nn.Module.

        Returns
        -------
        torch.nn.Sequential
            From a tensor X of shape (n_samples, n_features), in the network's dtype and not
            standardised, to P(y = ``classes_[1]``) of shape (n_samples,); on the CPU. A column of
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
        check_is_fitted(self)
        return fitted_module(self)
