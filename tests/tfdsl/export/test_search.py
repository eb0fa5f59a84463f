import builtins
import subprocess
import sys
import types

import numpy as np
import pytest
import tensorflow as tf

from tfdsl.export import search

CANDIDATES = search.Candidates.of(np.eye(20, dtype="f4"))


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


class FoundTwo:
    """As ScaNN's layer where its leaves hold two items alone: the rest is item 0, NaN."""

    def __init__(self, **options):
        self.options = options

    def index(self, candidates):
        return self

    def __call__(self, queries, k):
        numbers = tf.concat([[5, 4], tf.zeros([k - 2], tf.int32)], axis=0)
        scores = tf.concat([[2.0, 1.0], tf.fill([k - 2], np.nan)], axis=0)
        n = tf.shape(queries)[0]
        return tf.tile(scores[None], [n, 1]), tf.tile(numbers[None], [n, 1])


@pytest.mark.parametrize(
    ("seen", "scores", "first"),
    [
        (None, [2, 1, -np.inf], [5, 4]),
        ([5], [1, -np.inf, -np.inf], [4]),
        ([0], [2, 1, -np.inf], [5, 4]),
    ],
)
def test_what_scann_does_not_find_is_no_item(monkeypatch, seen, scores, first):
    layers = types.SimpleNamespace(ScaNN=FoundTwo)
    monkeypatch.setattr(search, "_layers", lambda: layers)
    find, (layer,) = search.search_of("scann", CANDIDATES, 3, 2)
    assert layer.options["num_reordering_candidates"] == 20
    assert 1 <= layer.options["num_leaves_to_search"] <= layer.options["num_leaves"] <= 20
    marks = None if seen is None else tf.constant([[item in seen for item in range(20)]])
    found, numbers = find(tf.zeros([1, 20]), 3, marks)
    np.testing.assert_array_equal(found, [scores])
    np.testing.assert_array_equal(numbers[0, : len(first)], first)


def test_too_few_items_for_scann_are_refused(monkeypatch):
    monkeypatch.setattr(search, "_layers", lambda: types.SimpleNamespace(ScaNN=FoundTwo))
    with pytest.raises(ValueError, match="ScaNN needs at least 16 items; received 3"):
        search.search_of("scann", search.Candidates.of(np.eye(3, dtype="f4")), 2)


def test_scann_finds_most_of_the_best():
    pytest.importorskip(
        "scann", reason="needs ScaNN, built for this TensorFlow", exc_type=Exception
    )
    draw = np.random.default_rng(0)
    candidates = search.Candidates.of(draw.normal(size=(2000, 8)).astype("f4"))
    queries = tf.constant(draw.normal(size=(50, 8)).astype("f4"))
    seen = tf.constant(draw.random((50, 2000)) < 0.1)
    most = int(np.count_nonzero(seen, axis=1).max())
    find, _ = search.search_of("scann", candidates, 10, most)
    exact, _ = search.search_of("brute_force", candidates, 10)
    for left_out in (None, seen):
        found, best = (f(queries, 10, left_out)[1].numpy() for f in (find, exact))
        overlap = np.mean([len(set(a) & set(b)) for a, b in zip(found, best, strict=True)]) / 10
        assert overlap > 0.7
