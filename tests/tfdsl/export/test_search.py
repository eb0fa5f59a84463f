import builtins
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf

from tfdsl.export import search

CANDIDATES = search.Candidates.of(np.eye(3, dtype="f4"))


def test_without_scann_it_says_what_to_install_and_what_needs_nothing():
    pytest.importorskip("tensorflow_recommenders", reason="needs TensorFlow Recommenders")
    if "scann" in sys.modules:
        pytest.skip("scann is installed")
    with pytest.raises(ImportError, match=r"pip install scann\. index='brute_force'"):
        search.search_of("scann", CANDIDATES, 2)


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ModuleNotFoundError(name="tensorflow_recommenders"), r"pip install 'tfdsl\[tfrs\]'"),
        (
            tf.errors.NotFoundError(None, None, "undefined symbol"),
            r"scann .* is not built for .*symbol",
        ),
    ],
)
def test_where_the_layers_do_not_load_it_says_why(monkeypatch, error, message):
    plain = builtins.__import__

    def without(name, *arguments, **keywords):
        if name.startswith("tensorflow_recommenders"):
            raise error
        return plain(name, *arguments, **keywords)

    monkeypatch.setattr(builtins, "__import__", without)
    with pytest.raises(ImportError, match=message):
        search.search_of("brute_force", CANDIDATES, 2)


def test_where_tf_keras_is_keras_3_already_it_says_so():
    code = (
        "import tensorflow as tf; tf.keras.Model\n"
        "from tfdsl.export import search\n"
        "try:\n    search.search_of('streaming', None, 2)\n"
        "except ImportError as error:\n    print(error)\n"
    )
    environment = {"PATH": "", "PYTHONPATH": ":".join(sys.path), "KERAS_BACKEND": "tensorflow"}
    command = [sys.executable, "-c", code]
    process = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert "needs tf.keras to be Keras 2" in process.stdout, process.stderr[-2000:]
