"""The journal of a release in progress, kept on the endpoint so that others can finish it.

The journal is in the endpoint's labels, beside the lock, and is written in the same update as
the traffic it describes. It holds the previous traffic split, the deployed model that the release
added, and whether the release has committed: given all traffic to the version that passed its test.
A release that was killed is rolled back if it had not committed, and completed if it had.
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
    """The journal of a release."""

    before: Mapping[str, int]  # the previous traffic split, by deployed model id
    added: str  # id of the deployed model it adds; "" where the version was deployed already
    released: str  # id of the deployed model that got all traffic; "" before the commit


def read_journal(endpoint: EndpointMessage) -> Journal | None:
    """Returns the journal in an endpoint's labels; None where no release is in progress."""
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
    """Starts a journal with the current traffic split."""
    close_journal(endpoint)
    endpoint.labels[_STATE] = _TRYING
    for key, share in endpoint.traffic_split.items():
        if share:
            endpoint.labels[f"{_SHARE}{key}"] = str(share)


def note_added(endpoint: EndpointMessage, deployed_model_id: str) -> None:
    """Records the deployed model that is about to be added."""
    endpoint.labels[_ADDED] = deployed_model_id


def commit(endpoint: EndpointMessage, deployed_model_id: str) -> None:
    """Gives a deployed model all traffic, and marks the release as committed."""
    endpoint.labels[_STATE] = _COMMITTED
    endpoint.labels[_RELEASED] = deployed_model_id
    endpoint.traffic_split = {
        deployed.id: 100 if deployed.id == deployed_model_id else 0
        for deployed in endpoint.deployed_models
    }


def restore_traffic(endpoint: EndpointMessage, before: Mapping[str, int]) -> None:
    """Restores the previous traffic split among the models that are still deployed."""
    there = [deployed.id for deployed in endpoint.deployed_models]
    split = whole_shares({key: before.get(key, 0) for key in there})
    endpoint.traffic_split = {key: split.get(key, 0) for key in there} if split else {}


def close_journal(endpoint: EndpointMessage) -> None:
    """Removes the journal."""
    for key in list(endpoint.labels):
        if key in (_STATE, _ADDED, _RELEASED) or key.startswith(_SHARE):
            del endpoint.labels[key]


def whole_shares(shares: Mapping[str, int]) -> dict[str, int]:
    """Scales shares so that they add up to 100; returns none where all are 0."""
    total = sum(shares.values())
    if not total:
        return {}
    split = {key: share * 100 // total for key, share in shares.items()}
    # The remainder of rounding down goes to the largest.
    split[max(shares, key=lambda key: shares[key])] += 100 - sum(split.values())
    return split
