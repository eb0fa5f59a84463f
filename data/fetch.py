"""From a data set's name to a folder on disk: a local one, the cache, or a download into it."""

import contextlib
import functools
import os
import pathlib
import shutil
import sys
import tarfile
import tempfile
import urllib.error
import zipfile
import zlib
from collections.abc import Callable, Generator
from typing import IO

from data import catalog
from data.errors import DataError, MissingDataError


def locate(name: str, data_dir: str | os.PathLike[str] | None = None) -> pathlib.Path:
    """Returns the folder that holds data set `name`, downloading it at most once.

    Args:
        name: Key of `data.catalog.CATALOG`.
        data_dir: Directory with one folder per data set; nothing is downloaded. Without it the
            cache is used: the environment variable TFDSL_DATA, else `~/.cache/tfdsl`.

    Raises:
        ValueError: If the catalogue has no such data set.
        MissingDataError: If the folder is not in `data_dir`, or cannot be downloaded whole:
            offline, refused, wrong checksum, not an archive, no official place. Nothing is left
            behind.
    """
    entry = catalog.get(name)
    if data_dir is not None:
        folder = pathlib.Path(data_dir).expanduser() / entry.folder
        if not folder.is_dir():
            raise MissingDataError(
                f"{entry.title} is not in {data_dir}: {folder} is no folder; pass as --data_dir "
                f"the directory that contains {entry.folder!r}, or leave it out to download"
            )
        return folder
    cache = pathlib.Path(os.environ.get("TFDSL_DATA") or "~/.cache/tfdsl").expanduser()
    folder = cache / entry.folder
    if not folder.is_dir():
        _fetch(entry, cache, folder)
    return folder


def _fetch(entry: catalog.DataSet, cache: pathlib.Path, folder: pathlib.Path) -> None:
    """Downloads `entry` so that `folder` appears complete or not at all."""
    by_hand = f"put its files into a folder {entry.folder!r} and pass the directory above it as "
    by_hand += "--data_dir, or set TFDSL_DATA to it"
    if entry.url is None:
        raise MissingDataError(
            f"{entry.title} has no official download ({entry.checksum_note}) See "
            f"{entry.homepage} for how to get it, then {by_hand}"
        )
    print(f"Downloading {entry.title} from {entry.url}", file=sys.stderr)
    print(f"Licence: {entry.licence} ({entry.homepage})", file=sys.stderr)
    print(f"Checksum: {entry.checksum_note}", file=sys.stderr, flush=True)
    try:
        cache.mkdir(parents=True, exist_ok=True)
        # In the cache itself, so that the last step is a rename within one file system.
        with tempfile.TemporaryDirectory(prefix=f".{entry.folder}-", dir=cache) as staging:
            archive = _download(entry, staging)
            files = pathlib.Path(staging) / "files"
            _extract(archive, entry.archive_folder, files)
            _put_in_place(files, folder)
    # keras.utils.get_file raises a bare Exception when the network fails.
    except Exception as error:
        if isinstance(error.__context__, urllib.error.HTTPError):
            error.__context__.close()  # get_file leaves the refused response open
        reason = " ".join(str(error).split()) or type(error).__name__
        raise MissingDataError(
            f"could not fetch {entry.title} from {entry.url} into {cache}: {reason}; "
            f"download it by hand, {by_hand}"
        ) from None


def _download(entry: catalog.DataSet, staging: str) -> pathlib.Path:
    import keras  # Here, because importing it takes seconds and most calls need no download.

    path = keras.utils.get_file(
        fname="archive",
        origin=entry.url,
        file_hash=entry.sha256,
        hash_algorithm="sha256",
        cache_dir=staging,
        cache_subdir="",
    )
    return pathlib.Path(path)


def _put_in_place(files: pathlib.Path, folder: pathlib.Path) -> None:
    try:
        os.replace(files, folder)
    except OSError:
        # Another process may have fetched the same data set meanwhile; its copy serves as well.
        if not folder.is_dir():
            raise


def _extract(archive: pathlib.Path, wanted: str, target: pathlib.Path) -> None:
    """Writes the regular files below folder `wanted` of the archive into `target`."""
    prefix = pathlib.PurePosixPath(wanted).parts
    try:
        with contextlib.closing(_members(archive)) as members:
            for name, opened in members:
                # Windows rules know both slashes and drives: nothing climbs out on any system.
                path = pathlib.PureWindowsPath(name)
                if path.anchor or ".." in path.parts:
                    raise DataError(f"the archive is unsafe: {name!r} would be written outside")
                if path.parts[: len(prefix)] != prefix or len(path.parts) == len(prefix):
                    continue
                destination = target.joinpath(*path.parts[len(prefix) :])
                destination.parent.mkdir(parents=True, exist_ok=True)
                with opened() as content, open(destination, "wb") as file:
                    shutil.copyfileobj(content, file)
    except (zipfile.BadZipFile, tarfile.TarError, EOFError, zlib.error) as error:
        raise DataError(f"the archive is damaged ({error})") from None
    if not target.is_dir():
        raise DataError(f"the archive has no file below {wanted!r}")


def _members(archive: pathlib.Path) -> Generator[tuple[str, Callable[[], IO[bytes]]]]:
    """Name of each regular file and what opens it; links and devices are left out."""
    if zipfile.is_zipfile(archive):
        with zipfile.ZipFile(archive) as opened_zip:
            for info in opened_zip.infolist():
                if not info.is_dir():
                    yield info.filename, functools.partial(opened_zip.open, info)
    elif tarfile.is_tarfile(archive):
        with tarfile.open(archive) as opened_tar:
            for member in opened_tar:
                if member.isfile():
                    yield member.name, functools.partial(_open_member, opened_tar, member)
    else:
        with open(archive, "rb") as file:
            raise DataError(f"what came is no zip or tar archive; it starts with {file.read(40)!r}")


def _open_member(archive: tarfile.TarFile, member: tarfile.TarInfo) -> IO[bytes]:
    content = archive.extractfile(member)
    if content is None:
        raise DataError(f"{member.name!r} in the archive is no regular file")
    return content
