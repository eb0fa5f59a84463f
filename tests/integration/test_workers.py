"""Two workers of `MultiWorkerMirroredStrategy`, as docs/replicas.md has them; one is killed."""

import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import numpy as np
import pytest
from killed_worker import __file__ as runner

ROOT = pathlib.Path(__file__).parents[2]
N_STEPS = 240
SECONDS = 300  # until it is given up
pytestmark = pytest.mark.slow


def script(folder):
    page = (ROOT / "docs" / "replicas.md").read_text()
    (code,) = re.findall(r"```python worker\.py\n(.*?)```", page, re.DOTALL)
    (folder / "worker.py").write_text(code)
    return folder / "worker.py"


def free_ports(n):
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


class Worker:
    """One of the workers, started again until it has ended well."""

    def __init__(self, folder, place, ports, kill_at=0):
        self.folder, self.place, self.kill_at, self.deaths = folder, place, kill_at, []
        addresses = [f"127.0.0.1:{port}" for port in ports]
        task = {"type": "worker", "index": place}
        self.config = json.dumps({"cluster": {"worker": addresses}, "task": task})
        self.ending = folder / f"ending{place}.npz"
        self.start()

    def start(self):
        kill_at = 0 if self.deaths else self.kill_at
        words = [runner, script(self.folder), kill_at, self.ending, self.folder / "checkpoints"]
        self.log = (self.folder / f"log{self.place}-{len(self.deaths)}.txt").open("w")
        self.process = subprocess.Popen(
            [sys.executable, *map(str, words)],
            env=os.environ | {"TF_CONFIG": self.config, "PYTHONPATH": str(ROOT)},
            stdout=self.log,
            stderr=subprocess.STDOUT,
        )

    def has_ended(self):
        status = self.process.poll()
        if status:
            self.log.close()
            self.deaths.append(status)
            self.start()
        return status == 0

    def stop(self):
        self.process.kill()
        self.process.wait()
        self.log.close()


def endings(folder, kill_at=(0, 0)):
    """Runs two workers to their end; returns what each holds, and how often each died of what."""
    folder.mkdir()
    ports = free_ports(2)
    workers = [Worker(folder, place, ports, kill_at[place]) for place in (0, 1)]
    until = time.monotonic() + SECONDS
    try:
        while not all([worker.has_ended() for worker in workers]):
            assert time.monotonic() < until, [worker.deaths for worker in workers]
            time.sleep(0.2)
    finally:
        for worker in workers:
            worker.stop()
    held = []
    for worker in workers:
        with np.load(worker.ending) as file:
            held.append([file[name] for name in file.files])
    return held, [worker.deaths for worker in workers]


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    return endings(tmp_path_factory.mktemp("workers") / "undisturbed")


def assert_same_bits(ours, theirs):
    assert [one.tobytes() for one in ours] == [one.tobytes() for one in theirs]


def test_workers_hold_the_same_bits_after_hundreds_of_updates(undisturbed):
    (first, second), deaths = undisturbed
    assert deaths == [[], []]
    assert_same_bits(first, second)
    masks = [one for one in first if one.dtype == bool and one.ndim == 2]
    assert [int(mask.sum()) for mask in masks][:2] == [12, 6]  # a quarter of 48 and of 24
    assert N_STEPS in [int(one) for one in first if one.dtype == "int64" and not one.ndim]


@pytest.mark.parametrize("seed", range(6))
def test_a_worker_that_dies_is_started_again_and_the_job_ends_right(undisturbed, seed, tmp_path):
    draw = np.random.default_rng(seed)
    kill_at = [0, 0]
    kill_at[draw.integers(2)] = int(draw.integers(1, N_STEPS))
    (first, second), deaths = endings(tmp_path / "run", kill_at)
    assert any(-signal.SIGKILL in one for one in deaths)
    assert_same_bits(first, undisturbed[0][0])
    assert_same_bits(second, undisturbed[0][0])
