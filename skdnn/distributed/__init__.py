"""One fit shared by several processes, on one machine or many.

How processes of a launcher find each other is in `_launch`, what they ask each other in
`_group`, how all of them end where one fails in `_failing`. Workers of Dask meet in `_on_dask`. The
result is an ordinary estimator, which knows nothing of processes.
"""

from ._group import ProcessGroup
from ._launch import data_parallel
from ._on_dask import do_on_workers

__all__ = ["ProcessGroup", "data_parallel", "do_on_workers"]
