"""The architecture: which modules may import which, and which names are public."""

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

# The files of skdnn.estimator in the order of a fit: each may import only those before it.
FIT_ORDER = [
    "_task",
    "_defaults",
    "_parameters",
    "_columns",
    "_reading",
    "_examples",
    "_file_examples",
    "_plan",
    "_split",
    "_cross_validation",
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
    "data.batches": {"skdnn.data.encoding", "skdnn.data.frames", "skdnn.processes"},
    "data.streaming": {*DATA - {"skdnn.data.streaming"}},
    "training": {"skdnn.network", "skdnn.processes"},
    "callbacks": {"skdnn.data.frames", "skdnn.network", "skdnn.training"},
    "checkpoints": {
        *("skdnn.callbacks", "skdnn.data.frames", "skdnn.processes", "skdnn.training"),
    },
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
# Libraries that a package must not import.
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
# Of the targets of classifiers only, which these use themselves.
MEMBERS_FOR_CLASSIFIERS = {"for_partial_fit", "log_probabilities", "most_probable", "probabilities"}
OPTIONAL = {"dask", "distributed", "matplotlib", "pandas", "polars", "pyarrow"}
GENERIC_NAMES = {"utils", "helpers", "common", "misc", "base", "core"}


@cache
def parsed(path):
    """Return the syntax tree of a file."""
    return ast.parse(path.read_text(encoding="utf-8"))


def place(path):
    """Return the package of a file, or the name of a module outside of the packages."""
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


def test_all_modules_and_packages_are_listed():
    modules = {path.stem for path in PACKAGE.glob("*.py")}
    packages = {place(path) for path in PACKAGE.glob("*/**/__init__.py")}
    assert modules == MODULES | {"__init__"}
    assert packages == PACKAGES


@pytest.mark.parametrize("file", FIT_ORDER)
def test_files_of_the_estimator_import_only_earlier_ones(file):
    tree = parsed(PACKAGE / "estimator" / f"{file}.py")
    imported = {module for module, level in imported_modules(tree) if level}
    assert imported <= set(FIT_ORDER[: FIT_ORDER.index(file)])


def test_the_fit_order_lists_every_file_of_the_estimator():
    files = {path.stem for path in (PACKAGE / "estimator").glob("*.py")}
    assert files == {*FIT_ORDER, "_estimator", "_html", "_unknown_names", "__init__"}


def public_members(kind):
    """Return the public attributes of a class, with the parameters of its methods."""
    found = {name: getattr(kind, name) for name in dir(kind) if not name.startswith("_")}
    return {
        name: list(inspect.signature(value).parameters) if callable(value) else None
        for name, value in found.items()
    }


def test_both_targets_have_the_same_public_members():
    of_classes, of_numbers = public_members(TwoClasses), public_members(RealNumbers)
    assert {*of_classes} - {*of_numbers} == MEMBERS_FOR_CLASSIFIERS
    assert of_numbers == {name: of_classes.get(name) for name in of_numbers}


def test_communicator_has_the_methods_of_single_process():
    single, several = public_members(SingleProcess), public_members(Communicator)
    methods = {name: arguments for name, arguments in single.items() if arguments is not None}
    assert methods == {name: several.get(name) for name in methods}


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_packages_do_not_import_forbidden_libraries(path):
    roots = {m.split(".")[0] for m, level in imported_modules(parsed(path)) if not level}
    assert not roots & MUST_NOT_IMPORT.get(place(path), set())


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_only_optional_dependencies_are_imported_inside_functions(path):
    for node in ast.walk(parsed(path)):
        if isinstance(node, ast.FunctionDef | ast.Lambda):
            roots = {module.split(".")[0] for module, _ in imported_modules(node)}
            assert roots <= OPTIONAL


def test_file_names_are_not_generic():
    assert not {path.stem.strip("_") for path in FILES} & GENERIC_NAMES


@pytest.mark.parametrize("path", FILES, ids=relative)
def test_every_file_has_a_docstring(path):
    assert ast.get_docstring(parsed(path))


def test_public_names_are_those_of_all():
    modules = {name.partition(".")[0] for name in MODULES | PACKAGES}
    public = {name for name in vars(skdnn) if not name.startswith("_")} - modules
    assert public == set(skdnn.__all__) == PUBLIC


@pytest.mark.parametrize("name", sorted(PACKAGES - {"data"}))
def test_packages_define_every_name_of_their_all(name):
    package = import_module(f"skdnn.{name}")
    assert all(hasattr(package, exported) for exported in package.__all__)
