"""From what the user has to tensors on the device; knows no network."""

from ._batches import Batches, Epoch
from ._chunks import row_chunks
from ._column_tables import column_tables
from ._columns import kinds_of_categories, shown
from ._encoding import Encoder, fit_encoder, identity_encoder
from ._file_rows import FileColumns, Rows, Survey, TaughtFile, recoded
from ._files import concatenated, open_source
from ._inputs import (
    DenseRows,
    LazyRows,
    RowsOfNetworks,
    TableRows,
    make_rows,
    network_inputs,
)
from ._labels import TwoClasses, announced_classes, of_both_classes
from ._level_means import columns_with_means, deal_into_folds, means_of_other_folds
from ._own_batches import OwnBatches
from ._real_numbers import RealNumbers
from ._replacing import find_regular_file, replaceable_path, replacing
from ._sources import at_hand, is_of_sparse_columns, is_plain, take_rows
from ._splits import count_folds, fold_out, hold_out
from ._stacked_batches import StackedBatches
from ._statistics import column_limits, columns_with_infinity, is_far_outside
from ._streamed_batches import StreamedBatches
from ._tables import Table, add_levels, find_kinds, read_columns
from ._targets import encode_groups, plain_labels, plain_numbers
from ._tensors import as_tensor, to_host
from ._text import text_warnings
from ._weights import apply_class_weight, check_weights

__all__ = [
    "Batches",
    "DenseRows",
    "Encoder",
    "Epoch",
    "FileColumns",
    "LazyRows",
    "OwnBatches",
    "RealNumbers",
    "Rows",
    "RowsOfNetworks",
    "StackedBatches",
    "StreamedBatches",
    "Survey",
    "Table",
    "TableRows",
    "TaughtFile",
    "TwoClasses",
    "add_levels",
    "announced_classes",
    "apply_class_weight",
    "as_tensor",
    "at_hand",
    "check_weights",
    "column_limits",
    "column_tables",
    "columns_with_infinity",
    "columns_with_means",
    "concatenated",
    "count_folds",
    "deal_into_folds",
    "encode_groups",
    "find_kinds",
    "find_regular_file",
    "fit_encoder",
    "fold_out",
    "hold_out",
    "identity_encoder",
    "is_far_outside",
    "is_of_sparse_columns",
    "is_plain",
    "kinds_of_categories",
    "make_rows",
    "means_of_other_folds",
    "network_inputs",
    "of_both_classes",
    "open_source",
    "plain_labels",
    "plain_numbers",
    "read_columns",
    "recoded",
    "replaceable_path",
    "replacing",
    "row_chunks",
    "shown",
    "take_rows",
    "text_warnings",
    "to_host",
]
