"""The programs of README.md run."""

import re

import pytest
import sklearn
from sklearn.metrics import log_loss

import skdnn


@pytest.fixture(scope="module")
def readme(pytestconfig):
    return (pytestconfig.rootpath / "README.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def programs(readme):
    return re.findall(r"```python\n(.*?)```", readme, flags=re.DOTALL)


@pytest.mark.slow
def test_quick_start_runs(programs, capsys):
    assert len(programs[0].splitlines()) <= 12
    names = {}
    exec(compile(programs[0], "README.md", "exec"), names)
    score = float(capsys.readouterr().out.split()[-1])
    assert score > 0.97
    (together,) = [program for program in programs if "skdnn.together" in program]
    best = names["search"].best_score_
    exec(compile(together, "README.md", "exec"), names)
    assert names["search"].best_score_ == pytest.approx(best)


def test_data_frames_as_they_are_runs(programs):
    (program,) = [program for program in programs if "pd.DataFrame" in program]
    names = {}
    exec(compile(program, "README.md", "exec"), names)
    assert names["clf"].score(names["X"], names["y"]) == 1.0
    assert names["clf"].predict(names["new"][:1]) == [0]


def test_regression_runs(programs, capsys):
    (program,) = [program for program in programs if "DeepRegressor" in program]
    names = {}
    exec(compile(program, "README.md", "exec"), names)
    assert float(capsys.readouterr().out.split()[-1]) > 0.6
    assert (names["y"] < names["upper"].predict(names["X"])).mean() > 0.8


def test_early_stopping_and_resuming_runs(programs, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    for _ in range(2):  # resumed from the checkpoint
        exec(compile(programs[1], "README.md", "exec"), {})
    assert (tmp_path / "cancer.ckpt").exists()
    assert capsys.readouterr().out.startswith("epoch 1/50: cost ")


def test_a_validation_set_in_a_pipeline_runs(programs):
    (program,) = [program for program in programs if "transform_input" in program]
    names = {}
    with sklearn.config_context():  # restores the setting of the program
        exec(compile(program, "README.md", "exec"), names)
    model, X_val, y_val = (names[name] for name in ("model", "X_val", "y_val"))
    loss = log_loss(y_val, model.predict_proba(X_val))
    assert model[-1].best_loss_ == pytest.approx(loss, rel=1e-9)


def test_links_work_on_an_index_of_packages(readme):
    by_name = dict(re.findall(r"^\[([^]]+)\]: (.+)$", readme, flags=re.MULTILINE))
    links = [*by_name.values(), *re.findall(r"\]\(([^)]+)\)", readme)]
    assert [link for link in links if not link.startswith("https://")] == []
    assert set(re.findall(r"\]\[([^]]+)\]", readme)) <= set(by_name)


def test_every_parameter_named_exists(readme):
    parameters = skdnn.DeepBinaryClassifier().get_params() | skdnn.DeepRegressor().get_params()
    named = set(re.findall(r"`(\w+)=", readme)) - {"hidden_layer_sizes", "solver", "train_split"}
    assert named <= set(parameters)
