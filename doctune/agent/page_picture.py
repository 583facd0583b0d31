"""Renders a source's page with its box drawn, in a separate process with limits.

`page_picture` starts `python -m doctune.agent.page_picture`, since a PDF is foreign input: what a
file breaks is that process. It takes a JSON object on standard input and gives a PNG.
"""

from __future__ import annotations

import contextlib
import io
import json
import subprocess
import sys
from collections.abc import Sequence
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING

from doctune.digests import digest_file
from doctune.errors import StorageError

if TYPE_CHECKING:
    from doctune.knowledge import Source

_SECONDS = 20.0
_MEMORY = 1 << 30
_WIDTH = 1000  # pixels
_MOST_HEIGHT = 3000
_MARGIN = 3.0  # points around the box
_FILL, _LINE = (255, 213, 0, 70), (214, 118, 0, 255)


class PageUnavailableError(StorageError):
    """The page cannot be rendered."""


def page_picture(pdfs: Path, source: Source) -> bytes:
    """Renders a source's page as a PNG with a frame around the source.

    Args:
        pdfs: The folder of the PDFs that were indexed.

    Raises:
        PageUnavailableError: The file is missing, has changed, or cannot be rendered.
    """
    path = find_pdf(pdfs, source)
    request = {"path": str(path), "page": source.page, "box": list(source.box)}
    try:
        done = subprocess.run(
            [sys.executable, "-m", "doctune.agent.page_picture"],
            input=json.dumps(request).encode(),
            capture_output=True,
            timeout=_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise PageUnavailableError(
            f"page {source.page} of {source.file} takes longer than {_SECONDS:.0f} s to render."
        ) from error
    if done.returncode or not done.stdout.startswith(b"\x89PNG"):
        raise PageUnavailableError(f"page {source.page} of {source.file} cannot be rendered.")
    return done.stdout


def find_pdf(pdfs: Path, source: Source) -> Path:
    """Returns the PDF of a source.

    Raises:
        PageUnavailableError: The file is not in the folder, or has changed since it was indexed.
    """
    root = pdfs.resolve()
    path = (root / source.file).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        raise PageUnavailableError(f"{source.file} is not in the folder of PDFs.")
    status = path.stat()
    if _digest(path, status.st_mtime_ns, status.st_size) != source.doc_id:
        raise PageUnavailableError(f"{source.file} has changed since it was indexed.")
    return path


@lru_cache(maxsize=256)
def _digest(path: Path, _modified: int, _size: int) -> str:
    return digest_file(path)


def draw(path: Path, page: int, box: Sequence[float]) -> bytes:
    """Renders a page as a PNG with a frame around a box; an empty box is not drawn.

    Args:
        box: Left, top, right and bottom in points, from the page's top left corner.
    """
    import pypdfium2
    from PIL import Image, ImageDraw

    with pypdfium2.PdfDocument(path) as document:
        shown = document[page - 1]
        width, height = shown.get_size()
        scale = min(_WIDTH / max(width, 1), _MOST_HEIGHT / max(height, 1))
        image = shown.render(scale=scale).to_pil().convert("RGBA")
    left, top, right, bottom = box
    if right > left and bottom > top:
        frame = [
            (left - _MARGIN) * scale,
            (top - _MARGIN) * scale,
            (right + _MARGIN) * scale,
            (bottom + _MARGIN) * scale,
        ]
        over = Image.new("RGBA", image.size, (0, 0, 0, 0))
        ImageDraw.Draw(over).rectangle(frame, fill=_FILL, outline=_LINE, width=3)
        image = Image.alpha_composite(image, over)
    buffer = io.BytesIO()
    image.convert("RGB").save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def _limit_resources() -> None:
    with contextlib.suppress(ImportError):
        import resource

        limits = ((resource.RLIMIT_DATA, _MEMORY), (resource.RLIMIT_CORE, 0))
        for name, limit in (*limits, (resource.RLIMIT_FSIZE, 0)):
            with contextlib.suppress(ValueError, OSError):
                resource.setrlimit(name, (limit, limit))


def _main() -> None:
    _limit_resources()
    request = json.loads(sys.stdin.buffer.read())
    sys.stdout.buffer.write(draw(Path(request["path"]), request["page"], request["box"]))


if __name__ == "__main__":
    _main()
