"""IAM of projects: all permissions are granted."""

import re

from aiohttp import web

from doctune.localvertex.api.errors import invalid

HOST = "cloudresourcemanager.googleapis.com"

_TEST_PERMISSIONS = re.compile(r"/v3/projects/[^/]+:testIamPermissions")


def answers(request: web.Request) -> bool:
    """Returns whether a request is for IAM, whose messages are not in the method table."""
    host = request.host.partition(":")[0]
    return host == HOST and _TEST_PERMISSIONS.fullmatch(request.path) is not None


async def answer(request: web.Request) -> web.Response:
    """Grants the requested permissions."""
    body = await request.json() if request.can_read_body else {}
    asked = body.get("permissions", [])
    if not asked or any("*" in permission for permission in asked):
        error = invalid("permissions must not be empty, and wildcards are not allowed.")
        return web.json_response(error.rest_body(), status=error.status.http_code)
    return web.json_response({"permissions": asked})
