"""What the two estimators share: fit and predict, from parameters and data to fitted attributes.

`_estimator` is the outline of a fit. Its steps, one module each, in order; a module imports only
those above it:

- `_task`: what the two estimators differ in;
- `_parameters`: the constraints of the parameters;
- `_defaults`: the values of "auto";
- `_columns`: the kinds and categories of the columns of X;
- `_reading`: X and y, checked as scikit-learn does;
- `_examples`, `_file_examples`: X, y, weights and validation set, in memory or in files;
- `_plan`: the settings that the parameters resolve to for these data;
- `_split`: the training rows and the validation set;
- `_initialized_network`: a network with initial weights, and its optimizer;
- `_fitted_attributes`: the attributes that end in "_";
- `_training`: the training, with callbacks, a scorer and a checkpoint;
- `_prediction`, `_writing`: predictions, returned or written to a file.

`_unknown_names` suggests names for unknown parameters, `_html` shows the layers in a notebook.
"""

from ._defaults import DEFAULTS
from ._estimator import Activation, NetworkEstimator
from ._parameters import Interval, Options, to_python
from ._prediction import MatrixLike, raw_predict, read_target_and_weight
from ._task import Task
from ._unknown_names import with_known_names

__all__ = [
    "DEFAULTS",
    "Activation",
    "Interval",
    "MatrixLike",
    "NetworkEstimator",
    "Options",
    "Task",
    "raw_predict",
    "read_target_and_weight",
    "to_python",
    "with_known_names",
]
