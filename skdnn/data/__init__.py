"""From what the user has to tensors on the device; knows no network."""

from ._batches import Batches, Epoch, count_folds, fold_out, hold_out
from ._chunks import row_chunks
from ._encoding import Encoder, fit_encoder, identity_encoder
from ._images import ImageVectorizer
from ._inputs import DenseRows, LazyRows, make_rows, tensor_chunks
from ._tables import Table, find_categorical, read_table
from ._targets import (
    apply_class_weight,
    check_two_classes,
    check_weights,
    encode_known_labels,
    encode_labels,
)
from ._tensors import as_tensor

__all__ = [
    "Batches",
    "DenseRows",
    "Encoder",
    "Epoch",
    "ImageVectorizer",
    "LazyRows",
    "Table",
    "apply_class_weight",
    "as_tensor",
    "check_two_classes",
    "check_weights",
    "count_folds",
    "encode_known_labels",
    "encode_labels",
    "find_categorical",
    "fit_encoder",
    "fold_out",
    "hold_out",
    "identity_encoder",
    "make_rows",
    "read_table",
    "row_chunks",
    "tensor_chunks",
]
