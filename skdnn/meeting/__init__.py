"""Fits that meet are trained as one stack: a search in one engine.

joblib runs each task in a thread of its own, `_backend`; a fit in such a thread does all by itself
up to its training and waits there for others, `_meeting`; those that fit together, `_request`,
become one stack, `_stack`, which is trained as ever.
"""

from ._backend import together

__all__ = ["together"]
