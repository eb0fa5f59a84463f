"""The code of docs/ runs, block after block, page by page."""

import pathlib
import re
import subprocess
import sys

import pytest
import tensorflow as tf

PAGES = sorted((pathlib.Path(__file__).resolve().parent.parent / "docs").glob("*.md"))
BLOCK = re.compile(r"```(python|sh)\n(.*?)```", re.DOTALL)
WITH_CODE = [page for page in PAGES if BLOCK.search(page.read_text())]


@pytest.mark.parametrize("page", WITH_CODE, ids=lambda page: page.stem)
def test_the_pages_code_runs(page, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # Two strategies of one process use the same keys for their sums, which fails: a key of its own.
    monkeypatch.setattr(tf.distribute.MirroredStrategy, "_collective_key_base", 1000)
    names = {}
    for kind, code in BLOCK.findall(page.read_text()):
        if kind == "python":
            exec(compile(code, page.name, "exec"), names)
        else:
            _run(code)


def _run(line):
    """Runs a command of this environment, which must print something."""
    program, *arguments = line.split()
    command = [pathlib.Path(sys.executable).parent / program, *arguments]
    process = subprocess.run(command, capture_output=True, text=True, check=True)
    assert process.stdout
