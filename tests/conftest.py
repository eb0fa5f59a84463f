"""What every test starts from: Keras on TensorFlow, fixed seeds, no leftovers."""

import os
import sys

os.environ.setdefault("KERAS_BACKEND", "tensorflow")
os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
os.environ.setdefault("TF_FORCE_GPU_ALLOW_GROWTH", "true")  # others may compute on the GPU too
# TensorFlow Recommenders needs it before any test touches tf.keras; `import keras` is Keras 3.
os.environ["TF_USE_LEGACY_KERAS"] = "1"

import pytest
import tensorflow as tf

# Two virtual devices, for tests of replicas: before anything starts TensorFlow.
if not tf.config.list_physical_devices("GPU"):
    _ONE = tf.config.LogicalDeviceConfiguration()
    tf.config.set_logical_device_configuration(
        tf.config.list_physical_devices("CPU")[0], [_ONE, _ONE]
    )


@pytest.fixture(autouse=True)
def fresh_keras():
    # Tests of the data rooms never import Keras, and need not wait for it here.
    keras = sys.modules.get("keras")
    if keras is not None:
        keras.utils.clear_session(free_memory=False)
        keras.utils.set_random_seed(1)
    yield
    if keras is not None:
        keras.config.set_dtype_policy("float32")
