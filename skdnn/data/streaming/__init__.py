"""Streaming: training rows in files, with statistics from one pass and shuffled batches."""

from ._file_statistics import FileColumns, FileStatistics, Rows, TrainingFile
from ._sources import Source, combine_tables, open_source
from ._streamed_batches import StreamedBatches

__all__ = [
    "FileColumns",
    "FileStatistics",
    "Rows",
    "Source",
    "StreamedBatches",
    "TrainingFile",
    "combine_tables",
    "open_source",
]
