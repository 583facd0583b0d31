"""A fake Compute Engine metadata server, which provides the default credentials.

Its tokens are dummies; localvertex does not check them.
"""

import secrets
import time

from aiohttp import web

from doctune.localvertex.config import LocalVertexConfig

_PREFIX = "/computeMetadata/v1"
_FLAVOR = {"Metadata-Flavor": "Google"}
_SCOPE = "https://www.googleapis.com/auth/cloud-platform"
TOKEN_SECONDS = 3600


def metadata_routes(config: LocalVertexConfig) -> list[web.RouteDef]:
    """Returns the routes of the metadata server."""
    email = f"localvertex@{config.project}.iam.gserviceaccount.com"
    accounts = f"{_PREFIX}/instance/service-accounts"
    texts = {
        "/": "computeMetadata/\n",
        f"{_PREFIX}/project/project-id": config.project,
        f"{_PREFIX}/project/numeric-project-id": config.project_number,
        f"{_PREFIX}/universe/universe-domain": "googleapis.com",
        f"{_PREFIX}/universe/universe_domain": "googleapis.com",
        f"{_PREFIX}/instance/zone": f"projects/{config.project_number}/zones/{config.location}-a",
        f"{_PREFIX}/instance/region": f"projects/{config.project_number}/regions/{config.location}",
        f"{accounts}/default/email": email,
        f"{accounts}/default/scopes": _SCOPE,
    }

    async def text(request: web.Request) -> web.Response:
        return web.Response(
            text=texts[request.path.rstrip("/") or "/"],
            headers=_FLAVOR,
            content_type="application/text",
        )

    async def account(request: web.Request) -> web.Response:
        details = {"aliases": ["default"], "email": email, "scopes": [_SCOPE]}
        shown = details if request.path.rstrip("/") != accounts else {"default": details}
        return web.json_response(shown, headers=_FLAVOR)

    async def token(_: web.Request) -> web.Response:
        return web.json_response(new_token(), headers=_FLAVOR)

    routes: list[web.RouteDef] = []
    for path in texts:
        routes.append(web.get(path, text))
        if path != "/":
            routes.append(web.get(f"{path}/", text))
    routes.append(web.get(f"{accounts}/", account))
    for name in ("default", email):
        routes.append(web.get(f"{accounts}/{name}/", account))
        routes.append(web.get(f"{accounts}/{name}/token", token))
    return routes


def new_token() -> dict[str, object]:
    """Returns the answer to a request for an access token."""
    return {
        "access_token": f"local.{int(time.time())}.{secrets.token_hex(8)}",
        "expires_in": TOKEN_SECONDS,
        "token_type": "Bearer",
    }
