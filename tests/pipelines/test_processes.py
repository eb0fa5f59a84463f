import concurrent.futures
import os
import pathlib
import queue
import signal

import pytest
import tensorflow as tf

from pipelines import environment
from pipelines.processes import FailedCallError, LostDeviceError, Processes, _on_gpu


def _stop_once(marker):
    """Stops its own process where there is no such file yet, which it makes."""
    path = pathlib.Path(marker)
    if path.suffix != ".none" and not path.exists():
        path.touch()
        os.kill(os.getpid(), signal.SIGKILL)
    return path.name


def _stop(_):
    os.kill(os.getpid(), signal.SIGKILL)


def _without_device(_):
    raise LostDeviceError("it is\n  gone" + " and gone" * 100)


def _refuse(value):
    raise ValueError(f"not {value}")


def test_those_that_a_stopped_process_took_along_are_begun_again(tmp_path, capsys):
    names = [str(tmp_path / name) for name in ("a.none", "b.once", "c.none", "d.once")]
    with Processes(_stop_once, names, 2) as processes:
        found = [processes.result(place) for place in range(4)]
    assert found == ["a.none", "b.once", "c.none", "d.once"]
    said = capsys.readouterr().err.splitlines()
    assert 1 <= len(said) <= 2
    assert all(line.startswith("a process was stopped (") for line in said)


@pytest.mark.parametrize(("call", "why"), [(_stop, "terminated"), (_without_device, "it is gone")])
def test_what_is_stopped_again_and_again_ends_in_one_line(call, why):
    with (
        Processes(call, [0, 1], 2) as processes,
        pytest.raises(OSError, match=why) as raised,
    ):
        processes.result(0)
    said = str(raised.value)
    assert said.startswith("Processes were stopped again, and none has ended since")
    assert "\n" not in said
    assert len(said) < 600


def test_a_process_that_finds_no_gpu_where_there_was_one_does_not_call(tmp_path, monkeypatch):
    monkeypatch.setattr(environment, "gpus", lambda: ["a GPU"])
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "-1")
    path = tmp_path / "called.once"
    with Processes(_stop_once, [str(path)], 1) as processes, pytest.raises(OSError) as raised:
        processes.result(0)
    assert "TensorFlow finds no GPU, where it found one before" in str(raised.value)
    assert not path.exists()


class _Pool:
    """Calls at once, in this process."""

    def __init__(self, jobs, context, initializer, arguments, **_):
        initializer(*arguments)

    def submit(self, call, *arguments):
        future = concurrent.futures.Future()
        future.set_result(call(*arguments))
        return future

    def shutdown(self, **_):
        pass


@pytest.mark.parametrize(
    ("visible", "n_gpus", "expected"),
    [
        (None, None, ["0", "1", "0", "1", "0"]),
        ("GPU-b,GPU-a,-1,GPU-c", None, ["GPU-b", "GPU-a", "GPU-b", "GPU-a", "GPU-b"]),
        ("3,5", 1, ["3", "3", "3", "3", "3"]),
    ],
)
def test_processes_have_a_gpu_each(monkeypatch, visible, n_gpus, expected):
    name = "CUDA_VISIBLE_DEVICES"
    monkeypatch.setenv(name, "")  # so that it is put back
    if visible:
        monkeypatch.setenv(name, visible)
    else:
        monkeypatch.delenv(name)
    monkeypatch.setattr(environment, "gpus", lambda: ["one", "another"])
    monkeypatch.setattr(concurrent.futures, "ProcessPoolExecutor", _Pool)
    with Processes(_variable, [name] * 5, 4, n_gpus) as processes:
        assert [processes.result(place) for place in range(5)] == expected


def test_a_gpu_is_given_back_also_by_what_fails(monkeypatch):
    monkeypatch.setenv("CUDA_VISIBLE_DEVICES", "")
    monkeypatch.setattr(environment, "gpus", lambda: ["one"])
    free = queue.SimpleQueue()
    free.put("7")
    monkeypatch.setattr("pipelines.processes._free", free)
    with pytest.raises(ValueError, match="not 3"):
        _on_gpu(_refuse, 3)
    assert _on_gpu(_variable, "CUDA_VISIBLE_DEVICES") == "7"
    assert free.get(timeout=1) == "7"


def _count(marker):
    """Notes a call in a file; returns how many there were."""
    path = pathlib.Path(marker)
    with path.open("a") as file:
        file.write("x")
    return len(path.read_text())


def _short_of_memory_once(marker):
    if _count(marker) == 1:
        raise tf.errors.ResourceExhaustedError(None, None, "no\n  memory")
    return "done"


def _always_fails(marker):
    n_calls = _count(marker)
    if "bad" in marker:
        raise ChildProcessError("status 1")
    return n_calls


def test_what_had_no_memory_beside_others_is_begun_again(tmp_path, capsys):
    with Processes(_short_of_memory_once, [str(tmp_path / "a")], 2) as processes:
        assert processes.result(0) == "done"
    assert "one failed, and is begun again: no memory\n" in capsys.readouterr().err


def test_what_fails_twice_by_itself_is_not_called_a_third_time_nor_are_others(tmp_path):
    names = [str(tmp_path / name) for name in ("bad", "b", "c", "d")]
    with Processes(_always_fails, names, 2) as processes:
        with pytest.raises(FailedCallError, match="It failed again: status 1"):
            processes.result(0)
        assert [processes.result(place) for place in (1, 2, 3)] == [1, 1, 1]
    assert (tmp_path / "bad").read_text() == "xx"


def _variable(name):
    return os.environ[name]


@pytest.mark.parametrize("given", [None, "3"])
def test_linear_algebra_has_a_share_of_the_cores(monkeypatch, given):
    name = "OPENBLAS_NUM_THREADS"
    monkeypatch.delenv(name, raising=False)
    if given:
        monkeypatch.setenv(name, given)
    with Processes(_variable, [name], 2) as processes:
        expected = given or str(max(os.cpu_count() // 2, 1))
        assert processes.result(0) == expected
    assert os.environ.get(name) == given


def test_a_mistake_is_not_made_again(capsys):
    with Processes(_refuse, [3], 2) as processes, pytest.raises(ValueError, match="not 3"):
        processes.result(0)
    assert not capsys.readouterr().err
