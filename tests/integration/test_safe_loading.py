"""What is loaded, models and run folders, is numbers and configurations: none of it is run."""

import ast
import base64
import marshal
import pathlib
import sys

import keras
import pytest

import tfdsl
from tfdsl.layers import SparseDense

ROOT = pathlib.Path(__file__).parents[2]
MARK = "run_by_loading"


def touch():
    """A configuration of a function whose code leaves a mark."""
    code = compile(f"setattr(__import__('sys'), '{MARK}', True)", "", "eval")
    shown = base64.b64encode(marshal.dumps(code)).decode()
    return {"class_name": "__lambda__", "config": {"code": shown, "value": [shown, None, None]}}


def system(path):
    config = {"class_name": "function", "config": "system", "module": "os"}
    return {"module": "os", "class_name": "system", "config": {"command": f"touch {path}"}} | config


def model():
    return keras.Sequential([keras.Input((3,)), SparseDense(2, activation="relu")])


def configured(config, activation):
    """The configuration of a model, with another activation in it."""
    if isinstance(config, dict):
        return {
            name: activation if name == "activation" else configured(value, activation)
            for name, value in config.items()
        }
    return [configured(v, activation) for v in config] if isinstance(config, list) else config


@pytest.mark.parametrize("kind", ["a lambda", "a function of os"])
def test_a_packed_export_that_holds_code_is_refused_and_the_code_not_run(
    tmp_path, monkeypatch, kind
):
    evil = touch() if kind == "a lambda" else system(tmp_path / MARK)
    module = sys.modules["tfdsl.export.saved_model"]
    config_of = module._config
    with monkeypatch.context() as patch:
        # Written by the exporter itself, so that all its checksums are right.
        patch.setattr(module, "_config", lambda model: configured(config_of(model), evil))
        tfdsl.export.saved_model(model(), tmp_path / "export")
    with pytest.raises(
        Exception, match=r"safe_mode|[Ll]ambda|could not|Could not|Unable|is not registered"
    ):
        tfdsl.load_packed(tmp_path / "export")(keras.ops.ones((1, 3)))
    assert not hasattr(sys, MARK)
    assert not (tmp_path / MARK).exists()


def test_a_model_file_with_a_lambda_is_refused_and_the_code_not_run(tmp_path):
    code = f"lambda x: (setattr(__import__('sys'), '{MARK}', True), x)[1]"
    layers = [keras.Input((3,)), SparseDense(2), keras.layers.Lambda(eval(code))]
    keras.Sequential(layers).save(tmp_path / "model.keras")
    if hasattr(sys, MARK):  # the model's own making has called it
        delattr(sys, MARK)
    with pytest.raises(ValueError, match="safe_mode"):
        keras.models.load_model(tmp_path / "model.keras")
    assert not hasattr(sys, MARK)


RUNS_CODE = {
    *("pickle", "cPickle", "dill", "cloudpickle", "joblib", "marshal", "shelve"),
    *("eval", "exec", "enable_unsafe_deserialization", "yaml"),
}


def _names(tree):
    """All that the code names, imports, or passes as a keyword, with the keyword's value."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (alias.name.split(".")[0] for alias in node.names)
            yield (getattr(node, "module", None) or "").split(".")[0]
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.Attribute):
            yield node.attr
        elif isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
            yield f"{node.arg}={node.value.value}"


@pytest.mark.parametrize("room", ["tfdsl", "pipelines", "data"])
def test_nothing_that_reads_can_run_what_it_reads(room):
    files = sorted((ROOT / room).rglob("*.py"))
    assert files
    for path in files:
        found = set(_names(ast.parse(path.read_text())))
        assert not found & (RUNS_CODE | {"allow_pickle=True", "safe_mode=False"}), path
