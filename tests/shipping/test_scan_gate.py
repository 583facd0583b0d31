"""What Artifact Analysis found decides whether images may be used."""

import json
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import pytest
import yaml

from cloudbuild.scan_gate import ACCEPTED, main, read_acceptances, read_scan


def occurrence(
    severity: str, *, fixed_in: str = "", name: str = "CVE-2026-0001", kind: str = "MAXIMUM"
) -> dict[str, object]:
    """An occurrence as `gcloud artifacts docker images list-vulnerabilities` prints it."""
    fixed = {"kind": "NORMAL", "fullName": fixed_in} if fixed_in else {"kind": kind}
    return {
        "kind": "VULNERABILITY",
        "noteName": f"projects/goog-vulnz/notes/{name}",
        "vulnerability": {
            "effectiveSeverity": severity,
            "severity": "HIGH",
            "shortDescription": name,
            "packageIssue": [
                {
                    "affectedPackage": "openssl",
                    "affectedVersion": {"fullName": "3.0.1"},
                    "fixedVersion": fixed,
                }
            ],
        },
    }


def gate(folder: Path, *found: dict[str, object], options: list[str] | None = None) -> int:
    scan = folder / "ops.json"
    scan.write_text(json.dumps(found))
    return main([*(options or []), str(scan)])


@pytest.mark.parametrize(
    ("severity", "fixed_in", "options", "code"),
    [
        ("LOW", "3.0.2", [], 0),
        ("MEDIUM", "3.0.2", [], 0),
        ("HIGH", "3.0.2", [], 1),
        ("CRITICAL", "3.0.2", [], 1),
        ("HIGH", "", [], 1),
        ("HIGH", "", ["--allow-unfixed"], 0),
        ("HIGH", "3.0.2", ["--allow-unfixed"], 1),
        ("CRITICAL", "", ["--allow-unfixed"], 1),
        ("HIGH", "3.0.2", ["--worst", "HIGH"], 0),
        ("MINIMAL", "3.0.2", ["--worst", "MINIMAL"], 0),
        ("LOW", "3.0.2", ["--worst", "MINIMAL"], 1),
    ],
)
def test_what_is_worse_than_the_worst_allowed_blocks(
    tmp_path: Path, severity: str, fixed_in: str, options: list[str], code: int
) -> None:
    assert gate(tmp_path, occurrence(severity, fixed_in=fixed_in), options=options) == code


def test_what_nobody_has_rated_counts_as_its_own_severity_or_as_high(tmp_path: Path) -> None:
    rated = occurrence("SEVERITY_UNSPECIFIED", fixed_in="3.0.2")
    unrated = json.loads(json.dumps(rated))
    unrated["vulnerability"]["severity"] = "SEVERITY_UNSPECIFIED"

    assert gate(tmp_path, rated) == 1
    assert gate(tmp_path, unrated) == 1


def test_an_image_without_findings_passes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert gate(tmp_path) == 0
    assert capsys.readouterr().out == "0 findings in 1 images, 0 of them block.\n"


def test_the_findings_are_shown_what_blocks_first(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gate(tmp_path, occurrence("LOW"), occurrence("HIGH", fixed_in="3.0.2", name="CVE-2026-0002"))

    first, second, last = capsys.readouterr().out.splitlines()
    assert " ".join(first.split()) == (
        "BLOCKS HIGH ops CVE-2026-0002 openssl 3.0.1 (fixed in 3.0.2)"
    )
    assert " ".join(second.split()) == "below LOW ops CVE-2026-0001 openssl 3.0.1 (no fix)"
    assert last == "2 findings in 1 images, 1 of them block."


@pytest.mark.parametrize(("days", "code"), [(0, 0), (30, 0), (-1, 1)])
def test_an_acceptance_ends(tmp_path: Path, days: int, code: int) -> None:
    until = datetime.now(UTC).date() + timedelta(days=days)
    accepted = tmp_path / "accepted.yaml"
    entry = {"id": "CVE-2026-0001", "reason": "not reachable from a step", "until": until}
    accepted.write_text(yaml.safe_dump([entry]))

    found = occurrence("CRITICAL", fixed_in="3.0.2")

    assert gate(tmp_path, found, options=["--accepted", str(accepted)]) == code


@pytest.mark.parametrize("text", ["", "{}", "[1]", '[{"noteName": "x"}]', "not JSON"])
def test_what_is_no_scan_never_passes(
    tmp_path: Path, text: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "ops.json").write_text(text)

    assert main([str(tmp_path / "ops.json")]) == 2
    assert "is no scan" in capsys.readouterr().err


def test_a_missing_scan_never_passes(tmp_path: Path) -> None:
    assert main([str(tmp_path / "missing.json")]) == 2


@pytest.mark.parametrize(
    "entry",
    [
        {"id": "CVE-1", "reason": "short", "until": date(2026, 1, 1)},
        {"id": "CVE-1", "reason": "long enough to be one"},
        {"id": "CVE-1", "reason": "long enough to be one", "until": "soon"},
    ],
)
def test_an_acceptance_needs_a_reason_and_an_end(tmp_path: Path, entry: dict[str, object]) -> None:
    accepted = tmp_path / "accepted.yaml"
    accepted.write_text(yaml.safe_dump([entry]))

    assert gate(tmp_path, options=["--accepted", str(accepted)]) == 2


def test_the_acceptances_of_this_repository_can_be_read() -> None:
    assert all(entry.id for entry in read_acceptances(ACCEPTED).values())


def test_each_package_of_a_finding_counts(tmp_path: Path) -> None:
    found = json.loads(json.dumps(occurrence("HIGH", fixed_in="3.0.2")))
    found["vulnerability"]["packageIssue"] *= 2
    (tmp_path / "ops.json").write_text(json.dumps([found]))

    assert len(read_scan(tmp_path / "ops.json")) == 2
