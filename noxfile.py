"""Checks of a change: `nox -l` lists the sessions, `nox -s lint` runs one.

Sessions use the current environment, so that PyTorch is downloaded once; `dist` and `oldest`, which
need other versions, create environments below .nox. Choose PyTorch's build by pip's own settings,
such as PIP_CONSTRAINT or PIP_EXTRA_INDEX_URL.
"""

import re
import shutil
import tarfile
from pathlib import Path

import nox

nox.options.default_venv_backend = "none"
nox.options.sessions = ["tests", "lint", "docs", "dist", "oldest"]

ROOT = Path(__file__).parent
PIP_INSTALL = ("python", "-m", "pip", "install", "--quiet")
# Two processes; the tests of a file run in the same one and can use common fixtures.
IN_PARALLEL = ("-n", "2", "--dist", "loadfile")
OLDEST = (
    *("scikit-learn==1.6.*", "joblib==1.3.*", "numpy==2.0.*", "scipy==1.13.*"),
    "pillow==10.1.*",
)
# The tests that use scikit-learn, NumPy, SciPy and Pillow most.
OLDEST_TESTS = (
    *("tests/test_sklearn_checks.py", "tests/test_classifier.py", "tests/test_regressor.py"),
    *("tests/test_regressor_integration.py", "tests/test_bad_input.py", "tests/test_data_kinds.py"),
    *("tests/data", "tests/estimator", "tests/images", "tests/callbacks", "tests/checkpoints"),
)


@nox.session
def tests(session):
    """Run all tests with all optional libraries; arguments after `--` go to pytest."""
    session.run(*PIP_INSTALL, "-e", ".[all-tests]")
    session.run("python", "-m", "pytest", *IN_PARALLEL, *session.posargs)


@nox.session
def lint(session):
    """Run ruff, mypy and the other hooks of .pre-commit-config.yaml."""
    session.run(*PIP_INSTALL, "-e", ".[all-tests,lint]")
    session.run("pre-commit", "run", "--all-files", "--show-diff-on-failure")


@nox.session
def docs(session):
    """Build the documentation with all examples, open each page in a browser, and test SHAP."""
    session.run(*PIP_INSTALL, "-e", ".[all-tests,docs]", "shap")
    session.run(
        "sphinx-build", "-q", "-b", "html", "-W", "--keep-going", "docs", "docs/_build/html"
    )
    session.run("python", "-m", "pytest", "-q", "-m", "docs", "tests/test_docs.py")
    session.run("python", "-m", "pytest", "-q", "tests/test_explaining.py")


@nox.session(venv_backend="venv")
def oldest(session):
    """Run some tests with the oldest versions; arguments after `--` are further pins."""
    session.install("-e", ".[test]", *OLDEST, *session.posargs)
    # Two checks of scikit-learn 1.6 pass different labels to a binary classifier with weights and
    # with repetitions, and it warns with today's SciPy and pytest; later versions fix both.
    ignored = ("-W", "ignore::DeprecationWarning", "-W", "ignore::pytest.PytestRemovedIn10Warning")
    chosen = ("-k", "not sample_weight_equivalence", *OLDEST_TESTS)
    session.run("python", "-m", "pytest", "-q", *IN_PARALLEL, *ignored, *chosen)


@nox.session(venv_backend="venv")
def dist(session):
    """Build sdist and wheel; run quick tests from the sdist, and README with the wheel."""
    shutil.rmtree(ROOT / "dist", ignore_errors=True)
    session.install("build", "twine")
    session.run("python", "-m", "build", silent=True)
    (sdist,), (wheel,) = (ROOT / "dist").glob("*.tar.gz"), (ROOT / "dist").glob("*.whl")
    session.run("twine", "check", "--strict", str(sdist), str(wheel))

    elsewhere = Path(session.create_tmp()).resolve()
    session.install(str(wheel))
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    quick_start = re.search(r"```python\n(.*?)```", readme, flags=re.DOTALL)[1]
    (elsewhere / "quick_start.py").write_text(quick_start, encoding="utf-8")
    session.chdir(elsewhere)
    session.run("python", "-W", "error", "quick_start.py")

    shutil.rmtree(elsewhere / "sdist", ignore_errors=True)
    with tarfile.open(sdist) as archive:
        archive.extractall(elsewhere / "sdist", filter="data")
    session.chdir(elsewhere / "sdist" / sdist.name.removesuffix(".tar.gz"))
    session.install(".[test]")
    session.run("python", "-m", "pytest", "-q", *IN_PARALLEL, "-m", "not slow")
