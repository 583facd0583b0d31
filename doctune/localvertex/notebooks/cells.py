"""The cells of a notebook, and what is changed or left out before they run.

Only what a reader fills in by hand is changed: `PROJECT_ID = "[your-project-id]"` gets a value.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from doctune.errors import UsageError

_PLACEHOLDER = re.compile(r"\[your[^\]]*\]|your-|^$|<your|YOUR[_-]", re.IGNORECASE)
# What a reader is asked for in Google's notebooks, and has one answer here.
_PROJECT_NAMES = ("PROJECT_ID", "PROJECT", "project_id", "GOOGLE_CLOUD_PROJECT")
_LOCATION_NAMES = ("REGION", "LOCATION", "location", "region")
# A cell with one of these does nothing but log in or start the kernel anew.
_LEFT_OUT = (
    (re.compile(r"google\.colab\s+import\s+auth|auth\.authenticate_user\("), "it logs in"),
    (re.compile(r"do_shutdown\(|IPython\.Application\.instance\("), "it starts the kernel anew"),
)
_SWALLOWING_MAGIC = re.compile(r"\A\s*%%capture[^\n]*\n")


@dataclass(frozen=True)
class Cell:
    """A code cell."""

    number: int  # from 1, among the code cells
    source: str

    @property
    def title(self) -> str:
        """Its first line that says something."""
        lines = [line.strip() for line in self.source.splitlines()]
        said = (
            [line for line in lines if line and not line.startswith("#")]
            or [line for line in lines if line]
            or [""]
        )
        return said[0][:72]


def read_cells(path: Path) -> list[Cell]:
    """Returns the code cells of a notebook that are not empty.

    Raises:
        UsageError: It is no notebook.
    """
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
        cells = document.get("cells") or document["worksheets"][0]["cells"]
        sources = [
            "".join(cell.get("source", cell.get("input", "")))
            for cell in cells
            if cell["cell_type"] == "code"
        ]
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError) as error:
        raise UsageError(f"{path} is not a Jupyter notebook: {error!r}.") from error
    filled = [source for source in sources if source.strip()]
    return [Cell(number, source) for number, source in enumerate(filled, start=1)]


def left_out(cell: Cell) -> str:
    """Returns why a cell is not run at all; empty where it is."""
    for pattern, reason in _LEFT_OUT:
        if pattern.search(cell.source) and not _is_conditional(cell.source):
            return reason
    return ""


def prepared(source: str, values: Mapping[str, str], defaults: Mapping[str, str]) -> str:
    """Returns what runs in place of a cell's source.

    Args:
        values: What the user says: wins wherever the notebook sets the name to a constant.
        defaults: What placeholders of these names get.
    """
    source = _SWALLOWING_MAGIC.sub("", source)  # it would keep errors to itself
    lines = source.split("\n")
    for start, end, name, constant in _constants(source):
        if name in values:
            replacement = values[name]
        elif name in defaults and (constant is None or _is_placeholder(constant)):
            replacement = defaults[name]
        else:
            continue
        indent = re.match(r"\s*", lines[start])
        lines[start] = f"{indent[0] if indent else ''}{name} = {replacement!r}"
        for number in range(start + 1, end):
            lines[number] = ""
    return "\n".join(lines)


def default_values(project: str, location: str) -> dict[str, str]:
    """Returns what the usual placeholders get."""
    return {
        **dict.fromkeys(_PROJECT_NAMES, project),
        **dict.fromkeys(_LOCATION_NAMES, location),
    }


def _is_placeholder(constant: object) -> bool:
    return isinstance(constant, str) and bool(_PLACEHOLDER.search(constant))


def _is_conditional(source: str) -> bool:
    """Whether a cell asks where it runs before it acts, so that nothing happens here."""
    return bool(re.search(r"^\s*if .*(google\.colab|IS_COLAB|sys\.modules)", source, re.MULTILINE))


def _constants(source: str) -> list[tuple[int, int, str, object]]:
    """Returns the lines, the name and the value of each assignment of a constant."""
    try:
        # Lines for the shell and magics are no Python; they stay as they are.
        tree = ast.parse(re.sub(r"(?m)^(\s*)[!%].*$", r"\1pass", source))
    except SyntaxError:
        return []
    return [
        (node.lineno - 1, node.end_lineno or node.lineno, node.targets[0].id, node.value.value)
        for node in ast.walk(tree)
        if isinstance(node, ast.Assign)
        and len(node.targets) == 1
        and isinstance(node.targets[0], ast.Name)
        and isinstance(node.value, ast.Constant)
    ]
