"""Two releases of one endpoint at once, one of them killed after each change that it makes."""

import json
import queue
import shutil
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from doctune.vertex import (
    ask,
    deploy_model,
    list_variants,
    register_model,
    releases,
    rollback,
)
from doctune.vertex.endpoints import find_endpoint
from doctune.vertex.locks import EndpointBusyError, EndpointLock, LockLostError, lock_of
from doctune.vertex.registry import get_version, list_versions
from doctune.vertex.session import endpoint_client
from tests.vertex.conftest import IMAGES, PROJECT

pytestmark = pytest.mark.usefixtures("vertex")

PROGRAM = Path(__file__).parent / "programs" / "releaser.py"
QUESTION = [{"prompt": "What does the pump have?"}]
# More changes than a release makes.
MOST_CHANGES = 30
SECONDS = 90.0


class Releaser:
    """Releases in processes of their own."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process
        self._done: dict[str, queue.Queue[dict[str, Any]]] = {}
        threading.Thread(target=self._read, daemon=True).start()

    def start(self, version: str, endpoint: str, **options: object) -> str:
        number = uuid.uuid4().hex
        self._done[number] = queue.Queue()
        order = {"id": number, "version": version, "endpoint": endpoint, **options}
        self._process.stdin.write(json.dumps(order) + "\n")
        self._process.stdin.flush()
        return number

    def is_over(self, number: str) -> bool:
        return not self._done[number].empty()

    def result(self, number: str) -> dict[str, Any]:
        try:
            return self._done[number].get(timeout=SECONDS)
        except queue.Empty:
            raise AssertionError(f"the release was not over after {SECONDS} s") from None

    def _read(self) -> None:
        for line in self._process.stdout:
            done = json.loads(line)
            self._done[done["id"]].put(done)


@pytest.fixture(scope="module")
def releaser(vertex: None) -> Iterator[Releaser]:
    command = [sys.executable, str(PROGRAM), PROJECT]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Releaser(process)
        process.stdin.close()
        process.wait(SECONDS)


@dataclass(frozen=True)
class Released:
    """An endpoint with a champion and a previous version, and two more versions."""

    name: str
    versions: tuple[str, ...]

    @property
    def champion(self) -> str:
        parent = self.versions[0].split("@")[0]
        (found,) = [v for v in list_versions(parent) if "champion" in v.version_aliases]
        return f"{parent}@{found.version_id}"

    def others(self) -> list[str]:
        """Returns the versions that are not deployed."""
        deployed = {variant.model_version for variant in list_variants(self.name)}
        return [version for version in self.versions if version not in deployed]


@pytest.fixture
def versions_of(model_folder: Path) -> Callable[[str, int], tuple[str, ...]]:
    def register(name: str, count: int) -> tuple[str, ...]:
        return tuple(
            register_model(
                model_folder, model_name=name, serving_image=f"{IMAGES}/light:{number}"
            ).version_name
            for number in range(1, count + 1)
        )

    return register


@pytest.fixture
def released(versions_of, unique: str) -> Released:
    versions = versions_of(unique, 4)
    for version in versions[:2]:
        deploy_model(version, endpoint_name=unique, smoke_instances=QUESTION)
    return Released(unique, versions)


def wait_for_lock(endpoint: str, owner: str, is_over: Callable[[], bool]) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        held = lock_of(endpoint_client().get_endpoint(name=find_endpoint(endpoint)))
        if is_over() or (held and held.owner == owner):
            return
        time.sleep(0.02)
    raise AssertionError(f"{owner} had not locked {endpoint} after {SECONDS} s")


def check_sane(name: str) -> str:
    """Checks that an endpoint is whole and can be rolled back; returns the released version."""
    variants = list_variants(name)
    assert sorted(variant.share for variant in variants) == [0, 100]
    (current,) = [variant for variant in variants if variant.share]
    (earlier,) = [variant for variant in variants if not variant.share]
    assert "champion" in get_version(current.model_version).version_aliases
    assert "previous" in get_version(earlier.model_version).version_aliases
    endpoint = endpoint_client().get_endpoint(name=find_endpoint(name))
    assert dict(endpoint.labels) == {"managed-by": "doctune"}
    number = current.model_version.split("@")[1]
    assert ask(name, QUESTION)[0]["text"] == f"version {number}"
    assert rollback(name).model_version == earlier.model_version
    assert rollback(name).model_version == current.model_version
    return current.model_version


def test_a_release_killed_after_any_change_leaves_room_for_another(released, releaser) -> None:
    name = released.name
    for changes in range(1, MOST_CHANGES):
        champion, (one, two, *_) = released.champion, released.others()
        first = releaser.start(one, name, kill_after=changes, owner=f"a-{changes}", lease_seconds=1)
        wait_for_lock(name, f"a-{changes}", lambda number=first: releaser.is_over(number))
        second = releaser.start(two, name, owner=f"b-{changes}")
        killed, other = releaser.result(first), releaser.result(second)
        assert (killed["error"], other["error"]) == ("", ""), changes
        assert check_sane(name) == two != champion, changes
        if not killed["killed"]:
            break
    assert not killed["killed"]
    # Locked, written down, deployed, tried, released, two aliases, one undeployed, unlocked.
    assert changes > 9


@pytest.mark.parametrize("changes", [3, 5, 6, 8])
def test_a_step_that_is_tried_again_takes_its_release_up_at_once(
    released, releaser, changes: int
) -> None:
    champion = released.champion
    wanted = released.others()[0]
    # Its locks would last for many minutes.
    first = releaser.start(wanted, released.name, kill_after=changes, owner="run-7")
    assert releaser.result(first)["killed"]
    start = time.monotonic()
    again = releaser.start(wanted, released.name, owner="run-7")
    assert releaser.result(again)["error"] == ""
    assert time.monotonic() - start < SECONDS / 2
    assert check_sane(released.name) == wanted != champion


@pytest.mark.parametrize("changes", [1, 2, 5, 6])
def test_a_first_release_that_is_killed_leaves_room_for_another(
    versions_of, releaser, unique, changes: int
) -> None:
    one, two = versions_of(unique, 2)
    options = {"kill_after": changes, "lease_seconds": 1}
    assert releaser.result(releaser.start(one, unique, **options))["killed"]
    assert releaser.result(releaser.start(two, unique))["error"] == ""
    assert [(v.model_version, v.share) for v in list_variants(unique)] == [(two, 100)]


def test_of_two_that_were_compared_with_one_champion_one_is_refused(
    vertex, releaser, model_folder: Path, tmp_path: Path, unique: str
) -> None:
    versions = []
    for number in range(1, 4):
        folder = shutil.copytree(model_folder, tmp_path / str(number))
        (folder / "training.json").write_text(json.dumps({"run": number}))
        registered = register_model(
            folder, model_name=unique, serving_image=f"{IMAGES}/light:{number}"
        )
        versions.append(registered)
    champion = versions[0]
    deploy_model(champion.version_name, endpoint_name=unique, smoke_instances=QUESTION)
    numbers = [
        releaser.start(version.version_name, unique, judged_against=champion.uri)
        for version in versions[1:]
    ]
    errors = [releaser.result(number)["error"] for number in numbers]
    assert sorted(map(bool, errors)) == [False, True]
    winner, loser = sorted(versions[1:], key=lambda v: bool(errors[versions.index(v) - 1]))
    message = max(errors)
    assert f"was compared with the champion at {champion.uri}" in message
    assert f"now version {winner.version_id} is champion" in message
    assert check_sane(unique) == winner.version_name
    assert loser.version_name not in {v.model_version for v in list_variants(unique)}


def test_an_owner_whose_lock_was_taken_over_can_change_nothing(released, monkeypatch) -> None:
    one, two = released.others()
    real = releases.smoke_test

    def sleep_through_another_release(*arguments):
        monkeypatch.setattr(releases, "smoke_test", real)
        # As of a machine that was suspended: its lock is over, and it does not know.
        endpoint = find_endpoint(released.name)
        EndpointLock.acquire(endpoint, "other", seconds=30, take_over=True).abandon()
        deploy_model(two, endpoint_name=released.name, smoke_instances=QUESTION)
        return [{"text": "as if it had passed"}]

    monkeypatch.setattr(releases, "smoke_test", sleep_through_another_release)
    with pytest.raises(LockLostError, match="no longer has the lock on"):
        deploy_model(one, endpoint_name=released.name, smoke_instances=QUESTION)
    assert check_sane(released.name) == two


def test_a_rollback_can_take_a_release_over(released, releaser) -> None:
    champion = released.champion
    lost = releaser.start(released.others()[0], released.name, kill_after=5, owner="x")
    assert releaser.result(lost)["killed"]
    with pytest.raises(EndpointBusyError, match="is locked by x since"):
        rollback(released.name, wait_seconds=0)
    assert rollback(released.name, take_over=True).model_version != champion
    assert rollback(released.name).model_version == champion
    assert check_sane(released.name) == champion


def test_a_release_waits_for_no_more_than_its_time(released) -> None:
    endpoint = find_endpoint(released.name)
    lock = EndpointLock.acquire(endpoint, "experiment-colours", seconds=600)
    with pytest.raises(EndpointBusyError, match="is locked by experiment-colours since"):
        deploy_model(
            released.others()[0],
            endpoint_name=released.name,
            smoke_instances=QUESTION,
            wait_seconds=0.5,
        )
    lock.release()
    check_sane(released.name)
