"""Processes that want the machine for themselves."""

import subprocess
import sys
import tempfile

import pytest

from pipelines import files
from pipelines.costs import machine

_WORKER = """
from pipelines.costs import machine
print("here", flush=True)
with machine.alone():
    print("inside", flush=True)
"""


@pytest.fixture(autouse=True)
def own_folder(tmp_path, monkeypatch):
    """Nothing here waits for what else is measured on this machine."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("TMPDIR", str(tmp_path))


def test_another_process_waits_for_the_end():
    with machine.alone():
        other = subprocess.Popen([sys.executable, "-c", _WORKER], stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "here\n"
        with pytest.raises(subprocess.TimeoutExpired):
            other.wait(0.5)
    assert other.communicate(timeout=60)[0] == "inside\n"
    assert other.returncode == 0


def test_others_come_in_also_when_what_is_measured_fails(tmp_path):
    with pytest.raises(KeyError), machine.alone():
        (folder,) = tmp_path.iterdir()
        with pytest.raises(ValueError, match="Another process is at work"), files.alone(folder):
            pass
        raise KeyError
    with files.alone(folder):  # raises where it is held
        pass
