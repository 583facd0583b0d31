"""Authentication: by a key of the gateway, or by an identity token of a configured issuer."""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

from doctune.gateway.keys import KeyStore, Principal
from doctune.gateway.options import OidcOptions
from doctune.gateway.problems import GatewayError

logger = logging.getLogger("doctune.gateway")

_KEYS_SECONDS = 0.5
_JWKS_SECONDS = 300
# After a fetch: a new key is taken so much later at most, and made-up keys cost no more fetches.
_COOLDOWN_SECONDS = 2
_FETCH_SECONDS = 5
# While an issuer's keys cannot be fetched, requests do not queue up for another attempt.
_AWAY_SECONDS = 5.0
_MOST_NAME = 128  # characters, as the column of the owner has


class Identities:
    """Authenticates requests."""

    def __init__(self, keys: KeyStore, issuers: Sequence[OidcOptions]) -> None:
        self._keys = keys
        self._issuers = [_Issuer(options) for options in issuers]
        self._reading: asyncio.Future[None] | None = None

    async def of(self, headers: Mapping[str, str], scope: str) -> Principal:
        """Returns the authenticated caller.

        Raises:
            GatewayError: 401 if nobody is known by that key or token, 403 if the scope is missing,
                503 if the keys of the token's issuer cannot be fetched.
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
        """Reloads the keys; waits only briefly for a database that hangs."""
        if self._reading is None or self._reading.done():
            self._reading = asyncio.ensure_future(asyncio.to_thread(self._keys.refresh))
        if not self._keys.failing:
            await asyncio.wait({self._reading}, timeout=_KEYS_SECONDS)

    async def _by_issuer(self, headers: Mapping[str, str], bearer: str) -> Principal | None:
        for issuer in self._issuers:
            header = issuer.options.header.lower()
            token = bearer if header == "authorization" else headers.get(header, "")
            # Other issuers' tokens are no reason to fetch this one's keys.
            if token.count(".") != 2 or _claimed_issuer(token) != issuer.options.issuer:
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
            timeout=_FETCH_SECONDS,
            cooldown_duration=_COOLDOWN_SECONDS,
        )
        self._away_until = float("-inf")

    def _groups(self, claims: dict[str, Any]) -> frozenset[str]:
        named = claims.get(self.options.groups_claim) if self.options.groups_claim else None
        return frozenset(map(str, named)) if isinstance(named, list) else frozenset()

    def check(self, token: str) -> Principal | None:
        """Returns the caller that a token identifies, or None if it is not valid. May block.

        Raises:
            GatewayError: 503: the issuer's keys cannot be fetched, so nobody can say.
        """
        import jwt

        if time.monotonic() < self._away_until:
            raise _issuer_is_away()
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
        except jwt.PyJWTError as error:
            if isinstance(error, jwt.PyJWKClientConnectionError):
                raise self._away(error) from error
            return None
        except (OSError, ValueError) as error:
            raise self._away(error) from error  # the connection broke, or it sent no JSON
        name = _bounded(str(claims.get("email") or claims["sub"]))
        return Principal(
            id=hashlib.sha256(f"{claims['iss']} {claims['sub']}".encode()).hexdigest()[:32],
            name=name,
            owner=name,
            scopes=frozenset(self.options.scopes),
            groups=self._groups(claims),
        )

    def _away(self, error: Exception) -> GatewayError:
        logger.warning(
            "The keys of %s cannot be fetched: %s", self.options.issuer, type(error).__name__
        )
        cached = self._keys.jwk_set_cache
        if cached is None or cached.get() is None:
            # With keys at hand, a made-up key id must not keep everybody else out.
            self._away_until = time.monotonic() + _AWAY_SECONDS
        return _issuer_is_away()


def _claimed_issuer(token: str) -> str:
    """Returns the issuer that a token names, unverified; "" where it names none."""
    import jwt

    try:
        return str(jwt.decode(token, options={"verify_signature": False}).get("iss", ""))
    except (jwt.PyJWTError, RecursionError):
        return ""


def _bounded(name: str) -> str:
    """Returns a name that the database can keep; a longer one's digest, so that none is cut."""
    return name if len(name) <= _MOST_NAME else hashlib.sha256(name.encode()).hexdigest()


def _issuer_is_away() -> GatewayError:
    return GatewayError(
        503,
        "The token cannot be checked now: the keys of its issuer cannot be fetched. Try again.",
        code="issuer_unavailable",
        retry_after=_AWAY_SECONDS,
    )
