"""Folders of exports: written whole or not at all, and checked byte for byte when read."""

import contextlib
import glob
import hashlib
import json
import os
import pathlib
import re
import shutil
import socket
import threading
from collections.abc import Iterator
from typing import Any

import tfdsl

MANIFEST = "tfdsl_export.json"
FORMAT = 1
_ONE_AT_A_TIME = threading.RLock()
_HOST = re.sub(r"[^A-Za-z0-9.]", "_", socket.gethostname())  # of containers, the container


@contextlib.contextmanager
def written(path: str | os.PathLike[str], overwrite: bool) -> Iterator[tuple[pathlib.Path, Any]]:
    """Gives an empty folder and a dict for the manifest; the folder becomes `path` at the end.

    What is written goes to a hidden folder beside `path`, and is renamed when all of it is there;
    after an error nothing is left of it. What a killed process of this host has left there is
    removed. One export at a time: a model computes with stored weights while it is exported.

    Raises:
        FileExistsError: there is something at `path`, and not `overwrite`; or it is no export, so
            that it is not overwritten.
    """
    with _ONE_AT_A_TIME:
        yield from _written(pathlib.Path(os.path.abspath(os.fspath(path))), overwrite)


def _written(target: pathlib.Path, overwrite: bool) -> Iterator[tuple[pathlib.Path, Any]]:
    _check_target(target, overwrite)
    target.parent.mkdir(parents=True, exist_ok=True)
    _remove_left_behind(target)
    partial = _beside(target, "partial")
    partial.mkdir()
    try:
        manifest: dict[str, Any] = {"format": FORMAT, "tfdsl": tfdsl.__version__}
        yield partial, manifest
        manifest["files"] = {name: _digest(partial / name) for name in files(partial)}
        signed = manifest | {"digest": _digest_of(manifest)}
        (partial / MANIFEST).write_text(json.dumps(signed, indent=1) + "\n")
        _check_target(target, overwrite)
        _put(partial, target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def read(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Returns the manifest of an export, every file of which is as it was written.

    Raises:
        ValueError: it is no export of this library, of a format that is not known here, or damaged.
    """
    folder = pathlib.Path(path)
    remedy = "Export the model again, or pass the folder that tfdsl.export wrote."
    if not (folder / MANIFEST).is_file():
        raise ValueError(f"{folder} is no export of tfdsl: it has no {MANIFEST}. {remedy}")
    try:
        manifest = json.loads((folder / MANIFEST).read_text())
        known = manifest["format"] == FORMAT and manifest["format"] is not True
        files, digest_of_rest = dict(manifest["files"]), manifest.pop("digest", None)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise ValueError(f"{folder / MANIFEST} is damaged ({error!r}). {remedy}") from error
    if not known:
        raise ValueError(
            f"{folder} is an export of format {manifest['format']!r}, this tfdsl reads format "
            f"{FORMAT}. Use the tfdsl that wrote it, or export the model again."
        )
    if digest_of_rest != _digest_of(manifest):
        raise ValueError(f"The export {folder} is damaged: {MANIFEST} was changed. {remedy}")
    for name, digest in files.items():
        file = folder / name
        if not file.is_file() or _digest(file) != digest:
            what = "differs from what was written" if file.is_file() else "is missing"
            raise ValueError(f"The export {folder} is damaged: {name} {what}. {remedy}")
    return dict(manifest)


def files(path: str | os.PathLike[str]) -> list[str]:
    """Returns the names of all files in a folder and those inside it, sorted."""
    folder = pathlib.Path(path)
    return sorted(str(f.relative_to(folder)) for f in folder.rglob("*") if f.is_file())


def _check_target(target: pathlib.Path, overwrite: bool) -> None:
    if not (target.exists() or target.is_symlink()):
        return
    if not overwrite:
        raise FileExistsError(
            f"{target} exists. Pass overwrite=True to replace an export, or another path."
        )
    if target.is_symlink() or not (target / MANIFEST).is_file():
        raise FileExistsError(
            f"{target} is no export of tfdsl, so overwrite=True does not replace it. Remove it "
            "yourself, or pass another path."
        )


def _put(partial: pathlib.Path, target: pathlib.Path) -> None:
    old = _beside(target, "replaced")
    with contextlib.suppress(FileNotFoundError):
        target.rename(old)
    try:
        partial.rename(target)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            old.rename(target)
        raise
    shutil.rmtree(old, ignore_errors=True)


def _beside(target: pathlib.Path, what: str) -> pathlib.Path:
    return target.parent / f".{target.name}.{what}-{_HOST}-{os.getpid()}"


def _remove_left_behind(target: pathlib.Path) -> None:
    for folder in target.parent.glob(f".{glob.escape(target.name)}.*-{_HOST}-*"):
        what, process = folder.name.removeprefix(f".{target.name}.").split(f"-{_HOST}-")
        if what not in ("partial", "replaced") or not process.isdigit() or _runs(int(process)):
            continue
        if what == "replaced" and not target.exists():
            folder.rename(target)  # killed between the two renames
        else:
            shutil.rmtree(folder, ignore_errors=True)


def _runs(process: int) -> bool:
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return process != os.getpid()


def _digest_of(manifest: dict[str, Any]) -> str:
    return hashlib.sha256(json.dumps(manifest, sort_keys=True).encode()).hexdigest()


def _digest(file: pathlib.Path) -> str:
    with file.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()
