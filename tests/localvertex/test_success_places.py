"""docs/local.md lists where something becomes a success: all places, and tests that exist."""

import re
from pathlib import Path

import doctune

PACKAGE = Path(doctune.__file__).parent
TESTS = Path(__file__).parents[1]
PAGE = PACKAGE.parent / "docs" / "local.md"
# How the sources write that something has succeeded, is done, or was rightly not run.
SUCCESS = re.compile(
    r'Ended\(Outcome\.(SUCCEEDED|NOT_TRIGGERED)|state\("SUCCEEDED"\), \*\*|'
    r'"state": "SUCCEEDED"|"done": True|return "passed"|close\("SUCCEEDED"\)|'
    r'_end\(\w+, "NOT_TRIGGERED"|"task_cached": "SKIPPED"'
)


def rows():
    section = PAGE.read_text(encoding="utf-8").partition("## Tests of failures")[2]
    found = [line.strip("| ").split(" | ") for line in section.split("\n") if line.startswith("| ")]
    return found[1:]


def test_every_place_that_reports_a_success_is_listed():
    named = set(re.findall(r"`([\w/]+\.py)`", " ".join(place for place, *_ in rows())))
    places = {
        path.relative_to(PACKAGE).as_posix()
        for folder in ("localvertex", "runner")
        for path in (PACKAGE / folder).rglob("*.py")
        if SUCCESS.search(path.read_text(encoding="utf-8"))
    }
    assert len(places) > 5
    assert not places - named, f"docs/local.md lacks {places - named}"
    assert not [name for name in named if not (PACKAGE / name).is_file()]


def test_every_listed_test_exists():
    for place, state, tests in rows():
        cited = re.findall(r"`(?:([\w/]+\.py)::)?(test_\w+)`", tests)
        assert cited, (place, state)
        file = ""
        for path, name in cited:
            file = path or file
            text = (TESTS / file).read_text(encoding="utf-8")
            assert f"def {name}(" in text, f"{file}::{name}"
