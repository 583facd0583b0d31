"""What counts as a model folder, and how it lies in Cloud Storage."""

import json
import shutil
import struct
from dataclasses import asdict
from pathlib import Path

import pytest

from doctune.errors import ModelError
from doctune.vertex import check_model_folder, list_folder, upload_model
from tests.vertex.conftest import BUCKET


@pytest.fixture
def folder(model_folder: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    return Path(shutil.copytree(model_folder, tmp_path / "artifact"))


def test_the_manifest_says_what_the_model_is(model_folder: Path) -> None:
    manifest = check_model_folder(model_folder)
    assert manifest.weights == "model"
    assert manifest.architecture == "LlamaForCausalLM"
    assert 10_000 < manifest.parameters < 100_000
    names = [file.name for file in manifest.files]
    assert {"model/config.json", "model/model.safetensors", "training.json"} <= set(names)
    assert manifest.size == sum((model_folder / name).stat().st_size for name in names)


def test_weights_at_the_root_are_a_model_too(model_folder: Path) -> None:
    assert check_model_folder(model_folder / "model").weights == "."


def test_the_digest_depends_on_contents_and_names_alone(folder: Path, model_folder: Path) -> None:
    assert check_model_folder(folder).digest == check_model_folder(model_folder).digest
    (folder / "training.json").write_text("{}")
    assert check_model_folder(folder).digest != check_model_folder(model_folder).digest


def _truncate(path: Path) -> None:
    path.write_bytes(path.read_bytes()[:-10])


def _rewrite(path: Path, **changes: object) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda f: (f / "model/config.json").unlink(), "config.json is neither"),
        (lambda f: (f / "model/config.json").write_text("{"), "cannot be read as JSON"),
        (lambda f: (f / "model/config.json").write_text("[]"), "holds no JSON object"),
        (lambda f: (f / "model/config.json").write_text("{}"), "names no architecture"),
        (lambda f: _rewrite(f / "model/config.json", auto_map={"A": "b.C"}), "auto_map"),
        (lambda f: (f / "model/model.safetensors").unlink(), r"holds no \*\.safetensors"),
        (lambda f: _truncate(f / "model/model.safetensors"), "truncated or damaged"),
        (
            lambda f: (f / "model/model.safetensors").write_bytes(struct.pack("<Q", 2**60)),
            "is not a safetensors file",
        ),
        (lambda f: (f / "model/model.safetensors").write_bytes(b"PK"), "is not a safetensors file"),
        (
            lambda f: (f / "model/model.safetensors.index.json").write_text(
                '{"weight_map": {"a": "model-00002.safetensors"}}'
            ),
            "model-00002.safetensors is missing",
        ),
        (lambda f: (f / "model/tokenizer.json").unlink(), "has no tokenizer"),
        (lambda f: (f / "model/chat_template.jinja").unlink(), "has no chat template"),
        (lambda f: (f / "model/pytorch_model.bin").write_bytes(b"\x80"), "may run code"),
        (lambda f: (f / "optimizer.pt").write_bytes(b"\x80"), "may run code"),
    ],
)
def test_what_the_server_could_not_load_is_refused(folder: Path, damage, says: str) -> None:
    damage(folder)
    with pytest.raises(ModelError, match=says):
        check_model_folder(folder)


@pytest.mark.usefixtures("vertex")
def test_a_model_is_uploaded_once_below_its_digest(model_folder: Path, unique: str) -> None:
    name = f"{unique} Größe/1"
    uri, manifest = upload_model(model_folder, model_name=name, bucket=BUCKET)
    assert uri == f"{BUCKET}/models/{unique}-gr-e-1/{manifest.digest}"
    stored = {item.relative: item for item in list_folder(uri)}
    assert set(stored) == {file.name for file in manifest.files} | {"manifest.json"}
    assert upload_model(model_folder, model_name=name, bucket=BUCKET)[0] == uri
    again = {item.relative: item for item in list_folder(uri)}
    assert again == stored


@pytest.mark.usefixtures("vertex")
def test_a_model_downloaded_with_its_manifest_is_the_same_model(
    model_folder: Path, folder: Path, unique: str
) -> None:
    manifest = check_model_folder(model_folder)
    (folder / "manifest.json").write_text(json.dumps(asdict(manifest)))
    assert check_model_folder(folder) == manifest


@pytest.mark.usefixtures("vertex")
def test_an_upload_without_its_manifest_is_completed(
    model_folder: Path, unique: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    from doctune.errors import StorageError
    from doctune.vertex import storage

    real = storage._upload_batch

    def fails_at_weights(paths, blobs, generation, bar):
        if any(blob.name.endswith("manifest.json") for blob in blobs):
            raise StorageError("the connection broke")
        real(paths, blobs, generation, bar)

    monkeypatch.setattr(storage, "_upload_batch", fails_at_weights)
    with pytest.raises(StorageError, match="broke"):
        upload_model(model_folder, model_name=unique, bucket=BUCKET)
    (partial,) = {item.uri.split("/")[5] for item in list_folder(f"{BUCKET}/models/{unique}")}
    folder = f"{BUCKET}/models/{unique}/{partial}"
    assert "manifest.json" not in {item.relative for item in list_folder(folder)}
    monkeypatch.undo()
    uri, _ = upload_model(model_folder, model_name=unique, bucket=BUCKET)
    assert uri == folder
    assert "manifest.json" in {item.relative for item in list_folder(folder)}
