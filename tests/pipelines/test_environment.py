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


def test_what_xla_should_know_of_a_gpu_is_added_to_what_it_is_told(monkeypatch):
    monkeypatch.setattr(environment, "gpus", lambda: ["a GPU"])
    monkeypatch.setenv("XLA_FLAGS", "--xla_gpu_autotune_level=4")
    environment.prepare()
    told = environment.os.environ["XLA_FLAGS"].split()
    assert told[0] == "--xla_gpu_autotune_level=4"
    assert "--xla_gpu_enable_triton_gemm=false" in told
    assert len({flag.split("=")[0] for flag in told}) == len(told) == 4
    environment.prepare()
    assert environment.os.environ["XLA_FLAGS"].split() == told
