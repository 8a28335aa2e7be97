"""What both estimators are made of: from parameters and data to fitted attributes.

One file a station, in the order in which a fit passes through, each knowing only those before it:

- what the estimators differ in `_task`;
- the parameters, checked `_parameters`;
- the examples, X, y and weights, checked `_examples`, those in files `_file_examples`;
- the plan, what the parameters come to for them `_plan`;
- the split into rows to train on and rows to watch `_split`;
- the start, a network and what is to move its weights `_start`;
- the fitted attributes `_fitted`;
- the training itself, with callbacks, scorers and checkpoints `_training`;
- the prediction `_prediction`, and that of a file `_writing`;
- errors for names of other libraries' parameters `_unknown_names`.

`_estimator` is the fit that sends them through, `_html` the picture in a notebook.
"""

from ._estimator import Activation, MatrixLike, NetworkEstimator
from ._parameters import Number, OneOf, plain
from ._prediction import columns_beside, raw_predict
from ._task import Task
from ._unknown_names import with_known_names

__all__ = [
    "Activation",
    "MatrixLike",
    "NetworkEstimator",
    "Number",
    "OneOf",
    "Task",
    "columns_beside",
    "plain",
    "raw_predict",
    "with_known_names",
]
