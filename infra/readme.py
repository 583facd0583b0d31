"""Write the README of each Terraform module from its variables and outputs.

    python infra/readme.py [--check]

With --check nothing is written; exit code 1 where a README is not what it would be.
"""

import argparse
import re
import sys
from pathlib import Path
from typing import Any

import hcl2

HERE = Path(__file__).parent


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="Write nothing; say what differs.")
    check = parser.parse_args(arguments).check
    stale = [folder for folder in folders() if not up_to_date(folder)]
    for folder in stale:
        if check:
            sys.stderr.write(f"{folder / 'README.md'} is not up to date: python infra/readme.py\n")
        else:
            (folder / "README.md").write_text(readme(folder))
    return int(check and bool(stale))


def folders() -> list[Path]:
    """Returns every folder that Terraform can be run in or called from."""
    return [HERE, *sorted(path.parent for path in HERE.glob("*/*/variables.tf"))]


def up_to_date(folder: Path) -> bool:
    """Returns whether a folder's README is what `readme` makes."""
    path = folder / "README.md"
    return path.is_file() and path.read_text() == readme(folder)


def readme(folder: Path) -> str:
    """Returns the README of one folder: what it is for, its variables, its outputs."""
    title = folder.name if folder == HERE else f"{folder.parent.name}/{folder.name}"
    parts = [f"# {title}", "", purpose(folder), ""]
    parts += ["| variable | type | default | what it is |", "|---|---|---|---|"]
    for name, variable in blocks(folder / "variables.tf", "variable"):
        default = expression(variable["default"]) if "default" in variable else "required"
        cells = (f"`{name}`", f"`{expression(variable['type'])}`", default, text(variable))
        parts.append("| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |")
    parts += ["", "| output | what it is |", "|---|---|"]
    for name, output in blocks(folder / "outputs.tf", "output"):
        parts.append(f"| `{name}` | {text(output)} |")
    return "\n".join([*parts, "", "Made by `python infra/readme.py`.", ""])


def purpose(folder: Path) -> str:
    """Returns the comment that opens main.tf, as one paragraph a block of lines."""
    lines = []
    for line in (folder / "main.tf").read_text().splitlines():
        if not line.startswith("#"):
            break
        lines.append(line.removeprefix("#").strip())
    return "\n".join(lines)


def blocks(path: Path, kind: str) -> list[tuple[str, dict[str, Any]]]:
    """Returns name and body of each block of a kind, in the file's order."""
    parsed = hcl2.loads(path.read_text()).get(kind, [])
    return [(name.strip('"'), body) for block in parsed for name, body in block.items()]


def text(block: dict[str, Any]) -> str:
    return str(block["description"]).strip('"').replace('\\"', '"')


def expression(value: Any) -> str:
    """Returns an expression as it is written, on one line."""
    if isinstance(value, str):
        return re.sub(r"\s+", " ", value.removeprefix("${").removesuffix("}"))
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(expression(item) for item in value) + "]"
    if isinstance(value, dict):
        inner = (f"{key} = {expression(item)}" for key, item in value.items())
        return "{" + ", ".join(inner) + "}"
    return "null" if value is None else str(value)


if __name__ == "__main__":
    sys.exit(main())
