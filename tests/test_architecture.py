"""The house: who may import whom, how long files and functions may be, what is public."""

import ast
from pathlib import Path
from statistics import median

import pytest

import skdnn

PACKAGE = Path(skdnn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# Which skdnn modules each place may import. A room is entered by its door.
MAY_IMPORT = {
    "__init__": {"skdnn.classifier", "skdnn.data", "skdnn.displays", "skdnn.watching"},
    "displays": {"skdnn.classifier", "skdnn.data", "skdnn.network"},
    "classifier": {
        "skdnn._assembly",
        "skdnn._fitted",
        "skdnn._html",
        "skdnn._parameters",
        "skdnn._plan",
        "skdnn._predicting",
        "skdnn._reading",
        "skdnn.training",
        "skdnn.watching",
    },
    "_html": {"skdnn.network"},
    "_predicting": {
        "skdnn._fitted",
        "skdnn._logits",
        "skdnn._reading",
        "skdnn.data",
        "skdnn.training",
    },
    "_logits": {
        "skdnn._fitted",
        "skdnn._parameters",
        "skdnn.data",
        "skdnn.network",
        "skdnn.training",
    },
    "_fitted": {"skdnn._assembly", "skdnn.data", "skdnn.network"},
    "_assembly": {
        "skdnn._telling",
        "skdnn.data",
        "skdnn.network",
        "skdnn.training",
        "skdnn.watching",
    },
    "_plan": {"skdnn._parameters", "skdnn.data"},
    "_parameters": {"skdnn.data", "skdnn.network", "skdnn.training", "skdnn.watching"},
    "_reading": {"skdnn._telling", "skdnn.data"},
    "watching": {"skdnn._telling", "skdnn.data"},
    "_telling": set(),
    "training": {"skdnn.network"},
    "network": set(),
    "data": set(),
}
# What a room does not know, of the world outside.
MUST_NOT_IMPORT = {"network": {"sklearn", "PIL", "scipy"}, "training": {"sklearn", "PIL"}}
PUBLIC = {
    "ActivationDisplay",
    "Checkpoint",
    "DecisionBoundariesDisplay",
    "DeepBinaryClassifier",
    "ImageVectorizer",
    "LossCurveDisplay",
    "NetworkDisplay",
    "WeightImagesDisplay",
}
OPTIONAL = {"matplotlib"}
NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "common", "misc", "base", "core"}


def place(path):
    """Return the room of a file, or its own name where it stands beside the rooms."""
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported_modules(tree):
    """Yield (module, level) of every import statement."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((alias.name, 0) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or "", node.level


def functions(path):
    """Yield the functions of a file with the number of lines of their code."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            body = node.body
            has_docstring = isinstance(body[0], ast.Expr) and isinstance(
                body[0].value, ast.Constant
            )
            first = body[1] if has_docstring and len(body) > 1 else body[0]
            yield node.name, body[-1].end_lineno - first.lineno + 1


def relative(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_point_down_and_go_through_doors(path):
    inside = {
        m for m, level in imported_modules(ast.parse(path.read_text())) if m.startswith("skdnn")
    }
    assert inside <= MAY_IMPORT[place(path)]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_relative_imports_stay_in_the_room(path):
    levels = [level for _, level in imported_modules(ast.parse(path.read_text()))]
    allowed = 1 if len(path.relative_to(PACKAGE).parts) > 1 else 0
    assert max(levels, default=0) <= allowed


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_rooms_do_not_know_the_outside_world(path):
    roots = {
        m.split(".")[0] for m, level in imported_modules(ast.parse(path.read_text())) if not level
    }
    assert not roots & MUST_NOT_IMPORT.get(place(path), set())


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_import_hides_in_a_function_but_an_optional_dependency(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            roots = {module.split(".")[0] for module, _ in imported_modules(node)}
            assert roots <= OPTIONAL


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_files_and_functions_are_short(path):
    assert len(path.read_text().splitlines()) <= 500
    too_long = {name: lines for name, lines in functions(path) if lines > 60}
    assert not too_long


def test_the_median_function_is_under_twelve_lines():
    assert median(lines for path in FILES for _, lines in functions(path)) < 12


def test_every_name_says_something():
    assert not {path.stem.strip("_") for path in FILES} & NAMES_THAT_SAY_NOTHING


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_file_says_what_it_is(path):
    assert ast.get_docstring(ast.parse(path.read_text()))


def test_the_public_surface_is_what_all_says():
    modules = {"classifier", "data", "displays", "network", "training", "watching"}
    public = {name for name in vars(skdnn) if not name.startswith("_")} - modules
    assert public == set(skdnn.__all__) == PUBLIC


@pytest.mark.parametrize("room", ["data", "displays", "network", "training", "watching"])
def test_doors_show_what_they_say(room):
    door = __import__(f"skdnn.{room}", fromlist=["__all__"])
    assert all(hasattr(door, name) for name in door.__all__)
