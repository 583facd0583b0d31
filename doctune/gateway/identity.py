"""Who asks: a key of the gateway, or a token of an issuer that the settings name."""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Mapping, Sequence
from typing import Any

from doctune.gateway.keys import KeyStore, Principal
from doctune.gateway.options import OidcOptions
from doctune.gateway.problems import GatewayError

_KEYS_SECONDS = 0.5
_JWKS_SECONDS = 300
# After a fetch: a new key is taken so much later at most, and made-up keys cost no more fetches.
_COOLDOWN_SECONDS = 2


class Identities:
    """Finds out who asks."""

    def __init__(self, keys: KeyStore, issuers: Sequence[OidcOptions]) -> None:
        self._keys = keys
        self._issuers = [_Issuer(options) for options in issuers]
        self._reading: asyncio.Future[None] | None = None

    async def of(self, headers: Mapping[str, str], scope: str) -> Principal:
        """Returns who asks.

        Raises:
            GatewayError: 401 where nobody can be told, 403 without the scope.
        """
        if self._keys.stale:
            await self._read_keys()
        kind, _, token = headers.get("authorization", "").partition(" ")
        token = token.strip() if kind.lower() == "bearer" else ""
        principal = self._keys.find(token) if token else None
        if principal is None and token and self._reading is not None and not self._reading.done():
            # Another request is reading the keys: this one may be among those that are new.
            await asyncio.wait({self._reading}, timeout=_KEYS_SECONDS)
            principal = self._keys.find(token)
        if principal is None:
            principal = await self._by_issuer(headers, token)
        if principal is None:
            raise GatewayError(
                401,
                "No valid key was given: send the header Authorization: Bearer KEY."
                if not token
                else "The key is not valid: it is unknown, revoked or expired.",
                code="invalid_api_key",
            )
        if scope not in principal.scopes:
            raise GatewayError(
                403,
                f"This key lacks the scope {scope}: ask for one that has it "
                f"(doctune gateway keys create --name NAME --scope {scope}).",
                code="missing_scope",
            )
        return principal

    async def _read_keys(self) -> None:
        """Reads the keys again; a database that hangs is waited for a moment only."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._keys.refresh))
        if not self._keys.failing:
            await asyncio.wait({self._reading}, timeout=_KEYS_SECONDS)

    async def _by_issuer(self, headers: Mapping[str, str], bearer: str) -> Principal | None:
        for issuer in self._issuers:
            header = issuer.options.header.lower()
            token = bearer if header == "authorization" else headers.get(header, "")
            if token.count(".") != 2:
                continue
            principal = await asyncio.to_thread(issuer.check, token)
            if principal is not None:
                return principal
        return None


class _Issuer:
    """Checks the tokens of one issuer; its keys are fetched again when an unknown one is used."""

    def __init__(self, options: OidcOptions) -> None:
        import jwt

        self.options = options
        self._keys = jwt.PyJWKClient(
            # Single keys are not kept beside the set: one that is withdrawn must not stay valid.
            options.jwks_url,
            cache_keys=False,
            lifespan=_JWKS_SECONDS,
            timeout=10,
            cooldown_duration=_COOLDOWN_SECONDS,
        )

    def _groups(self, claims: dict[str, Any]) -> frozenset[str]:
        named = claims.get(self.options.groups_claim) if self.options.groups_claim else None
        return frozenset(map(str, named)) if isinstance(named, list) else frozenset()

    def check(self, token: str) -> Principal | None:
        """Returns whom a token names; None where it is not valid. May block."""
        import jwt

        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._keys.get_signing_key_from_jwt(token).key,
                algorithms=self.options.algorithms,
                audience=self.options.audience,
                issuer=self.options.issuer,
                options={"require": ["exp", "iss", "aud", "sub"]},
                leeway=10,
            )
        except jwt.PyJWTError:
            return None
        name = str(claims.get("email") or claims["sub"])
        return Principal(
            id=hashlib.sha256(f"{claims['iss']} {claims['sub']}".encode()).hexdigest()[:32],
            name=name,
            owner=name,
            scopes=frozenset(self.options.scopes),
            groups=self._groups(claims),
        )
