"""The architecture: which module may import which, and what is public."""

import ast
import inspect
from functools import cache
from importlib import import_module
from pathlib import Path

import pytest

import skdnn
from skdnn.data.targets import RealNumbers, TwoClasses
from skdnn.distributed import Communicator
from skdnn.processes import SingleProcess

PACKAGE = Path(skdnn.__file__).parent
FILES = sorted(PACKAGE.rglob("*.py"))

# In the order in which a fit passes through: each knows only those before it.
STATIONS = [
    "_task",
    "_parameters",
    "_examples",
    "_file_examples",
    "_plan",
    "_split",
    "_initialized_network",
    "_fitted_attributes",
    "_training",
    "_prediction",
    "_writing",
]
DATA = {f"skdnn.data.{name}" for name in ("frames", "encoding", "targets", "batches", "streaming")}
# Which packages each package may import, the lowest first; a package is entered by its __init__.
MAY_IMPORT = {
    "processes": set(),
    "network": set(),
    "data": set(),
    "data.frames": {"skdnn.processes"},
    "data.encoding": {"skdnn.data.frames", "skdnn.processes"},
    "data.targets": {"skdnn.data.encoding", "skdnn.data.frames", "skdnn.processes"},
    "data.batches": {"skdnn.data.frames", "skdnn.processes"},
    "data.streaming": {*DATA - {"skdnn.data.streaming"}},
    "training": {"skdnn.network", "skdnn.processes"},
    "callbacks": {"skdnn.data.frames"},
    "checkpoints": {"skdnn.callbacks", "skdnn.data.frames"},
    "images": {"skdnn.callbacks"},
    "distributed": {"skdnn._version", "skdnn.processes", "skdnn.training"},
    "estimator": {
        *DATA,
        *("skdnn.callbacks", "skdnn.checkpoints", "skdnn.distributed"),
        *("skdnn.network", "skdnn.processes", "skdnn.training"),
    },
    "classifier": {
        *("skdnn.checkpoints", "skdnn.data.targets", "skdnn.distributed"),
        *("skdnn.estimator", "skdnn.network", "skdnn.training"),
    },
    "regressor": {
        *("skdnn.checkpoints", "skdnn.data.targets", "skdnn.distributed"),
        *("skdnn.estimator", "skdnn.network", "skdnn.training"),
    },
    "displays": {"skdnn.data.frames", "skdnn.estimator", "skdnn.images", "skdnn.network"},
    "parallel": {"skdnn.data.batches", "skdnn.network", "skdnn.processes", "skdnn.training"},
    "_version": set(),
    "__init__": {
        "skdnn._version",
        *("skdnn.checkpoints", "skdnn.classifier", "skdnn.displays"),
        *("skdnn.images", "skdnn.parallel", "skdnn.regressor"),
    },
}
MODULES = {"_version", "classifier", "regressor"}
PACKAGES = set(MAY_IMPORT) - MODULES - {"__init__"}
# Libraries that a package does without.
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
    """Return the package of a file, or the name of a module beside the packages."""
    *folders, file = path.relative_to(PACKAGE).with_suffix("").parts
    return ".".join(folders) or file


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
def test_imports_point_down_and_enter_a_package_by_its_init(path):
    inside = {m for m, level in imported_modules(parsed(path)) if m.startswith("skdnn")}
    assert inside <= MAY_IMPORT[place(path)]


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_relative_imports_stay_in_the_package(path):
    levels = [level for _, level in imported_modules(parsed(path))]
    allowed = 1 if len(path.relative_to(PACKAGE).parts) > 1 else 0
    assert max(levels, default=0) <= allowed


def test_there_are_no_other_modules_and_packages():
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    packages = {place(path) for path in PACKAGE.glob("*/**/__init__.py")}
    assert modules == MODULES | {"__init__"}
    assert packages == PACKAGES


@pytest.mark.parametrize("station", STATIONS)
def test_a_station_knows_only_those_before_it(station):
    tree = parsed(PACKAGE / "estimator" / f"{station}.py")
    inside = {module for module, level in imported_modules(tree) if level}
    assert inside <= set(STATIONS[: STATIONS.index(station)])


def test_every_file_of_the_estimator_is_a_station_or_uses_them():
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
    asked, answered = questions(SingleProcess), questions(Communicator)
    methods = {name: arguments for name, arguments in asked.items() if arguments is not None}
    assert methods == {name: answered.get(name) for name in methods}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_packages_do_without_some_libraries(path):
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
    modules = {name.partition(".")[0] for name in MODULES | PACKAGES}
    public = {name for name in vars(skdnn) if not name.startswith("_")} - modules
    assert public == set(skdnn.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PACKAGES - {"data"}))
def test_packages_have_what_their_all_lists(name):
    package = import_module(f"skdnn.{name}")
    assert all(hasattr(package, exported) for exported in package.__all__)
