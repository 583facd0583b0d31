"""Folders to and from Cloud Storage, against the real fake-gcs-server."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from doctune.digests import digest_folder
from doctune.errors import StorageError
from doctune.vertex import TransferSummary, download_folder, list_folder, sync_folder, upload_folder
from doctune.vertex.storage import crc32c_of, parse_uri, storage_client
from tests.vertex.conftest import BUCKET

pytestmark = pytest.mark.usefixtures("vertex")


@pytest.fixture
def uri(unique: str) -> str:
    return f"{BUCKET}/{unique}"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for number in range(70):
        (tmp_path / f"folder/{number % 7}").mkdir(parents=True, exist_ok=True)
        (tmp_path / f"folder/{number % 7}/{number}.txt").write_text(f"text {number}")
    (tmp_path / "folder/weights.safetensors").write_bytes(os.urandom(20_000_000))
    (tmp_path / "folder/ä b.txt").write_text("")
    (tmp_path / "folder/.hidden").write_text("not for others")
    return tmp_path / "folder"


def test_a_folder_comes_back_as_it_was(folder: Path, uri: str, tmp_path: Path) -> None:
    sent = upload_folder(folder, uri)
    assert sent.files_sent == 72
    (folder / ".hidden").unlink()
    received = download_folder(uri, tmp_path / "copy")
    assert received == sent
    assert digest_folder(tmp_path / "copy") == digest_folder(folder)


def test_the_bucket_is_made_where_it_is_missing(folder: Path, unique: str) -> None:
    (folder / "weights.safetensors").unlink()
    assert upload_folder(folder, f"gs://{unique}-bucket/x").files_sent == 71


def test_only_what_changed_is_sent_and_fetched(folder: Path, uri: str, tmp_path: Path) -> None:
    upload_folder(folder, uri)
    download_folder(uri, tmp_path / "copy")
    assert upload_folder(folder, uri) == TransferSummary(0, 72, 0)
    (folder / "1/1.txt").write_text("TEXT 1")
    (folder / "new.txt").write_text("new")
    assert upload_folder(folder, uri) == TransferSummary(2, 71, 9)
    assert download_folder(uri, tmp_path / "copy") == TransferSummary(2, 71, 9)
    assert (tmp_path / "copy/1/1.txt").read_text() == "TEXT 1"


def test_an_upload_that_was_cut_off_goes_on_where_it_stood(
    folder: Path, uri: str, tmp_path: Path
) -> None:
    partial = tmp_path / "partial"
    partial.mkdir()
    for name in ("weights.safetensors", "ä b.txt"):
        (partial / name).symlink_to(folder / name)
    upload_folder(partial, uri)
    assert upload_folder(folder, uri).files_unchanged == 2


def test_what_has_other_contents_is_kept_where_overwriting_is_not_allowed(
    folder: Path, uri: str
) -> None:
    upload_folder(folder, uri)
    before = list_folder(uri)
    (folder / "1/1.txt").write_text("other")
    with pytest.raises(StorageError, match=r"1/1\.txt already exists with other contents"):
        upload_folder(folder, uri, overwrite=False)
    assert list_folder(uri) == before


def test_of_writers_that_race_to_one_name_the_losers_are_told(unique: str, tmp_path: Path) -> None:
    def write(number: int) -> str:
        folder = tmp_path / str(number)
        folder.mkdir()
        (folder / "one.txt").write_text(f"writer {number}")
        try:
            upload_folder(folder, f"gs://{unique}-new-bucket/x")
        except StorageError as error:
            return str(error)
        return "sent"

    with ThreadPoolExecutor(8) as pool:
        results = list(pool.map(write, range(8)))
    # Who came when others had finished has replaced what it saw; who raced has lost, and knows it.
    assert "sent" in results
    for result in results:
        assert result == "sent" or "omebody else" in result


def test_a_download_that_fails_leaves_the_files_that_were_there(
    folder: Path, uri: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from google.api_core.exceptions import ServiceUnavailable
    from google.cloud.storage import Blob

    upload_folder(folder, uri)
    copy = tmp_path / "copy"
    copy.mkdir()
    (copy / "weights.safetensors").write_text("the old weights")

    def fail(blob: Blob, file: object, **_: object) -> None:
        file.write(b"half of it")
        raise ServiceUnavailable("the connection broke")

    monkeypatch.setattr(Blob, "_prep_and_do_download", fail)
    with pytest.raises(StorageError, match="the connection broke"):
        download_folder(uri, copy)
    assert [path.name for path in copy.rglob("*") if path.is_file()] == ["weights.safetensors"]
    assert (copy / "weights.safetensors").read_text() == "the old weights"


def test_sync_goes_whichever_way_the_arguments_point(
    folder: Path, uri: str, tmp_path: Path
) -> None:
    assert sync_folder(str(folder), uri).files_sent == 72
    assert sync_folder(uri, str(tmp_path / "copy")).files_sent == 72
    with pytest.raises(StorageError, match="one of source and target"):
        sync_folder(uri, uri)


def test_listing_says_size_checksum_and_time(folder: Path, uri: str) -> None:
    upload_folder(folder, uri)
    (weights,) = [item for item in list_folder(uri) if item.relative == "weights.safetensors"]
    assert weights.uri == f"{uri}/weights.safetensors"
    assert weights.size == 20_000_000
    assert weights.crc32c == crc32c_of(folder / "weights.safetensors")
    assert weights.updated.startswith("20")
    assert list_folder("gs://doctune-no-such-bucket/x") == []


def test_an_object_name_that_leads_out_of_the_folder_is_refused(uri: str, tmp_path: Path) -> None:
    bucket, prefix = parse_uri(uri)
    client = storage_client()
    if not client.bucket(bucket).exists():
        client.create_bucket(bucket)
    client.bucket(bucket).blob(f"{prefix}/a/..\\x").upload_from_string("?")
    with pytest.raises(StorageError, match="unsafe name"):
        download_folder(uri, tmp_path)


@pytest.mark.parametrize(
    "uri",
    ["", "gs:/bucket", "gs://", "gs://B", "gs://bucket/a//b", "gs://bucket/../x", "s3://bucket/x"],
)
def test_what_is_not_a_storage_uri_is_refused(uri: str, tmp_path: Path) -> None:
    (tmp_path / "x").write_text("?")
    with pytest.raises(StorageError, match="is not a Cloud Storage URI"):
        upload_folder(tmp_path, uri)


def test_nothing_to_send_and_nothing_to_fetch_are_errors(uri: str, tmp_path: Path) -> None:
    with pytest.raises(StorageError, match="holds no files to upload"):
        upload_folder(tmp_path, uri)
    with pytest.raises(StorageError, match="is not a folder"):
        upload_folder(tmp_path / "missing", uri)
    with pytest.raises(StorageError, match="holds no files"):
        download_folder(uri, tmp_path)
