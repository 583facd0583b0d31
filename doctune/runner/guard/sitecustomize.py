"""Loaded by every Python program that localvertex runs, where /gcs needs watching.

- Where no bucket could be mounted, the first touch of /gcs raises and says what is missing: a
  program must not write into a folder of this machine that only looks like a bucket.
- Where asked for, renames of folders that are not empty are refused as by Cloud Storage FUSE on
  buckets without a hierarchical namespace: under /gcs, and where a local run keeps the outputs that
  are in a bucket on Vertex AI.

It does without pathlib, which calls what is watched here.
"""
# ruff: noqa: PTH100, PTH109, PTH112, PTH118, PTH120
# ruff: noqa: PTH208

import errno
import importlib.machinery
import importlib.util
import os
import sys

_ROOT = "/gcs"
_MISSING = os.environ.get("LOCALVERTEX_GCS_MISSING", "")
_FLAT_FOLDER = os.environ.get("LOCALVERTEX_FLAT_FOLDER", "").rstrip("/")
_REFUSES_RENAMES = os.environ.get("LOCALVERTEX_GCS_RENAMES", "") == "refuse"


def _mounted_path(value: object) -> str | None:
    """Returns a path under /gcs in full, else None."""
    if isinstance(value, bytes):
        value = os.fsdecode(value)
    elif isinstance(value, os.PathLike):
        value = value.__fspath__()
    if not isinstance(value, str):
        return None
    if not value.startswith("/"):
        if not _started_inside():
            return None
        value = os.path.join(os.getcwd(), value)
    path = os.path.normpath(value)
    return path if path == _ROOT or path.startswith(_ROOT + "/") else None


def _output_path(value: object) -> str | None:
    """Returns the full path of an output, else None; caches beside them are on a disk."""
    if not _FLAT_FOLDER or not isinstance(value, str | bytes | os.PathLike):
        return None
    path = os.path.abspath(os.fsdecode(value))
    cache = os.path.join(_FLAT_FOLDER, ".cache", "")
    return path if path.startswith(_FLAT_FOLDER + "/") and not path.startswith(cache) else None


def _started_inside() -> bool:
    try:
        return os.getcwd().startswith(_ROOT)
    except OSError:
        return False


def _refuse_touch(event: str, arguments: tuple[object, ...]) -> None:
    if event == "open" or event.startswith(("os.", "shutil.", "pathlib.", "glob.")):
        for argument in arguments[:2]:
            if (path := _mounted_path(argument)) is not None:
                raise RuntimeError(
                    f"{path} is not there: localvertex cannot mount the buckets under {_ROOT} on "
                    f"this machine ({_MISSING}). Use the gs:// URI with a client of Cloud Storage, "
                    "or run localvertex where mount namespaces are allowed."
                )


def _refuse_rename(event: str, arguments: tuple[object, ...]) -> None:
    if event != "os.rename":
        return
    source, target = (
        _mounted_path(argument) or _output_path(argument) for argument in arguments[:2]
    )
    if source and target and os.path.isdir(source) and os.listdir(source):
        raise OSError(
            errno.EMFILE,
            "Cloud Storage FUSE renames no folder that is not empty on a flat bucket",
            source,
            None,
            target,
        )


def _load_next() -> None:
    """Loads the sitecustomize that this one stands before, if any."""
    here = os.path.dirname(os.path.abspath(__file__))
    others = [entry for entry in sys.path if os.path.abspath(entry) != here]
    spec = importlib.machinery.PathFinder.find_spec("sitecustomize", others)
    if spec is not None and spec.loader is not None:
        spec.loader.exec_module(importlib.util.module_from_spec(spec))


if _MISSING:
    sys.addaudithook(_refuse_touch)
if _REFUSES_RENAMES:
    sys.addaudithook(_refuse_rename)
_load_next()
