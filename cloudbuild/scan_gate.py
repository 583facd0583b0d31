"""Decide from Artifact Analysis scans whether images may be used.

    python -m cloudbuild.scan_gate --worst MEDIUM [--allow-unfixed] scans/ops.json [...]

Each file holds what `gcloud artifacts docker images list-vulnerabilities --format json` printed of
one image. A finding worse than `--worst` blocks, unless `cloudbuild/accepted.yaml` accepts it until
a day that has not come. Exit code 1: something blocks. Exit code 2: a file is not a scan.
"""

import argparse
import json
import sys
from dataclasses import dataclass
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import yaml
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from doctune.errors import DoctuneError, UsageError

ACCEPTED = Path(__file__).parent / "accepted.yaml"
SEVERITIES = ("MINIMAL", "LOW", "MEDIUM", "HIGH", "CRITICAL")


class Acceptance(BaseModel):
    """A known vulnerability that is accepted for a limited time."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    id: str  # such as CVE-2026-1234
    reason: str = Field(min_length=10)
    until: date  # the last day on which it is accepted


@dataclass(frozen=True)
class Finding:
    """One vulnerability of one package in one image."""

    image: str
    id: str
    severity: str  # one of SEVERITIES
    package: str
    version: str
    fixed_in: str  # "" where there is no fix


def main(arguments: list[str] | None = None) -> int:
    """Prints what blocks and what does not; returns the exit code."""
    options = _arguments(arguments)
    try:
        accepted = read_acceptances(options.accepted)
        findings = [finding for path in options.scans for finding in read_scan(path)]
    except DoctuneError as error:
        print(f"scan_gate: {error}", file=sys.stderr)
        return error.exit_code
    today = datetime.now(UTC).date()
    verdicts = [
        (finding, judge(finding, options.worst, accepted, today, options.allow_unfixed))
        for finding in findings
    ]
    for finding, verdict in sorted(verdicts, key=_rank):
        fix = f"fixed in {finding.fixed_in}" if finding.fixed_in else "no fix"
        print(
            f"{verdict:<9} {finding.severity:<9} {finding.image:<12} {finding.id:<18} "
            f"{finding.package} {finding.version} ({fix})"
        )
    blocking = sum(verdict == "BLOCKS" for _, verdict in verdicts)
    print(f"{len(findings)} findings in {len(options.scans)} images, {blocking} of them block.")
    return 1 if blocking else 0


def judge(
    finding: Finding,
    worst: str,
    accepted: dict[str, Acceptance],
    today: date,
    allow_unfixed: bool,
) -> str:
    """Returns "BLOCKS", "accepted", "unfixed" or "below".

    Args:
        worst: The worst severity that does not block.
        allow_unfixed: Whether vulnerabilities without a fix may pass. Critical ones never do.
    """
    if SEVERITIES.index(finding.severity) <= SEVERITIES.index(worst):
        return "below"
    acceptance = accepted.get(finding.id)
    if acceptance is not None and today <= acceptance.until:
        return "accepted"
    if allow_unfixed and not finding.fixed_in and finding.severity != "CRITICAL":
        return "unfixed"
    return "BLOCKS"


def read_scan(path: Path) -> list[Finding]:
    """Returns the findings of one image, which is called what the file is called.

    Raises:
        UsageError: The file is missing or holds no list of findings.
    """
    try:
        occurrences = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(occurrences, list):
            raise TypeError(type(occurrences).__name__)
        return [
            finding
            for occurrence in occurrences
            for finding in _findings(path.stem, occurrence["noteName"], occurrence["vulnerability"])
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise UsageError(
            f"{path} is no scan: it must hold what `gcloud artifacts docker images "
            f"list-vulnerabilities --format json` prints ({type(error).__name__})."
        ) from error


def read_acceptances(path: Path) -> dict[str, Acceptance]:
    """Returns what is accepted, by id.

    Raises:
        UsageError: The file is missing or not such a list.
    """
    try:
        entries = TypeAdapter(list[Acceptance]).validate_python(
            yaml.safe_load(path.read_text(encoding="utf-8"))
        )
    except (OSError, yaml.YAMLError, ValidationError) as error:
        raise UsageError(f"{path} is no list of id, reason and until: {error}") from error
    return {entry.id: entry for entry in entries}


def _findings(image: str, note: str, vulnerability: dict[str, Any]) -> list[Finding]:
    severity = vulnerability.get("effectiveSeverity", "SEVERITY_UNSPECIFIED")
    if severity not in SEVERITIES:
        severity = vulnerability.get("severity", "")
    return [
        Finding(
            image=image,
            id=vulnerability.get("shortDescription") or note.rpartition("/")[2],
            # A vulnerability without a rating may be critical.
            severity=severity if severity in SEVERITIES else "HIGH",
            package=issue["affectedPackage"],
            version=issue.get("affectedVersion", {}).get("fullName", "?"),
            # The fixed version of what has no fix is a "maximum", without a name.
            fixed_in=issue.get("fixedVersion", {}).get("fullName", ""),
        )
        for issue in vulnerability["packageIssue"]
    ]


def _rank(item: tuple[Finding, str]) -> tuple[bool, int, str, str, str]:
    finding, verdict = item
    worse_first = -SEVERITIES.index(finding.severity)
    return verdict != "BLOCKS", worse_first, finding.image, finding.id, finding.package


def _arguments(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m cloudbuild.scan_gate", description=str(__doc__).splitlines()[0]
    )
    parser.add_argument("scans", type=Path, nargs="+", help="a JSON file for each image")
    parser.add_argument("--worst", choices=SEVERITIES, default="MEDIUM", help="what may pass")
    parser.add_argument(
        "--allow-unfixed", action="store_true", help="let pass what has no fix and is not critical"
    )
    parser.add_argument("--accepted", type=Path, default=ACCEPTED, help="what is borne for a while")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
