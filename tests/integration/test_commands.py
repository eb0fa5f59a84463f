"""The commands as a user calls them: help on one screen, one line for whatever is wrong."""

import dataclasses
import os
import pathlib
import subprocess
import sys

import pytest

from pipelines import files, protocols
from pipelines.config import RunConfig
from pipelines.tables import TABLES

ROOT = pathlib.Path(__file__).resolve().parents[2]
FLAGS = ("data_dir", "out", "budget", "protocol", "quirks", "seeds", "jobs")


def call(*command, folder=ROOT):
    return subprocess.run(
        command,
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=120,
    )


def python(module, *words, folder=ROOT):
    return call(sys.executable, "-m", module, *words, folder=folder)


def error_of(done):
    """The lines on stderr, but for what TensorFlow says when it is loaded."""
    lines = done.stderr.splitlines()
    return [line for line in lines if line.startswith(("error", "reproduce.sh")) or "Trace" in line]


def test_help_is_one_screen_with_tables_flags_and_quirks():
    done = call("bash", "reproduce.sh", "-h")
    assert done.returncode == 0
    for word in (
        "list",
        "all",
        "report",
        *TABLES,
        *(f"--{flag}=" for flag in FLAGS),
        *protocols.QUIRKS,
    ):
        assert word in done.stdout
    assert len(done.stdout.splitlines()) <= 40
    assert max(map(len, done.stdout.splitlines())) <= 100


@pytest.mark.parametrize("words", [("table",), ("tabel", "multvae-ml1m")])
def test_the_script_refuses_wrong_usage_before_it_installs(tmp_path, words):
    script = tmp_path / "reproduce.sh"
    script.write_bytes((ROOT / "reproduce.sh").read_bytes())
    done = call("bash", str(script), *words)
    assert done.returncode == 2
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1
    assert "./reproduce.sh -h" in done.stderr
    assert [path.name for path in tmp_path.iterdir()] == ["reproduce.sh"]


PROGRAM = """
from absl import app, flags
from pipelines import command_line
flags.DEFINE_integer("seeds", 1, "A number.", lower_bound=1)
def main(arguments):
    if arguments: raise {error}
command_line.run(main, "./help")
"""


@pytest.mark.parametrize(
    ("words", "error", "status", "line"),
    [
        ((), "0", 0, ""),
        (("x",), "app.UsageError('Expected y.')", 2, "error: Expected y; ./help explains."),
        (("--seed=2",), "0", 2, "error: Unknown command line flag 'seed'. Did you mean: seeds ?"),
        (("--seeds=0",), "0", 2, "error: flag --seeds=0: 0 is not a positive integer; ./help"),
        (("x",), "ValueError('`a` is 0.')", 1, "error: `a` is 0."),
        (("x",), "PermissionError(13, 'Denied', 'runs')", 1, "error: [Errno 13] Denied: 'runs'"),
        (("x",), "KeyboardInterrupt", 1, "interrupted; the same command goes on from here"),
    ],
)
def test_whatever_stops_a_command_ends_in_one_line(words, error, status, line):
    done = call(sys.executable, "-c", PROGRAM.format(error=error), *words)
    assert (done.returncode, done.stdout) == (status, "")
    assert done.stderr.startswith(line)
    assert len(done.stderr.splitlines()) == bool(line)


def test_a_table_without_a_name_is_one_line_and_not_the_help_of_all_flags():
    done = python("pipelines.reproduce", "table")
    assert (done.returncode, done.stdout) == (2, "")
    assert error_of(done) == [
        "error: Expected 'list', 'table NAME', 'all' or 'report'; received 'table'; "
        "./reproduce.sh -h explains."
    ]
    assert "--budget" not in done.stderr


def test_a_run_with_a_wrong_number_is_one_line_and_leaves_nothing(tmp_path):
    done = python("pipelines.train", "--batch_size=0", folder=tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert error_of(done) == [
        "error: `batch_size` must be a whole number of at least 1; received 0."
    ]
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    "quirks", [pytest.param(None, marks=pytest.mark.slow), "masked_bias,bernoulli"]
)
def test_a_run_of_a_published_table_can_be_made_alone(tmp_path, quirks):
    config = RunConfig("synthetic", "multvae", "dsl", 0.1, protocol="published")
    names = tuple(quirks.split(",")) if quirks else protocols.of_model("multvae")
    state = "reset" if quirks else "keep"
    config = dataclasses.replace(config, quirks=names, optimizer_state=state)
    # A finished run of exactly this configuration: it is read, and not made.
    files.write_record(tmp_path / "config.json", config.to_dict())
    files.write_record(tmp_path / "result.json", {"test": {"ndcg@20": 0.5}})
    words = ["--protocol=published", f"--run_dir={tmp_path}"]
    done = python("pipelines.train", *words, *([f"--quirks={quirks}"] if quirks else []))
    assert done.stdout == f"ndcg@20: 0.5000\nrun folder: {tmp_path}\n", done.stderr


def test_costs_are_not_asked_of_a_table_that_has_none(tmp_path):
    words = ["table", "amgp-ml100k", "--costs", f"--out={tmp_path}"]
    done = python("pipelines.reproduce", *words)
    assert done.returncode == 1
    (line,) = error_of(done)
    assert "--costs is of tables of densities; amgp-ml100k is none." in line
    assert not list(tmp_path.iterdir())
