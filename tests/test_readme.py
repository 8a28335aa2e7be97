"""What README.md shows works."""

import re

import pytest

import skdnn


@pytest.fixture(scope="module")
def readme(pytestconfig):
    return (pytestconfig.rootpath / "README.md").read_text()


def test_quick_start_runs(readme, capsys):
    (code,) = re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)
    assert len(code.splitlines()) <= 12
    exec(compile(code, "README.md", "exec"), {})
    score = float(capsys.readouterr().out.split()[-1])
    assert score > 0.97


def test_every_link_leads_somewhere(readme, pytestconfig):
    links = re.findall(r"\]\(([^)]+)\)", readme)
    assert len(links) > 5
    assert [link for link in links if not (pytestconfig.rootpath / link).exists()] == []


def test_every_parameter_named_exists(readme):
    parameters = skdnn.DeepBinaryClassifier().get_params()
    named = set(re.findall(r"`(\w+)=", readme)) - {"hidden_layer_sizes", "solver"}
    assert named <= set(parameters)
