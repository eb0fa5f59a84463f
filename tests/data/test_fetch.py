import functools
import hashlib
import http.server
import io
import os
import pathlib
import shutil
import socket
import subprocess
import sys
import tarfile
import threading
import zipfile

import pytest
from mutations import mutate, mutations
from properties import examples, hold

from data import catalog, fetch
from data.errors import DataError

RATINGS = b"1::2::3\n"


def zip_of(**files: bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in files.items():
            archive.writestr(name, content)
    return buffer.getvalue()


GOOD_ZIP = zip_of(**{"toy-1/": b"", "toy-1/ratings.dat": RATINGS, "toy-1/more/README": b"hello"})


def toy(url: str | None, sha256: str | None = None, archive_folder: str = "toy-1"):
    return catalog.DataSet(
        name="toy",
        title="Toy set",
        homepage="https://example.org/toy",
        url=url,
        archive_folder=archive_folder,
        sha256=sha256,
        checksum_note="Nobody publishes one.",
        licence="Toys only.",
        citation="None.",
        folder="toy",
        counts={},
    )


@pytest.fixture
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("TFDSL_DATA", str(tmp_path / "cache"))
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    return tmp_path / "cache"


@pytest.fixture
def serve(tmp_path, monkeypatch):
    """Returns a function that serves bytes as the toy set's archive and gives the list of hits."""
    root = tmp_path / "served"
    root.mkdir()
    hits = []

    class Handler(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            hits.append(self.path)

    server = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Handler, directory=root)
    )
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()

    def start(content: bytes | None, **fields):
        if content is not None:
            (root / "toy.zip").write_bytes(content)
        url = f"http://127.0.0.1:{server.server_port}/toy.zip"
        monkeypatch.setitem(catalog.CATALOG, "toy", toy(url, **fields))
        return hits

    yield start
    server.shutdown()
    thread.join()
    server.server_close()


def assert_refused_without_a_trace(cache: pathlib.Path, pattern: str) -> None:
    with pytest.raises(DataError, match=pattern) as caught:
        fetch.locate("toy")
    message = str(caught.value)
    assert "\n" not in message
    assert catalog.get("toy").url in message
    assert "--data_dir" in message and "TFDSL_DATA" in message
    assert caught.value.__cause__ is None and caught.value.__suppress_context__
    assert not cache.exists() or not list(cache.iterdir())


def test_download_is_verified_extracted_and_announced_with_its_licence(cache, serve, capsys):
    serve(GOOD_ZIP, sha256=hashlib.sha256(GOOD_ZIP).hexdigest())
    folder = fetch.locate("toy")
    assert folder == cache / "toy"
    assert (folder / "ratings.dat").read_bytes() == RATINGS
    assert (folder / "more" / "README").read_bytes() == b"hello"
    assert [path.name for path in cache.iterdir()] == ["toy"]
    announced = capsys.readouterr().err
    for text in ("Toy set", "Toys only.", catalog.get("toy").url):
        assert text in announced


def test_second_call_needs_no_network(cache, serve):
    hits = serve(GOOD_ZIP)
    first = fetch.locate("toy")
    assert len(hits) == 1
    assert fetch.locate("toy") == first
    assert len(hits) == 1


def test_tar_archive_with_files_at_its_root_is_extracted(cache, serve):
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        member = tarfile.TarInfo("./train.txt")
        member.size = len(RATINGS)
        archive.addfile(member, io.BytesIO(RATINGS))
        link = tarfile.TarInfo("passwords")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    serve(buffer.getvalue(), archive_folder="")
    folder = fetch.locate("toy")
    assert [path.name for path in folder.iterdir()] == ["train.txt"]
    assert (folder / "train.txt").read_bytes() == RATINGS


def test_only_the_wanted_folder_of_an_archive_is_kept(cache, serve):
    serve(
        zip_of(**{"repo/data/toy/train.txt": RATINGS, "repo/code.py": b"1", "repo/data/x": b"2"}),
        archive_folder="repo/data/toy",
    )
    assert [path.name for path in fetch.locate("toy").iterdir()] == ["train.txt"]


def test_wrong_checksum_is_refused(cache, serve):
    serve(GOOD_ZIP, sha256="0" * 64)
    assert_refused_without_a_trace(cache, "hash does not match.*0000")


def test_web_page_instead_of_archive_is_refused(cache, serve):
    serve(b"<html>Please log in</html>")
    assert_refused_without_a_trace(cache, "no zip or tar archive.*<html>Please log in")


