"""Streaming: rows in files, with statistics learned in one pass and shuffled batches."""

from ._file_rows import FileColumns, Rows, Survey, TaughtFile
from ._files import concatenated, open_source
from ._streamed_batches import StreamedBatches

__all__ = [
    "FileColumns",
    "Rows",
    "StreamedBatches",
    "Survey",
    "TaughtFile",
    "concatenated",
    "open_source",
]
