"""Packages a model folder for the serving image: check, manifest, atomic upload.

The layout is `model/` (config.json, *.safetensors, tokenizer, chat template) beside
`training.json`; weights at the root are accepted too. In Cloud Storage a model lies at
`gs://BUCKET/models/NAME/DIGEST/`, where DIGEST is that of its files: the same model is never
uploaded twice, and no other overwrites it. `manifest.json` is written last, so a folder without one
is an interrupted upload.
"""

from __future__ import annotations

import json
import re
import struct
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from doctune.digests import digest_file, digest_value
from doctune.errors import ModelError
from doctune.files import write_json
from doctune.publishing import MANIFEST_FILE, require_whole
from doctune.vertex.storage import list_folder, upload_folder

# Formats that run code when they are loaded.
_PICKLES = {".bin", ".ckpt", ".joblib", ".pickle", ".pkl", ".pt", ".pth"}
_LARGEST_HEADER_BYTES = 100 << 20


@dataclass(frozen=True)
class ManifestFile:
    """One file of a model."""

    name: str  # relative to the artifact
    size: int  # bytes
    sha256: str


@dataclass(frozen=True)
class ModelManifest:
    """The files of a model, with their digest."""

    digest: str  # of all names and contents
    weights: str  # the folder of the weights: "model", or "." for the artifact itself
    architecture: str
    parameters: int
    files: tuple[ManifestFile, ...]

    @property
    def size(self) -> int:
        """Bytes in all files together."""
        return sum(file.size for file in self.files)


def check_model_folder(path: Path) -> ModelManifest:
    """Checks that a folder holds a model that the server can load; reads every byte once.

    Raises:
        ModelError: It does not; the message names the file.
    """
    if (path / "adapter").is_dir():  # output of tune_model, which writes the adapter first
        require_whole(path, "tune the model again")
    weights = next((p for p in (path / "model", path) if (p / "config.json").is_file()), None)
    if weights is None:
        raise ModelError(f"{path} holds no model: config.json is neither in it nor in model/.")
    files = _model_files(path)
    for file in files:
        if file.suffix in _PICKLES:
            raise ModelError(f"{file} may run code when it is loaded: export safetensors instead.")
    architecture = _check_config(weights / "config.json")
    parameters = _check_weights(weights)
    _check_tokenizer(weights)
    listed = tuple(
        ManifestFile(file.relative_to(path).as_posix(), file.stat().st_size, digest_file(file))
        for file in files
    )
    return ModelManifest(
        digest=digest_value([[file.name, file.sha256] for file in listed]),
        weights=weights.relative_to(path).as_posix(),
        architecture=architecture,
        parameters=parameters,
        files=listed,
    )


def upload_model(path: Path, *, model_name: str, bucket: str) -> tuple[str, ModelManifest]:
    """Uploads a model folder, unless it is there already; returns its gs:// folder and manifest.

    Raises:
        ModelError: The folder does not hold a model.
        StorageError: It cannot be uploaded.
    """
    manifest = check_model_folder(path)
    uri = f"{bucket.rstrip('/')}/models/{folder_name(model_name)}/{manifest.digest}"
    if any(item.relative == MANIFEST_FILE for item in list_folder(uri)):
        return uri, manifest
    with tempfile.TemporaryDirectory() as scratch:
        staged = Path(scratch, "model")
        _link_files(path, manifest, staged)
        write_json(staged / MANIFEST_FILE, asdict(manifest))
        upload_folder(staged, uri, last=MANIFEST_FILE)
    return uri, manifest


def folder_name(name: str) -> str:
    """Returns a name as one part of a path: lower case, digits, `_` and `-`."""
    return re.sub(r"[^a-z0-9_-]+", "-", name.lower()).strip("-_")[:63] or "model"


def _model_files(path: Path) -> list[Path]:
    def is_hidden(file: Path) -> bool:
        return any(part.startswith(".") for part in file.relative_to(path).parts)

    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not is_hidden(file) and file != path / MANIFEST_FILE
    )


def _check_config(path: Path) -> str:
    config = _read_json(path)
    if "auto_map" in config:
        raise ModelError(f"{path} asks for custom code (auto_map), which doctune never runs.")
    architectures = config.get("architectures") or []
    if not architectures or not config.get("model_type"):
        raise ModelError(f"{path} names no architecture: save the model with save_pretrained.")
    return str(architectures[0])


def _check_weights(folder: Path) -> int:
    """Returns the number of parameters in the safetensors files of a folder."""
    shards = sorted(folder.glob("*.safetensors"))
    index = folder / "model.safetensors.index.json"
    if index.is_file():
        named = set(_read_json(index).get("weight_map", {}).values())
        if missing := named - {shard.name for shard in shards}:
            raise ModelError(f"{folder / min(missing)} is missing, but {index.name} lists it.")
    if not shards:
        raise ModelError(f"{folder} holds no *.safetensors: save the model with save_pretrained.")
    return sum(_parameters(shard) for shard in shards)


def _parameters(shard: Path) -> int:
    """Returns the number of parameters in a safetensors file, and checks header against size."""
    size = shard.stat().st_size
    with shard.open("rb") as file:
        start = file.read(8)
        length = struct.unpack("<Q", start)[0] if len(start) == 8 else size
        header = file.read(length) if length <= min(size, _LARGEST_HEADER_BYTES) else b""
    try:
        tensors = json.loads(header)
        tensors.pop("__metadata__", None)
        end = max((tensor["data_offsets"][1] for tensor in tensors.values()), default=0)
        count = sum(_product(tensor["shape"]) for tensor in tensors.values())
    except (ValueError, KeyError, TypeError, IndexError, AttributeError) as error:
        raise ModelError(f"{shard} is not a safetensors file.") from error
    if 8 + length + end != size:
        raise ModelError(f"{shard} is truncated or damaged: copy it again.")
    return count


def _check_tokenizer(folder: Path) -> None:
    if not any((folder / name).is_file() for name in ("tokenizer.json", "tokenizer.model")):
        raise ModelError(f"{folder} has no tokenizer: save it there with save_pretrained.")
    configuration = folder / "tokenizer_config.json"
    in_configuration = configuration.is_file() and _read_json(configuration).get("chat_template")
    if not in_configuration and not (folder / "chat_template.jinja").is_file():
        raise ModelError(f"{folder} has no chat template: the server needs one.")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{path} cannot be read as JSON: {error}.") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path} holds no JSON object.")
    return value


def _product(shape: list[int]) -> int:
    count = 1
    for length in shape:
        count *= length
    return count


def _link_files(path: Path, manifest: ModelManifest, target: Path) -> None:
    """Symlinks the manifest's files into a new folder."""
    for file in manifest.files:
        place = target / file.name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.symlink_to((path / file.name).resolve())
