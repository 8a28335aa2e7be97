"""Rows that are in other processes: what a method does with them is done there."""

from collections.abc import Callable
from functools import wraps
from importlib import import_module
from typing import Any, TypeVar, cast

Method = TypeVar("Method", bound=Callable[..., Any])

# Who does it, by the library whose collection they are.
_KEEPERS = {"dask": "skdnn.distributed"}


def where_the_rows_are(method: Method) -> Method:
    """Return a method(self, X, …) that lets the keeper of rows elsewhere do it in its place."""

    @wraps(method)
    def done_there(self, X, *arguments, **options):
        keeper = _KEEPERS.get(type(X).__module__.partition(".")[0])
        if keeper is None:
            return method(self, X, *arguments, **options)
        # A package that only those need who use Dask.
        do = import_module(keeper).do_on_workers
        return do(method.__name__, self, X, *arguments, **options)

    return cast(Method, done_there)
