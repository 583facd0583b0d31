"""Renders pages as images, to be compared with the parsed text."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pypdfium2

_WIDTH = 620  # pixels
_MAX_HEIGHT = 2_000
_QUALITY = 60


def render_pages(path: Path, numbers: Sequence[int], password: str | None) -> list[dict[str, Any]]:
    """Returns a base64 JPEG of each page, with the page's number and size in points."""
    pictures = []
    with pypdfium2.PdfDocument(path, password=password) as document:
        for number in numbers:
            page = document[number - 1]
            width, height = page.get_size()
            scale = min(_WIDTH / max(width, 1), _MAX_HEIGHT / max(height, 1))
            buffer = io.BytesIO()
            image = page.render(scale=scale).to_pil().convert("RGB")
            image.save(buffer, "JPEG", quality=_QUALITY, optimize=True)
            pictures.append(
                {
                    "page": number,
                    "width": width,
                    "height": height,
                    "jpeg": base64.b64encode(buffer.getvalue()).decode("ascii"),
                }
            )
    return pictures
