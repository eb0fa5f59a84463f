"""What a process sets before it computes, and what it says it was made on."""

from types import SimpleNamespace

from pipelines import environment


def test_a_gpu_is_shared_also_by_what_runs_in_this_process(monkeypatch):
    monkeypatch.delenv("TF_FORCE_GPU_ALLOW_GROWTH", raising=False)
    environment.prepare()
    assert environment.os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "true"
    monkeypatch.setenv("TF_FORCE_GPU_ALLOW_GROWTH", "false")
    environment.prepare()
    assert environment.os.environ["TF_FORCE_GPU_ALLOW_GROWTH"] == "false"


def test_a_gpu_that_is_hidden_is_not_what_a_result_was_made_on(monkeypatch):
    there = [SimpleNamespace(name="a", device_type="GPU")]
    monkeypatch.setattr(environment.tf.config, "list_physical_devices", lambda kind: there)
    monkeypatch.setattr(environment.tf.config, "get_visible_devices", lambda kind: [])
    assert environment.describe()["gpus"] == []
