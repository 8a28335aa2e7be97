"""Consistency of the repository: versions, links, workflows, dependencies, imported modules."""

import ast
import re
import subprocess
import sys
from importlib.metadata import metadata
from pathlib import Path

import pytest

import skdnn

ROOT = Path(__file__).parents[1]
TEXTS = [*ROOT.glob("*.md"), *ROOT.glob(".github/**/*.*"), ROOT / "CITATION.cff"]
SOURCE = "https://github.com/skdnn/skdnn"
SITE = "https://skdnn.github.io/skdnn/"
IMPORTED_AS = {"pillow": "PIL", "scikit-learn": "sklearn"}
# The parts of its dependencies that skdnn imports.
NEEDED = (
    "filelock, numpy, torch, PIL.Image, sklearn.metrics, sklearn.model_selection, sklearn.pipeline"
)


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def roots_after(statement):
    """Return the packages loaded after a statement in a fresh process."""
    program = f"{statement}; import sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    command = [sys.executable, "-c", program]
    run = subprocess.run(command, capture_output=True, encoding="utf-8", check=True)
    return set(run.stdout.split())


def source_of(page):
    """Return the source of a page of the site."""
    if page.startswith("gallery/"):
        return ROOT / "examples" / f"{page.removeprefix('gallery/')}.py"
    return ROOT / "docs" / f"{page}.rst"


@pytest.mark.slow
def test_the_import_loads_nothing_but_what_torch_and_scikit_learn_load():
    try_callbacks = "exec('try: import sklearn.callback\\nexcept ImportError: pass')"
    needed = roots_after(f"import {NEEDED}; {try_callbacks}")
    assert roots_after("import skdnn") - needed == {"skdnn"}


def required(extra=None):
    """Return the import names of the requirements of skdnn, with or without an extra."""
    project = pytest.importorskip("tomllib").loads(read("pyproject.toml"))["project"]
    given = project["dependencies"] + project["optional-dependencies"].get(extra, [])
    names = {re.match(r"[\w-]+", requirement)[0] for requirement in given}
    return {IMPORTED_AS.get(name, name.replace("-", "_")) for name in names}


def imported_by(tree):
    """Return the packages that a file imports."""
    for node in tree:
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            yield node.module.split(".")[0]


def test_imports_of_the_package_are_declared_dependencies():
    optional = {"pandas", "polars", "pyarrow", "dask", "distributed", "matplotlib", "skdnn"}
    imported = set()
    for path in ROOT.glob("skdnn/**/*.py"):
        imported |= {*imported_by(ast.walk(ast.parse(path.read_text(encoding="utf-8"))))}
    assert imported - sys.stdlib_module_names - optional == required()


def test_top_level_imports_of_tests_are_in_the_extra_test():
    """Tests of optional libraries use pytest.importorskip."""
    here = {path.stem for path in ROOT.glob("tests/**/*.py")} | {"skdnn"}
    for path in ROOT.glob("tests/**/*.py"):
        tree = ast.parse(path.read_text(encoding="utf-8"))
        foreign = {*imported_by(tree.body)} - sys.stdlib_module_names - here
        assert foreign - required("test") == set(), path


def test_all_versions_are_equal():
    assert metadata("skdnn")["Version"] == skdnn.__version__
    assert re.search(r"^version: (.*)$", read("CITATION.cff"), re.MULTILINE)[1] == skdnn.__version__
    assert re.search(r"^## (\S+)", read("CHANGELOG.md"), re.MULTILINE)[1] == skdnn.__version__


def test_addresses_belong_to_the_project():
    urls = dict(url.split(", ") for url in metadata("skdnn").get_all("Project-URL"))
    assert urls["Source"] == SOURCE
    assert urls["Documentation"] == SITE


@pytest.mark.parametrize("path", TEXTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_into_the_repository_and_the_site_have_targets(path):
    text = path.read_text(encoding="utf-8")
    files = re.findall(rf"{SOURCE}/(?:blob|tree)/main/([^)\s#]+)", text)
    pages = re.findall(rf"{SITE}([^)\s#]+)\.html", text)
    assert [file for file in files if not (ROOT / file).exists()] == []
    assert [page for page in pages if not source_of(page).exists()] == []


def test_workflows_and_the_gate_call_sessions_that_exist():
    sessions = set(re.findall(r"@nox\.session.*\ndef (\w+)\(", read("noxfile.py")))
    calls = [*(ROOT / ".github" / "workflows").glob("*.yml"), ROOT / ".ci" / "run"]
    called = set()
    for path in calls:
        for names in re.findall(r"nox (?:-s|--session) ([\w ]+)", path.read_text(encoding="utf-8")):
            called |= set(names.split())
    assert called == sessions


def test_the_gate_and_the_nox_session_run_the_same_tests():
    (command,) = re.findall(r"<!-- test command -->\n```bash\n(.*)\n```", read("README.md"))
    assert command == 'pip install -e ".[test]" && pytest -n 2 --dist loadfile'
    session = '"-e", ".[all-tests]")\n    session.run("python", "-m", "pytest", *IN_PARALLEL'
    assert session in read("noxfile.py")
    assert 'IN_PARALLEL = ("-n", "2", "--dist", "loadfile")' in read("noxfile.py")
    assert 'pip install --quiet -e ".[all-tests]"\n' in read(".ci/run")
