"""Parallel fits, such as those of a search, trained as one stack of networks.

joblib runs each task in a thread of its own, `_backend`; a fit in such a thread does all by itself
up to its training and waits there for others, `_scheduler`; compatible ones, `_request`, are
trained together, `_stack`.
"""

from ._backend import together

__all__ = [
    "together",
]
