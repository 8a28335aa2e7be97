"""The architecture: which module may import which, and what is public."""

import ast
import inspect
from functools import cache
from pathlib import Path

import pytest

import skdnn
from skdnn.data import RealNumbers, TwoClasses
from skdnn.distributed import ProcessGroup
from skdnn.sharing import Alone

PACKAGE = Path(skdnn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

FACES = {"classifier", "images", "regressor"}
# In the order in which a fit passes through: each knows only those before it.
STATIONS = [
    "_task",
    "_parameters",
    "_examples",
    "_file_examples",
    "_plan",
    "_split",
    "_start",
    "_fitted",
    "_training",
    "_prediction",
    "_writing",
]
ROOMS_OF_A_FIT = {
    *("skdnn.data", "skdnn.network", "skdnn.sharing", "skdnn.training", "skdnn.watching"),
}
# Which skdnn modules each place may import. A room is entered by its door.
MAY_IMPORT = {
    "__init__": {
        *(f"skdnn.{face}" for face in FACES),
        *("skdnn.displays", "skdnn.meeting", "skdnn.watching"),
    },
    "distributed": {"skdnn", "skdnn.sharing", "skdnn.training"},
    "meeting": {"skdnn.data", "skdnn.network", "skdnn.sharing", "skdnn.training"},
    "displays": {"skdnn.data", "skdnn.estimator", "skdnn.images", "skdnn.network"},
    "classifier": {"skdnn.estimator", *ROOMS_OF_A_FIT},
    "regressor": {"skdnn.estimator", *ROOMS_OF_A_FIT},
    "images": {"skdnn.photographs", "skdnn.watching"},
    "estimator": ROOMS_OF_A_FIT,
    "watching": {"skdnn.data"},
    "training": {"skdnn.network", "skdnn.sharing"},
    "network": set(),
    "data": {"skdnn.sharing"},
    "sharing": set(),
    "photographs": set(),
}
ROOMS = set(MAY_IMPORT) - FACES - {"__init__"}
# What a room does not know, of the world outside.
MUST_NOT_IMPORT = {"network": {"sklearn", "PIL", "scipy"}, "training": {"sklearn", "PIL"}}
PUBLIC = {
    "ActivationDisplay",
    "Checkpoint",
    "DecisionBoundariesDisplay",
    "DeepBinaryClassifier",
    "DeepRegressor",
    "ImageVectorizer",
    "LossCurveDisplay",
    "NetworkDisplay",
    "WeightImagesDisplay",
    "together",
}
OPTIONAL = {"dask", "distributed", "matplotlib", "pandas", "polars", "pyarrow"}
NAMES_THAT_SAY_NOTHING = {"utils", "helpers", "common", "misc", "base", "core"}


@cache
def parsed(path):
    """Return a file's code as ast has it; many tests ask."""
    return ast.parse(path.read_text(encoding="utf-8"))


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


def relative(path):
    return str(path.relative_to(PACKAGE))


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_imports_point_down_and_go_through_doors(path):
    inside = {m for m, level in imported_modules(parsed(path)) if m.startswith("skdnn")}
    assert inside <= MAY_IMPORT[place(path)]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_relative_imports_stay_in_the_room(path):
    levels = [level for _, level in imported_modules(parsed(path))]
    allowed = 1 if len(path.relative_to(PACKAGE).parts) > 1 else 0
    assert max(levels, default=0) <= allowed


def test_ls_shows_faces_and_rooms_and_nothing_else():
    files = {path.stem for path in PACKAGE.glob("*.py")}
    rooms = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").exists()}
    assert files == FACES | {"__init__"}
    assert rooms == ROOMS


@pytest.mark.parametrize("station", STATIONS)
def test_a_station_knows_only_those_before_it(station):
    tree = parsed(PACKAGE / "estimator" / f"{station}.py")
    inside = {module for module, level in imported_modules(tree) if level}
    assert inside <= set(STATIONS[: STATIONS.index(station)])


def test_every_file_of_the_estimator_room_is_a_station_or_sends_through_them():
    files = {path.stem for path in (PACKAGE / "estimator").glob("*.py")}
    assert files == {*STATIONS, "_estimator", "_html", "_unknown_names", "__init__"}


def questions(kind):
    """Return the public attributes, with the arguments of what is called."""
    found = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
    return {
        name: list(inspect.signature(value).parameters) if callable(value) else None
        for name, value in found.items()
    }


def test_both_targets_answer_the_same_questions():
    assert questions(TwoClasses) == questions(RealNumbers)


def test_a_group_of_processes_answers_what_one_alone_does():
    asked, answered = questions(Alone), questions(ProcessGroup)
    methods = {name: arguments for name, arguments in asked.items() if arguments is not None}
    assert methods == {name: answered.get(name) for name in methods}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_rooms_do_not_know_the_outside_world(path):
    roots = {m.split(".")[0] for m, level in imported_modules(parsed(path)) if not level}
    assert not roots & MUST_NOT_IMPORT.get(place(path), set())


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_no_import_hides_in_a_function_but_an_optional_dependency(path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            roots = {module.split(".")[0] for module, _ in imported_modules(node)}
            assert roots <= OPTIONAL


def test_every_name_says_something():
    assert not {path.stem.strip("_") for path in FILES} & NAMES_THAT_SAY_NOTHING


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_file_says_what_it_is(path):
    assert ast.get_docstring(parsed(path))


def test_the_public_surface_is_what_all_says():
    modules = FACES | ROOMS
    public = {name for name in vars(skdnn) if not name.startswith("_")} - modules
    assert public == set(skdnn.__all__) == PUBLIC


@pytest.mark.parametrize("room", sorted(ROOMS))
def test_doors_show_what_they_say(room):
    door = __import__(f"skdnn.{room}", fromlist=["__all__"])
    assert all(hasattr(door, name) for name in door.__all__)
