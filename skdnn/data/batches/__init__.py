"""Batches: rows in memory, split, encoded, shuffled and cut into mini-batches."""

from ._batches import Batches, Epoch, outputs, pieces, sizes_of_slabs
from ._inputs import DenseRows, LazyRows, RowsOfNetworks, TableRows, make_rows, network_inputs
from ._own_batches import OwnBatches
from ._splits import count_folds, fold_out, hold_out
from ._stacked_batches import StackedBatches

__all__ = [
    "Batches",
    "DenseRows",
    "Epoch",
    "LazyRows",
    "OwnBatches",
    "RowsOfNetworks",
    "StackedBatches",
    "TableRows",
    "count_folds",
    "fold_out",
    "hold_out",
    "make_rows",
    "network_inputs",
    "outputs",
    "pieces",
    "sizes_of_slabs",
]
