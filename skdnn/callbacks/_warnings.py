"""Warnings that point to the line of the user's program."""

import contextlib
import inspect
import os
import warnings

import joblib
import sklearn

# Frames of these libraries, such as a search or a wrapper, are skipped on the way to that line.
_SKDNN = os.path.dirname(os.path.dirname(__file__))
_FOLDERS = [_SKDNN, *map(os.path.dirname, (sklearn.__file__, joblib.__file__))]
_SKIPPED = (*[folder + os.sep for folder in _FOLDERS], contextlib.__file__)


def warn(message: str, category: type[Warning] = UserWarning) -> None:
    """Warn at the nearest line outside skdnn, scikit-learn and joblib.

    Parameters
    ----------
    message : str
    category : type of Warning, default=UserWarning
    """
    level, frame = 1, inspect.currentframe()
    while frame and frame.f_back and frame.f_code.co_filename.startswith(_SKIPPED):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
