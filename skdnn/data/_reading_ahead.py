"""A thread that does one thing, such as to read what will be needed next, and ends."""

from threading import Thread

import numpy as np

NAME = "skdnn reads ahead"


class Ahead:
    """A call of a function that goes on in a thread of its own, and what comes of it.

    The function must not compute with torch, which has settings for each thread.

    Parameters
    ----------
    function : callable
    *arguments : as it takes them

    Examples
    --------
    >>> from skdnn.data._reading_ahead import Ahead
    >>> coming = Ahead(pow, 2, 10)
    >>> coming.result()
    1024
    """

    def __init__(self, function, *arguments):
        self._value = self._error = None
        self._thread = Thread(target=self._run, args=(function, arguments), name=NAME)
        self._thread.start()

    def _run(self, function, arguments):
        try:
            with np.errstate(all="ignore"):
                self._value = function(*arguments)
        except BaseException as error:
            self._error = error

    def wait(self):
        """Return when the thread has ended, whatever came of it."""
        self._thread.join()

    def result(self):
        """Return what the function returned, or raise what it raised."""
        self.wait()
        if self._error is not None:
            raise self._error
        return self._value
