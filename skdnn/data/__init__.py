"""From what the user has to tensors on the device; knows no network."""

from ._batches import Batches, Epoch, count_folds, fold_out, hold_out
from ._chunks import row_chunks
from ._images import ImageVectorizer
from ._inputs import DenseRows, LazyRows, make_rows, tensor_chunks
from ._standardizing import Standardizer, fit_standardizer, identity_standardizer
from ._targets import (
    apply_class_weight,
    check_two_classes,
    check_weights,
    encode_known_labels,
    encode_labels,
)

__all__ = [
    "Batches",
    "DenseRows",
    "Epoch",
    "ImageVectorizer",
    "LazyRows",
    "Standardizer",
    "apply_class_weight",
    "check_two_classes",
    "check_weights",
    "count_folds",
    "encode_known_labels",
    "encode_labels",
    "fit_standardizer",
    "fold_out",
    "hold_out",
    "identity_standardizer",
    "make_rows",
    "row_chunks",
    "tensor_chunks",
]
