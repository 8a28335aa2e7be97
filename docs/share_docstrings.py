"""Copy common entries from DeepBinaryClassifier's docstring to DeepRegressor's.

Editors show a docstring as it is in the file, so both files contain the text. It is maintained in
``classifier.py``; run after a change there::

    python docs/share_docstrings.py
"""

import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "skdnn"
# Entries that differ in the regressor.
OWN = {
    "n_layers",
    "scoring",
    "weight_decay",
    "loss",
    "validation_fraction",
    "numeric_embedding",
    "n_networks",
    "dtype",
    "n_layers_",
    "coefs_",
    "n_outputs_, out_activation_",
    "loss_, loss_curve_",
    "validation_loss_curve_, validation_scores_",
}
# An entry of "Parameters" or "Attributes" in the docstring of a class, up to the next one.
# Its text may contain blank lines, around a list.
ENTRY = re.compile(
    r"^    (?P<name>[a-z_, ]+) : .+\n(?:^        .+\n|^\n(?=        ))+", re.MULTILINE
)


def class_docstring(source):
    """Return the start and stop of the docstring of the only class in a file."""
    start = source.index('    """', source.index("\nclass "))
    return start, source.index('"""', start + 7)


def shared(classifier, regressor):
    """Return the source of the regressor with the classifier's text of common entries."""
    start, stop = class_docstring(classifier)
    theirs = {entry["name"]: entry[0] for entry in ENTRY.finditer(classifier[start:stop])}

    def replace(entry):
        name = entry["name"]
        return entry[0] if name in OWN else theirs.get(name, entry[0])

    start, stop = class_docstring(regressor)
    return regressor[:start] + ENTRY.sub(replace, regressor[start:stop]) + regressor[stop:]


def main():
    """Update the file of the regressor."""
    classifier, regressor = (PACKAGE / f"{name}.py" for name in ("classifier", "regressor"))
    theirs, ours = (path.read_text(encoding="utf-8") for path in (classifier, regressor))
    regressor.write_text(shared(theirs, ours), encoding="utf-8")


if __name__ == "__main__":
    main()
