"""Variants and their traffic through Google's clients, against localvertex."""

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from doctune.errors import DeploymentError
from doctune.vertex import (
    ServingMachine,
    add_variant,
    ask,
    list_variants,
    register_model,
    remove_variant,
    set_traffic,
)
from doctune.vertex.locks import EndpointBusyError, EndpointLock, LockLostError, change_endpoint
from doctune.vertex.release_journal import whole_shares
from doctune.vertex.session import endpoint_client
from tests.vertex.conftest import IMAGES

pytestmark = pytest.mark.usefixtures("vertex")

QUESTION = [{"prompt": "What does the pump have?"}]
MACHINE = ServingMachine(
    "n1-standard-8", 2, 3, "NVIDIA_TESLA_T4", 1, "serving@doctune-test.iam.gserviceaccount.com"
)


@pytest.fixture
def endpoint(unique: str) -> str:
    from google.cloud import aiplatform

    return aiplatform.Endpoint.create(display_name=unique, labels={"team": "a"}).resource_name


@pytest.fixture
def versions(model_folder: Path, unique: str) -> list[str]:
    return [
        register_model(
            model_folder, model_name=unique, serving_image=f"{IMAGES}/light:{number}"
        ).version_name
        for number in (1, 2)
    ]


def labels_of(endpoint: str) -> dict[str, str]:
    return dict(endpoint_client().get_endpoint(name=endpoint).labels)


def test_a_variant_comes_without_traffic_gets_some_and_goes(endpoint, versions, unique) -> None:
    assert list_variants(unique) == ()
    one = add_variant(unique, versions[0], MACHINE)
    two = add_variant(endpoint, versions[1], deployed_model_id="12")
    assert [one.share, two.share] == [0, 0]
    assert one.machine == MACHINE
    assert two.deployed_model_id == "12"

    set_traffic(unique, {one.deployed_model_id: 100})
    assert ask(unique, QUESTION)[0]["text"] == "version 1"
    set_traffic(endpoint, {one.deployed_model_id: 30, "12": 70})
    shares = {v.model_version: v.share for v in list_variants(endpoint)}
    assert shares == dict(zip(versions, (30, 70), strict=True))

    with pytest.raises(DeploymentError, match="has 30 % of the traffic"):
        remove_variant(unique, one.deployed_model_id)
    set_traffic(endpoint, {"12": 100})
    remove_variant(unique, one.deployed_model_id)
    remove_variant(unique, one.deployed_model_id)
    assert [v.deployed_model_id for v in list_variants(unique)] == ["12"]
    with pytest.raises(DeploymentError, match="has 100 % of the traffic"):
        remove_variant(unique, "12")
    assert labels_of(endpoint) == {"team": "a"}


@pytest.mark.parametrize(
    ("split", "says"),
    [
        ({"12": 90}, "add up to 100"),
        ({"12": 120, "13": -20}, "0 to 100"),
        ({}, "add up to 100"),
        ({"99": 100}, "no deployed model 99: deployed are 12"),
    ],
)
def test_a_wrong_split_changes_nothing(endpoint, versions, split, says: str) -> None:
    add_variant(endpoint, versions[0], deployed_model_id="12")
    with pytest.raises(DeploymentError, match=says):
        set_traffic(endpoint, split)
    assert [v.share for v in list_variants(endpoint)] == [0]


def test_a_machine_that_does_not_exist_is_refused(endpoint, versions) -> None:
    with pytest.raises(DeploymentError, match="L4 is not an accelerator of Vertex AI"):
        add_variant(endpoint, versions[0], ServingMachine(accelerator_type="L4"))


def test_only_the_owner_of_a_lock_changes_a_locked_endpoint(endpoint, versions, unique) -> None:
    lock = EndpointLock.acquire(endpoint, "Experiment: colours", seconds=60)
    assert lock.owner == "experiment--colours"
    add_variant(endpoint, versions[0], deployed_model_id="12", lock=lock)
    for change in (
        lambda: set_traffic(endpoint, {"12": 100}),
        lambda: add_variant(endpoint, versions[1]),
        lambda: remove_variant(endpoint, "12"),
        lambda: EndpointLock.acquire(endpoint, "somebody", seconds=60),
    ):
        with pytest.raises(EndpointBusyError, match=f"{unique} is locked by experiment--colours"):
            change()
    set_traffic(endpoint, {"12": 100}, lock=lock)
    assert [v.share for v in list_variants(endpoint)] == [100]

    EndpointLock.acquire(endpoint, "somebody", seconds=60, take_over=True).release()
    with pytest.raises(LockLostError, match="which nobody has now"):
        set_traffic(endpoint, {"12": 100}, lock=lock)
    with pytest.raises(LockLostError):
        lock.release()
    set_traffic(endpoint, {"12": 100})
    assert labels_of(endpoint) == {"team": "a"}


def test_a_lock_is_taken_over_when_its_time_is_up_or_its_labels_are_broken(endpoint) -> None:
    EndpointLock.acquire(endpoint, "killed", seconds=-60)
    EndpointLock.acquire(endpoint, "next", seconds=60)

    def break_it(now) -> None:
        now.labels["lock-expires"] = "for-ever"

    change_endpoint(endpoint, break_it)
    EndpointLock.acquire(endpoint, "another", seconds=60).release()


def test_no_change_is_lost_when_many_are_made_at_once(endpoint) -> None:
    def add_label(number: int) -> None:
        def change(now) -> None:
            now.labels[f"n{number}"] = "1"

        change_endpoint(endpoint, change)

    with ThreadPoolExecutor(6) as pool:
        list(pool.map(add_label, range(12)))
    assert labels_of(endpoint) == {"team": "a"} | {f"n{number}": "1" for number in range(12)}


def test_of_many_that_lock_at_once_one_does(endpoint) -> None:
    def lock(number: int) -> bool:
        try:
            EndpointLock.acquire(endpoint, f"owner-{number}", seconds=60)
        except EndpointBusyError:
            return False
        return True

    with ThreadPoolExecutor(6) as pool:
        assert sum(pool.map(lock, range(6))) == 1


@pytest.mark.parametrize(
    ("shares", "whole"),
    [
        ({}, {}),
        ({"1": 0}, {}),
        ({"1": 90, "2": 10}, {"1": 90, "2": 10}),
        # Somebody has undeployed what had the rest.
        ({"1": 33, "2": 33}, {"1": 50, "2": 50}),
        ({"1": 10, "2": 20, "3": 0}, {"1": 33, "2": 67, "3": 0}),
    ],
)
def test_shares_that_are_left_are_made_whole(shares, whole) -> None:
    assert whole_shares(shares) == whole
