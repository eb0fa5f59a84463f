"""Exports in a process that has TensorFlow alone."""

import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tests.helpers import exported_models
from tfdsl.export import saved_model

FORMS = {
    "dense": {"storage": "dense"},
    "packed": {},
    "bitmap": {"kernels": "bitmap"},
    "at load": {"unpack": "load"},
}
SERVE = """
import sys
for name in ("tfdsl", "keras", "keras_rs", "pipelines", "data"):
    sys.modules[name] = None  # whoever imports it gets an error
import pathlib
import numpy as np
import tensorflow as tf
for folder in map(pathlib.Path, sys.argv[1:]):
    loaded = tf.saved_model.load(str(folder))
    inputs = np.load(folder.parent / f"{folder.name}_inputs.npz")
    tensors = {name: tf.constant(x) for name, x in inputs.items()}
    outputs = loaded.signatures["serving_default"](**tensors)
    np.savez(folder.parent / f"{folder.name}_outputs.npz", **outputs)
"""


@pytest.fixture(scope="module")
def exports(tmp_path_factory):
    """Exports every model in every form; returns models, inputs, and what was served by name."""
    root = tmp_path_factory.mktemp("exports")
    made = {name: make() for name, make in exported_models.MODELS.items()}
    folders = []
    for name, (model, inputs) in made.items():
        for form, arguments in FORMS.items():
            folders.append(root / f"{name}_{form}")
            saved_model(model, folders[-1], **arguments)
            fed = {key: exported_models.as_fed(key, x) for key, x in inputs.items()}
            fed = {key: x.astype("S") if x.dtype == object else x for key, x in fed.items()}
            np.savez(root / f"{folders[-1].name}_inputs.npz", **fed)
    command = [sys.executable, "-c", SERVE, *map(str, folders)]
    process = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
    assert process.returncode == 0, process.stderr[-3000:]
    return root, made


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", exported_models.MODELS)
def test_outputs_are_the_models_own(exports, name, form):
    root, made = exports
    served = np.load(pathlib.Path(root) / f"{name}_{form}_outputs.npz")
    expected = exported_models.outputs(*made[name])
    assert set(served) == set(expected)
    for key, value in expected.items():
        assert np.abs(value).max() > 0
        np.testing.assert_allclose(served[key], value, atol=1e-6)
