"""Mini-batches of rows in memory: hold-out, encoding, shuffling and splitting into batches."""

from ._batches import Batches, Epoch, micro_batch_sizes, row_tensor, split_sizes
from ._inputs import (
    DenseRows,
    OnDemandRows,
    RowsOfEachNetwork,
    TableRows,
    make_rows,
    network_inputs,
)
from ._splits import N_FOLDS, count_folds, hold_out, make_folds
from ._stacked_batches import StackedBatches

__all__ = [
    "N_FOLDS",
    "Batches",
    "DenseRows",
    "Epoch",
    "OnDemandRows",
    "RowsOfEachNetwork",
    "StackedBatches",
    "TableRows",
    "count_folds",
    "hold_out",
    "make_folds",
    "make_rows",
    "micro_batch_sizes",
    "network_inputs",
    "row_tensor",
    "split_sizes",
]
