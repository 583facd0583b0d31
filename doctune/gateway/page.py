"""The pages: one HTML file, one script and one style sheet each, nothing from elsewhere."""

from pathlib import Path

from fastapi import FastAPI
from fastapi.responses import Response

_FOLDER = Path(__file__).parent / "static"
_FILES = {
    "/": ("chat.html", "text/html; charset=utf-8"),
    "/static/chat.js": ("chat.js", "text/javascript; charset=utf-8"),
    "/static/chat.css": ("chat.css", "text/css; charset=utf-8"),
    "/review": ("review.html", "text/html; charset=utf-8"),
    "/static/review.js": ("review.js", "text/javascript; charset=utf-8"),
    "/static/review.css": ("review.css", "text/css; charset=utf-8"),
    "/favicon.ico": ("icon.svg", "image/svg+xml"),
}
_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; "
        "img-src 'self' blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    ),
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cache-control": "no-cache",
}


def add_page(app: FastAPI) -> None:
    """Adds the page's routes; a key is asked for within the page."""
    for route, (name, media_type) in _FILES.items():
        content = (_FOLDER / name).read_bytes()
        app.add_api_route(route, _sender(content, media_type), include_in_schema=False)


def _sender(content: bytes, media_type: str):  # type: ignore[no-untyped-def] # FastAPI reads it
    async def send() -> Response:
        return Response(content, headers=_HEADERS, media_type=media_type)

    return send
