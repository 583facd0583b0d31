"""google-cloud-storage against the emulator and what stands before it."""

import os

import pytest
from google.api_core import exceptions

from tests.localvertex.conftest import NUMBER, PROJECT

LARGE = 9 << 20  # over the size at which the client turns to resumable uploads


@pytest.fixture
def client(environment):
    from google.auth.credentials import AnonymousCredentials
    from google.cloud import storage

    return storage.Client(project=PROJECT, credentials=AnonymousCredentials())


@pytest.fixture
def bucket(client, unique):
    return client.create_bucket(f"bucket-{unique}")


def test_a_bucket_belongs_to_the_project(client, bucket):
    assert str(client.get_bucket(bucket.name).project_number) == NUMBER
    listed = {item.name: str(item.project_number) for item in client.list_buckets()}
    assert listed[bucket.name] == NUMBER
    assert "demo-bucket" in listed
    with pytest.raises(exceptions.NotFound):
        client.get_bucket("no-such-bucket")
    with pytest.raises(exceptions.Conflict):
        client.create_bucket(bucket.name)


def test_objects_large_and_small_come_back_as_they_were(bucket):
    for name, content in {"a b/ä.txt": b"small", "large": os.urandom(LARGE), "empty": b""}.items():
        bucket.blob(name).upload_from_string(content)
        assert bucket.blob(name).download_as_bytes() == content
    assert bucket.blob("large").download_as_bytes(start=10, end=19).__len__() == 10
    assert {blob.name for blob in bucket.list_blobs(prefix="a b/")} == {"a b/ä.txt"}


@pytest.mark.parametrize("size", [10, LARGE], ids=["multipart", "resumable"])
def test_a_precondition_keeps_an_object_from_being_overwritten(bucket, size):
    content = b"x" * size
    bucket.blob("kept").upload_from_string(content, if_generation_match=0)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("kept").upload_from_string(b"y" * size, if_generation_match=0)
    assert bucket.blob("kept").download_as_bytes() == content
    generation = bucket.get_blob("kept").generation
    bucket.blob("kept").upload_from_string(b"z" * size, if_generation_match=generation)
    assert bucket.blob("kept").download_as_bytes() == b"z" * size


def test_preconditions_hold_for_downloads_and_deletions(bucket):
    bucket.blob("kept").upload_from_string(b"x")
    generation = bucket.get_blob("kept").generation
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("kept").delete(if_generation_match=generation + 1)
    with pytest.raises(exceptions.PreconditionFailed):
        bucket.blob("kept").download_as_bytes(if_generation_match=generation + 1)
    bucket.blob("kept").delete(if_generation_match=generation)
    assert bucket.get_blob("kept") is None


def test_iam_policies_are_kept(bucket):
    policy = bucket.get_iam_policy()
    policy["roles/storage.objectViewer"] = {"serviceAccount:a@b.iam.gserviceaccount.com"}
    bucket.set_iam_policy(policy)
    kept = bucket.get_iam_policy()
    assert kept["roles/storage.objectViewer"] == {"serviceAccount:a@b.iam.gserviceaccount.com"}
    assert bucket.test_iam_permissions(["storage.objects.get"]) == ["storage.objects.get"]


def test_folders_travel_in_parallel(bucket, tmp_path):
    from google.cloud.storage import transfer_manager

    names = [f"file-{number}" for number in range(12)]
    for name in names:
        (tmp_path / name).write_text(name)
    done = transfer_manager.upload_many_from_filenames(
        bucket, names, source_directory=str(tmp_path), worker_type=transfer_manager.THREAD
    )
    assert done == [None] * 12
    back = tmp_path / "back"
    back.mkdir()
    transfer_manager.download_many_to_path(
        bucket, names, destination_directory=str(back), worker_type=transfer_manager.THREAD
    )
    assert {path.name: path.read_text() for path in back.iterdir()} == {n: n for n in names}


def test_a_client_that_knows_no_emulator_is_led_here_too(run_inside):
    script = (
        "import os, requests\n"
        "url = 'https://storage.googleapis.com/storage/v1/b/demo-bucket'\n"
        "print(requests.get(url).json()['name'])\n"
    )
    assert run_inside(script).stdout == "demo-bucket\n"


def test_a_file_written_into_the_mounted_bucket_is_an_object(local, bucket):
    folder = local.status.state_dir / "storage" / bucket.name / "mounted"
    folder.mkdir()
    (folder / "a b.txt").write_text("first")
    assert [blob.name for blob in bucket.list_blobs(prefix="mounted/")] == ["mounted/a b.txt"]
    assert bucket.blob("mounted/a b.txt").download_as_bytes(checksum="md5") == b"first"
    (folder / "a b.txt").write_text("written again")
    assert bucket.blob("mounted/a b.txt").download_as_bytes(checksum="md5") == b"written again"
    (folder / "other.bin").write_bytes(b"\0" * 1000)
    assert bucket.get_blob("mounted/other.bin").size == 1000
