"""Lines on the screen while a network learns."""

import math
import time

import numpy as np

# So that a fit of short epochs does not flood the screen.
SECONDS_BETWEEN_LINES = 0.25
SECONDS_BETWEEN_READING_LINES = 2.0


class EpochLines:
    """Prints a line after an epoch: the first, the last, and between them a few a second.

    Parameters
    ----------
    n_rows : int
        Rows of an epoch.
    score_name : str
        Of the scores of the rows to watch.
    clock : callable, default=time.perf_counter
        Gives the seconds.
    """

    def __init__(self, n_rows, score_name, clock=time.perf_counter):
        self.n_rows, self.score_name, self.clock = n_rows, score_name, clock
        self.started, self.printed, self.n_epochs = clock(), -math.inf, 0

    def __call__(self, progress):
        """Print the line of an epoch, if it is time."""
        now = self.clock()
        self.n_epochs += 1
        if progress.is_last or now - self.printed >= SECONDS_BETWEEN_LINES:
            self.printed = now
            print(self._line(progress, now - self.started))

    def _line(self, progress, seconds):
        cost = _mean(progress.costs[-1])
        parts = [f"epoch {progress.epoch}/{progress.max_iter}: cost {cost:.6f}"]
        if progress.validation_costs:
            parts += [
                f"validation cost {_mean(progress.validation_costs[-1]):.6f}",
                f"validation {self.score_name} {_mean(progress.scores[-1]):.4f}",
            ]
        rate = self.n_epochs * self.n_rows / max(seconds, 1e-9)
        return ", ".join([*parts, f"{seconds:.1f} s", f"{rate:,.0f} rows/s"])


def _mean(numbers):
    """Return the mean over the networks that were still trained."""
    return np.nanmean(numbers)


class ReadingLines:
    """Prints a line while a file is read, every other second, and the last.

    Parameters
    ----------
    n_rows : int
        Of the file.
    clock : callable, default=time.perf_counter
        Gives the seconds.
    """

    def __init__(self, n_rows, clock=time.perf_counter):
        self.n_rows, self.clock = n_rows, clock
        self.started = self.printed = clock()

    def __call__(self, n_read):
        """Print a line for so many rows, if it is time."""
        now = self.clock()
        if n_read >= self.n_rows or now - self.printed >= SECONDS_BETWEEN_READING_LINES:
            self.printed = now
            print(f"read {n_read:,} of {self.n_rows:,} rows, {now - self.started:.1f} s")
