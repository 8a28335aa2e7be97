"""Independent fits, such as those of a search, trained together as one stack of networks.

`_backend` is a joblib backend that runs each task in a thread. A fit in such a thread waits in
`_scheduler` before its training. Compatible requests, see `_request`, are trained by `_stack`.
"""

from ._backend import together

__all__ = [
    "together",
]
