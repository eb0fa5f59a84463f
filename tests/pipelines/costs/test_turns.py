"""Processes that take turns."""

import subprocess
import sys

import pytest

from pipelines.costs import turns

_WORKER = """
from pipelines.costs import turns
print("here", flush=True)
with turns.turn():
    print("has it", flush=True)
"""


def test_another_process_waits_for_the_end_of_a_turn():
    with turns.turn():
        other = subprocess.Popen([sys.executable, "-c", _WORKER], stdout=subprocess.PIPE, text=True)
        assert other.stdout.readline() == "here\n"
        try:
            other.wait(0.5)
            waited = False
        except subprocess.TimeoutExpired:
            waited = True
    assert waited
    assert other.communicate()[0] == "has it\n"
    assert other.returncode == 0


def test_a_turn_is_over_also_when_what_is_timed_fails():
    for _ in range(2):  # the second would wait for ever
        with pytest.raises(RuntimeError), turns.turn():
            raise RuntimeError
