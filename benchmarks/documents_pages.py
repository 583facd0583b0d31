"""What is found on pages that readers lose: the share of facts that an engine's Markdown bears out.

    python benchmarks/documents_pages.py FOLDER... [--python INTERPRETER] [--failures] [--json]

A folder holds PDFs and `expected.jsonl`, a fact a line (see `documents_facts.py`). Every engine
that can be imported takes part (`--python` names another interpreter that has the peers); doctune
comes first. Each runs in a process of its own.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks import documents_engines as engines
from benchmarks.documents_facts import Fact, holds, read_facts

_TIMEOUT_SECONDS = 900.0


def main() -> None:
    arguments = _arguments()
    known = [
        (folder / fact.pdf, fact) for folder in arguments.folders for fact in read_facts(folder)
    ]
    files = sorted({str(path) for path, _ in known})
    names = list(engines.PAGE_ENGINES)
    if arguments.engines != "all":
        names = [name for name in names if name in arguments.engines.split(",")]
    report: dict[str, Any] = {}
    for name in names:
        read = _read(name, files, sys.executable if name == "doctune" else arguments.python)
        if isinstance(read, str):
            print(f"{name}: left out ({read})", file=sys.stderr)
            continue
        failed = [fact for path, fact in known if not holds(fact, _page(read[str(path)], fact))]
        report[name] = _shares([fact for _, fact in known], failed)
        if arguments.failures and name == "doctune":
            for fact in failed:
                print(json.dumps(fact.values, ensure_ascii=False))
    print(_table(report))
    if arguments.json:
        print(json.dumps(report))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("folders", nargs="+", type=Path, help="PDFs with their expected.jsonl")
    parser.add_argument("--engines", default="all", help="names with commas between")
    parser.add_argument("--python", default=sys.executable, help="interpreter that has the peers")
    parser.add_argument("--failures", action="store_true", help="print what doctune fails")
    parser.add_argument("--json", action="store_true", help="print the numbers as one last line")
    return parser.parse_args()


def _read(engine: str, files: Sequence[str], python: str) -> dict[str, list[str]] | str:
    """The Markdown of each file by page; why there is none if the engine cannot run."""
    root = Path(__file__).resolve().parents[1]
    program = Path(__file__).with_name("documents_engines.py")
    with tempfile.TemporaryDirectory() as out:
        environment = os.environ | ({"PYTHONPATH": str(root)} if engine == "doctune" else {})
        try:
            done = subprocess.run(
                [python, str(program), "pages", engine, out, "0", *files],
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                timeout=_TIMEOUT_SECONDS,
                env=environment,
            )
            report = json.loads(done.stdout.splitlines()[-1])
        except (subprocess.TimeoutExpired, IndexError, ValueError) as error:
            return type(error).__name__
        if "missing" in report:
            return str(report["missing"])
        if files and len(report["errors"]) == len(files):
            # It is installed but cannot run, for example without its models.
            return str(report["errors"][files[0]]).splitlines()[0]
        return {
            file: json.loads(Path(out, f"{number}.json").read_text("utf-8"))
            for number, file in enumerate(files)
        }


def _page(pages: Sequence[str], fact: Fact) -> str:
    """The page that a fact is about; an engine that tells no pages gives one for all."""
    if not pages:
        return ""
    return pages[fact.page - 1] if len(pages) >= fact.page else pages[0]


def _shares(facts: Sequence[Fact], failed: Sequence[Fact]) -> dict[str, Any]:
    """What passed, by kind and in all.

    A page of which nothing was read passes no fact, not even that something is absent from it.
    """
    asked, lost = Counter(f.kind for f in facts), Counter(f.kind for f in failed)
    shares = {kind: f"{asked[kind] - lost[kind]}/{asked[kind]}" for kind in sorted(asked)}
    return {**shares, "all": f"{len(facts) - len(failed)}/{len(facts)}"}


def _table(report: dict[str, dict[str, Any]]) -> str:
    columns = list(next(iter(report.values()), {}))
    lines = ["| engine | " + " | ".join(columns) + " |", "|---|" + "--:|" * len(columns)]
    for name, row in report.items():
        lines.append(f"| {name} | " + " | ".join(row[column] for column in columns) + " |")
    return "\n".join(lines)


if __name__ == "__main__":
    main()
