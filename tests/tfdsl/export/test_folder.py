import json
import subprocess
import sys

import pytest

from tfdsl.export import folder


def write(path, text="content", overwrite=False):
    with folder.written(path, overwrite) as (partial, manifest):
        (partial / "inner").mkdir()
        (partial / "inner" / "file").write_text(text)
        manifest["kind"] = "model"


def left(parent):
    return sorted(p.name for p in parent.iterdir())


def test_a_folder_that_was_written_is_read(tmp_path):
    write(tmp_path / "models" / "1")
    assert folder.read(tmp_path / "models" / "1")["kind"] == "model"
    assert folder.files(tmp_path / "models" / "1") == ["inner/file", folder.MANIFEST]


def test_nothing_is_left_of_one_that_was_interrupted(tmp_path):
    with pytest.raises(KeyboardInterrupt), folder.written(tmp_path / "a", False) as (partial, _):
        (partial / "file").write_text("half")
        raise KeyboardInterrupt
    assert left(tmp_path) == []


def test_what_a_killed_process_left_is_removed_by_the_next_one(tmp_path):
    code = (
        "import os, sys\nfrom tfdsl.export import folder\n"
        "with folder.written(sys.argv[1], False) as (partial, _):\n"
        "    (partial / 'file').write_text('half')\n    os.kill(os.getpid(), 9)\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=False)
    assert [name.startswith(".a.partial-") for name in left(tmp_path)] == [True]
    write(tmp_path / "a")
    assert left(tmp_path) == ["a"]


def test_one_that_was_killed_while_it_replaced_another_has_lost_nothing(tmp_path):
    write(tmp_path / "a", "old")
    code = (
        "import os, pathlib, sys; from tfdsl.export import folder\n"
        "put = pathlib.Path.rename\n"
        "def rename(old, new):\n"
        "    if old.name.startswith('.a.partial'):\n"
        "        os.kill(os.getpid(), 9)\n"
        "    return put(old, new)\n"
        "pathlib.Path.rename = rename\n"
        "with folder.written(sys.argv[1], True): pass\n"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path / "a"], check=False)
    assert not (tmp_path / "a").exists()
    with pytest.raises(FileExistsError):
        write(tmp_path / "a", "new")
    assert (tmp_path / "a" / "inner" / "file").read_text() == "old"


def test_an_export_is_replaced_only_when_asked_to(tmp_path):
    write(tmp_path / "a", "old")
    with pytest.raises(FileExistsError, match="overwrite=True"):
        write(tmp_path / "a", "new")
    assert (tmp_path / "a" / "inner" / "file").read_text() == "old"
    write(tmp_path / "a", "new", overwrite=True)
    assert (tmp_path / "a" / "inner" / "file").read_text() == "new"
    assert left(tmp_path) == ["a"]


def test_an_export_stays_when_the_one_to_replace_it_fails(tmp_path):
    write(tmp_path / "a", "old")
    with pytest.raises(ValueError, match="no"), folder.written(tmp_path / "a", True):
        raise ValueError("no")
    assert (tmp_path / "a" / "inner" / "file").read_text() == "old"
    assert left(tmp_path) == ["a"]


@pytest.mark.parametrize(
    "make",
    [
        lambda path: path.mkdir(),
        lambda path: path.write_text("a file"),
        lambda path: path.symlink_to(path.parent / "elsewhere"),
    ],
)
def test_what_is_no_export_is_never_replaced(tmp_path, make):
    make(tmp_path / "a")
    with pytest.raises(FileExistsError, match="no export of tfdsl"):
        write(tmp_path / "a", overwrite=True)
    assert left(tmp_path) == ["a"]


def change_manifest(path, **changes):
    manifest = json.loads((path / folder.MANIFEST).read_text())
    (path / folder.MANIFEST).write_text(json.dumps(manifest | changes))


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda path: (path / "inner" / "file").write_text("contenT"), "inner/file differs"),
        (lambda path: (path / "inner" / "file").unlink(), "inner/file is missing"),
        (lambda path: (path / folder.MANIFEST).write_text("{"), "is damaged"),
        (lambda path: (path / folder.MANIFEST).write_bytes(b"\xff\xfe"), "is damaged"),
        (lambda path: (path / folder.MANIFEST).write_text("[]"), "is damaged"),
        (lambda path: (path / folder.MANIFEST).unlink(), "is no export of tfdsl"),
        (lambda path: change_manifest(path, kind="another"), "json was changed"),
        (lambda path: change_manifest(path, format=99), "format 99"),
    ],
)
def test_a_damaged_or_foreign_folder_is_refused(tmp_path, damage, message):
    write(tmp_path / "a")
    damage(tmp_path / "a")
    with pytest.raises(ValueError, match=message):
        folder.read(tmp_path / "a")
