"""The quota limits of a project, from the Cloud Quotas API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from doctune.compute.quotas import SERVICE
from doctune.errors import ConfigurationError
from doctune.vertex.errors import google_errors

if TYPE_CHECKING:
    from collections.abc import Iterable

    from google.cloud.cloudquotas_v1 import CloudQuotasClient
    from google.cloud.cloudquotas_v1.types import QuotaInfo


def limits_of(
    project: str, location: str, metrics: Iterable[str], client: CloudQuotasClient | None = None
) -> dict[str, int | None]:
    """Returns the project's limit of each metric in a region.

    Args:
        client: Google's client; one with the default credentials where None.

    Raises:
        ConfigurationError: There are no credentials, or Google refuses.
    """
    parent = f"projects/{project}/locations/global/services/{SERVICE}"
    wanted = set(metrics)
    limits: dict[str, int | None] = dict.fromkeys(sorted(wanted))
    with google_errors(f"read the quotas of project {project}", ConfigurationError):
        for info in (client or _client()).list_quota_infos(parent=parent):
            if info.metric in wanted:
                limits[info.metric] = _limit(info, location)
    return limits


def _limit(info: QuotaInfo, location: str) -> int | None:
    """Returns the limit in the region: its own entry, or else the one for all regions."""
    found: tuple[int, int] | None = None
    for entry in info.dimensions_infos:
        region = dict(entry.dimensions).get("region", "")
        if region and region != location:
            continue
        if not region and entry.applicable_locations and location not in entry.applicable_locations:
            continue
        rank = 2 if region else int(location in entry.applicable_locations)
        if found is None or rank > found[0]:
            found = (rank, int(entry.details.value))
    return found[1] if found else None


def _client() -> CloudQuotasClient:
    try:
        from google.cloud.cloudquotas_v1 import CloudQuotasClient
    except ImportError as error:
        raise ConfigurationError(
            "Google's client for quotas is missing: pip install google-cloud-quotas, or use "
            "--offline."
        ) from error
    return CloudQuotasClient(transport="rest")