def test_connection_that_breaks_off_is_refused(cache, monkeypatch):
    with socket.create_server(("127.0.0.1", 0)) as server:

        def answer():
            connection, _ = server.accept()
            with connection:
                connection.recv(4096)
                length = len(GOOD_ZIP)
                connection.sendall(b"HTTP/1.0 200 OK\r\nContent-Length: %d\r\n\r\n" % length)
                connection.sendall(GOOD_ZIP[: length // 2])

        thread = threading.Thread(target=answer)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/toy.zip"
        monkeypatch.setitem(catalog.CATALOG, "toy", toy(url))
        assert_refused_without_a_trace(cache, "could not fetch Toy set.*got only")
        thread.join()


@examples(100, 2000)
@pytest.mark.parametrize("with_checksum", [True, False])
def test_mutated_archives_are_refused_or_give_the_same_files(cache, serve, with_checksum, examples):
    content = zip_of(**{"toy-1/ratings.dat": RATINGS * 50, "toy-1/more/README": b"hello"})
    good = {"ratings.dat": RATINGS * 50, "README": b"hello"}
    checksum = hashlib.sha256(content).hexdigest() if with_checksum else None

    def refused_or_the_same(changes):
        shutil.rmtree(cache, ignore_errors=True)
        changed = mutate(content, changes)
        serve(changed, sha256=checksum)
        try:
            folder = fetch.locate("toy")
        except DataError:
            assert not cache.exists() or not list(cache.iterdir())
            return
        found = {path.name: path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        assert not with_checksum or changed == content
        # Without a checksum a file can be lost, whole: readers say so.
        assert found.items() <= good.items()

    hold(refused_or_the_same, examples, changes=mutations)


FETCH = """
import sys
sys.path[:0] = sys.argv[2:]
from test_fetch import catalog, fetch, toy
catalog.CATALOG["toy"] = toy(sys.argv[1])
import keras
print("ready", flush=True)
sys.stdin.readline()
print((fetch.locate("toy") / "ratings.dat").read_text(), end="")
"""


@pytest.mark.slow
def test_processes_that_fetch_at_once_all_get_the_whole(cache, serve):
    serve(GOOD_ZIP)
    here = pathlib.Path(__file__).parent
    words = [catalog.get("toy").url, str(here), str(here.parents[1]), str(here.parent / "helpers")]
    fetching = [
        subprocess.Popen(
            [sys.executable, "-c", FETCH, *words],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )
        for _ in range(4)
    ]
    for process in fetching:
        assert process.stdout.readline() == b"ready\n"
    for process in fetching:
        process.stdin.write(b"\n")
        process.stdin.flush()
    # Keras tells of a download before.
    assert all(process.communicate(timeout=60)[0].endswith(RATINGS) for process in fetching)
    assert [path.name for path in cache.iterdir()] == ["toy"]


def test_archive_cut_short_is_refused(cache, serve):
    serve(GOOD_ZIP[: len(GOOD_ZIP) // 2])
    assert_refused_without_a_trace(cache, "no zip or tar archive")


def test_damaged_member_is_refused(cache, serve):
    content = os.urandom(1000)
    damaged = zip_of(**{"toy-1/ratings.dat": content}).replace(content[:8], b"damaged!")
    serve(damaged)
    assert_refused_without_a_trace(cache, "archive is damaged")


@pytest.mark.parametrize("name", ["toy-1/../../evil", "/tmp/evil", "..\\evil", "C:\\evil"])
def test_member_that_climbs_out_is_refused(cache, serve, name):
    serve(zip_of(**{"toy-1/ratings.dat": RATINGS, name: b"evil"}))
    assert_refused_without_a_trace(cache, "unsafe.*evil")
    assert not list(cache.parent.rglob("evil"))


def test_archive_without_the_wanted_folder_is_refused(cache, serve):
    serve(GOOD_ZIP, archive_folder="elsewhere")
    assert_refused_without_a_trace(cache, "no file below 'elsewhere'")


def test_missing_page_is_refused(cache, serve):
    serve(None)
    assert_refused_without_a_trace(cache, "404")


def test_refused_connection_is_one_clear_error(cache, monkeypatch):
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}/toy.zip"
        monkeypatch.setitem(catalog.CATALOG, "toy", toy(url))
        assert_refused_without_a_trace(cache, "could not fetch Toy set.*refused")


def test_cache_that_cannot_be_written_is_one_clear_error(cache, serve):
    serve(GOOD_ZIP)
    cache.write_text("a file where the folder should be")
    with pytest.raises(DataError, match=f"into {cache}"):
        fetch.locate("toy")


def test_copy_that_another_process_made_meanwhile_is_used(cache, serve, monkeypatch):
    serve(GOOD_ZIP)
    download = fetch._download

    def slow_download(entry, staging):
        (cache / "toy").mkdir()
        (cache / "toy" / "theirs").touch()
        return download(entry, staging)

    monkeypatch.setattr(fetch, "_download", slow_download)
    assert [path.name for path in fetch.locate("toy").iterdir()] == ["theirs"]
    assert [path.name for path in cache.iterdir()] == ["toy"]


def test_data_set_without_download_says_how_to_get_it(cache, monkeypatch):
    monkeypatch.setitem(catalog.CATALOG, "toy", toy(None))
    with pytest.raises(DataError, match=r"https://example.org/toy.*'toy'.*--data_dir"):
        fetch.locate("toy")
    assert not cache.exists()


def test_data_dir_is_used_as_it_is(cache, tmp_path):
    (tmp_path / "mine" / "ml-1m").mkdir(parents=True)
    assert fetch.locate("ml-1m", tmp_path / "mine") == tmp_path / "mine" / "ml-1m"


def test_data_dir_without_the_folder_is_refused_and_nothing_is_downloaded(cache, serve, tmp_path):
    hits = serve(GOOD_ZIP)
    with pytest.raises(DataError, match=r"Toy set.*nowhere/toy.*--data_dir"):
        fetch.locate("toy", tmp_path / "nowhere")
    assert not hits and not cache.exists()


def test_default_cache_is_below_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.delenv("TFDSL_DATA", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / ".cache" / "tfdsl" / "ml-1m").mkdir(parents=True)
    assert fetch.locate("ml-1m") == tmp_path / ".cache" / "tfdsl" / "ml-1m"


def test_importing_the_data_room_does_not_import_keras():
    code = "import data.catalog, data.fetch, data.synthetic, sys; sys.exit('keras' in sys.modules)"
    root = pathlib.Path(__file__).resolve().parents[2]
    assert subprocess.run([sys.executable, "-c", code], cwd=root).returncode == 0
