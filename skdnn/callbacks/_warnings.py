"""Warnings that point to the line of the user's program, through whatever called us in between."""

import contextlib
import inspect
import os
import warnings

import joblib
import sklearn

# What stands between the user's line and ours, such as a search or a wrapper, is not to blame.
_OURS = os.path.dirname(os.path.dirname(__file__))
_FOLDERS = [_OURS, *map(os.path.dirname, (sklearn.__file__, joblib.__file__))]
_BETWEEN = (*[folder + os.sep for folder in _FOLDERS], contextlib.__file__)


def warn(message, category=UserWarning):
    """Warn at the nearest line outside skdnn and scikit-learn.

    Parameters
    ----------
    message : str
    category : type, default=UserWarning
    """
    level, frame = 1, inspect.currentframe()
    while frame.f_back is not None and frame.f_code.co_filename.startswith(_BETWEEN):
        level, frame = level + 1, frame.f_back
    warnings.warn(message, category, stacklevel=level)
