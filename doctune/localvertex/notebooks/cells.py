"""Reads the cells of a notebook, and adapts or skips them before they run.

Only placeholders for the reader are changed: `PROJECT_ID = "[your-project-id]"` gets a value.
"""

import ast
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from doctune.errors import UsageError

_PLACEHOLDER = re.compile(r"\[your[^\]]*\]|your-|^$|<your|YOUR[_-]", re.IGNORECASE)
# Placeholders in Google's notebooks that have a fixed value here.
_PROJECT_NAMES = ("PROJECT_ID", "PROJECT", "project_id", "GOOGLE_CLOUD_PROJECT")
_LOCATION_NAMES = ("REGION", "LOCATION", "location", "region")
# A cell with one of these only logs in or restarts the kernel.
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
        """Its first line with code."""
        lines = [line.strip() for line in self.source.splitlines()]
        said = (
            [line for line in lines if line and not line.startswith("#")]
            or [line for line in lines if line]
            or [""]
        )
        return said[0][:72]


def read_cells(path: Path) -> list[Cell]:
    """Returns the non-empty code cells of a notebook.

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
    """Returns why a cell is skipped; empty if it is run."""
    for pattern, reason in _LEFT_OUT:
        if pattern.search(cell.source) and not _is_conditional(cell.source):
            return reason
    return ""


def prepared(source: str, values: Mapping[str, str], defaults: Mapping[str, str]) -> str:
    """Returns the adapted source of a cell.

    Args:
        values: What the user says: wins wherever the notebook sets the name to a constant.
        defaults: What placeholders of these names get.
    """
    source = _SWALLOWING_MAGIC.sub("", source)  # it would suppress errors
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
    """Returns the values of the usual placeholders."""
    return {
        **dict.fromkeys(_PROJECT_NAMES, project),
        **dict.fromkeys(_LOCATION_NAMES, location),
    }


def _is_placeholder(constant: object) -> bool:
    return isinstance(constant, str) and bool(_PLACEHOLDER.search(constant))


def _is_conditional(source: str) -> bool:
    """Whether a cell acts only in certain environments, such as Colab, and so does nothing here."""
    return bool(re.search(r"^\s*if .*(google\.colab|IS_COLAB|sys\.modules)", source, re.MULTILINE))


def _constants(source: str) -> list[tuple[int, int, str, object]]:
    """Returns the lines, the name and the value of each assignment of a constant."""
    try:
        # Shell lines and magics are not Python; they are not changed.
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
