"""One fit shared by several processes, on one machine or many.

How processes of a launcher find each other is in `_launch`, what they ask each other in
`_group`, how all of them end where one fails in `_failing`. Workers of Dask meet in `_on_dask`. The
result is an ordinary estimator, which knows nothing of processes.
"""

from ._communicator import Communicator
from ._dask import fit_on_dask, is_dask_collection, predict_on_dask, score_on_dask
from ._launch import data_parallel

__all__ = [
    "Communicator",
    "data_parallel",
    "fit_on_dask",
    "is_dask_collection",
    "predict_on_dask",
    "score_on_dask",
]
