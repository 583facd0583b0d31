"""What a release that is under way writes down on the endpoint, for whoever has to finish it.

The journal is in the endpoint's labels, beside the lock, and is written in the same update as the
traffic that it speaks of. It tells how the traffic was before, what the release has deployed, and
whether it has come to its one point of no return: all of the traffic given to the version that
passed its test. Before that point a release that was killed is taken back, after it completed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from google.cloud.aiplatform_v1.types import Endpoint as EndpointMessage

_STATE, _ADDED, _RELEASED = "release-state", "release-added", "release-released"
_SHARE = "release-share-"
_TRYING, _COMMITTED = "trying", "committed"


@dataclass(frozen=True)
class Journal:
    """What is written down of a release."""

    before: Mapping[str, int]  # the traffic as it was, by the id of the deployed model
    added: str  # the id of what it deploys; "" where the version was deployed already
    released: str  # the id that all of the traffic was given to; "" before that


def read_journal(endpoint: EndpointMessage) -> Journal | None:
    """Returns the journal of an endpoint that has been read; None where no release is under way."""
    labels = endpoint.labels
    if _STATE not in labels:
        return None
    before = {
        key.removeprefix(_SHARE): int(value)
        for key, value in labels.items()
        if key.startswith(_SHARE) and value.isdigit()
    }
    return Journal(before, labels.get(_ADDED, ""), labels.get(_RELEASED, ""))


def open_journal(endpoint: EndpointMessage) -> None:
    """Begins a journal with the traffic as it is."""
    close_journal(endpoint)
    endpoint.labels[_STATE] = _TRYING
    for key, share in endpoint.traffic_split.items():
        if share:
            endpoint.labels[f"{_SHARE}{key}"] = str(share)


def note_added(endpoint: EndpointMessage, deployed_model_id: str) -> None:
    """Writes down what is about to be deployed."""
    endpoint.labels[_ADDED] = deployed_model_id


def commit(endpoint: EndpointMessage, deployed_model_id: str) -> None:
    """Gives a deployed model all of the traffic, for good."""
    endpoint.labels[_STATE] = _COMMITTED
    endpoint.labels[_RELEASED] = deployed_model_id
    endpoint.traffic_split = {
        deployed.id: 100 if deployed.id == deployed_model_id else 0
        for deployed in endpoint.deployed_models
    }


def take_back_traffic(endpoint: EndpointMessage, before: Mapping[str, int]) -> None:
    """Divides the traffic as it was, between those that are still deployed."""
    there = [deployed.id for deployed in endpoint.deployed_models]
    split = whole_shares({key: before.get(key, 0) for key in there})
    endpoint.traffic_split = {key: split.get(key, 0) for key in there} if split else {}


def close_journal(endpoint: EndpointMessage) -> None:
    """Removes the journal."""
    for key in list(endpoint.labels):
        if key in (_STATE, _ADDED, _RELEASED) or key.startswith(_SHARE):
            del endpoint.labels[key]


def whole_shares(shares: Mapping[str, int]) -> dict[str, int]:
    """Returns shares in the same proportion that add up to 100; none where all are 0."""
    total = sum(shares.values())
    if not total:
        return {}
    split = {key: share * 100 // total for key, share in shares.items()}
    # What rounding down leaves over goes to the largest.
    split[max(shares, key=lambda key: shares[key])] += 100 - sum(split.values())
    return split
