"""One fit shared by several processes, on one machine or many.

`_launch` connects the processes of a launcher, `_dask` the workers of Dask. They exchange data by a
`_communicator`; `_failures` ends all of them if one fails. The result is an ordinary estimator,
which holds nothing of the processes.
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
