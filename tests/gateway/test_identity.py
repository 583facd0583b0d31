"""Tokens of an OIDC issuer, which a test starts and whose keys it rotates."""

import base64
import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from doctune.localvertex.ports import free_port
from tests.gateway.conftest import Gateway, start_gateway, stop_gateway
from tests.gateway.test_answers import logged, until
from tests.gateway.upstream import FakeUpstream

AUDIENCE = "gateway-of-tests"
IAP = "x-goog-iap-jwt-assertion"


class Issuer:
    """Signs tokens and publishes its keys."""

    def __init__(self) -> None:
        self.keys: dict[str, Any] = {}
        self.fetched = 0
        self.url = ""

    def rotate(self, name: str, *, elliptic: bool = False) -> None:
        """Publishes a new key, and none of the old ones."""
        key: Any = (
            ec.generate_private_key(ec.SECP256R1())
            if elliptic
            else rsa.generate_private_key(public_exponent=65537, key_size=2048)
        )
        self.keys = {name: key}

    def token(self, *, algorithm: str = "RS256", key: Any = None, **claims: Any) -> str:
        (name, own), *_ = self.keys.items()
        now = int(time.time())
        body = {
            "iss": self.url,
            "aud": AUDIENCE,
            "sub": "1234",
            "email": "ana@example.com",
            "iat": now,
            "exp": now + 300,
            **claims,
        }
        return jwt.encode(body, key or own, algorithm, headers={"kid": name})

    def jwks(self) -> bytes:
        self.fetched += 1
        found = []
        for name, key in self.keys.items():
            kind: Any = (
                jwt.algorithms.ECAlgorithm
                if isinstance(key, ec.EllipticCurvePrivateKey)
                else jwt.algorithms.RSAAlgorithm
            )
            found.append({**kind.to_jwk(key.public_key(), as_dict=True), "kid": name, "use": "sig"})
        return json.dumps({"keys": found}).encode()


@pytest.fixture(scope="module")
def issuer() -> Iterator[Issuer]:
    issuer = Issuer()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            content = issuer.jwks()
            self.send_response(200)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *arguments: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    issuer.url = f"http://127.0.0.1:{server.server_port}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield issuer
    server.shutdown()


@pytest.fixture(scope="module")
def gateway(issuer: Issuer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    named = {"audience": AUDIENCE, "jwks_url": f"{issuer.url}/keys", "issuer": issuer.url}
    with FakeUpstream.run() as upstream:
        options = {
            "models": {"handbook": {"upstreams": [upstream.address]}},
            "identity": [named, {**named, "header": IAP, "algorithms": ["ES256"]}],
        }
        started = start_gateway(tmp_path_factory.mktemp("oidc"), options)
        try:
            yield started
        finally:
            stop_gateway(started)


def taken(gateway: Gateway, token: str) -> None:
    until(lambda: gateway.chat(token).status_code == 200, "the issuer's new key to be taken")


def test_a_token_of_the_issuer_is_taken_and_its_holder_logged(
    gateway: Gateway, issuer: Issuer
) -> None:
    issuer.rotate("first")
    taken(gateway, issuer.token())
    answer = gateway.chat(issuer.token())
    assert logged(gateway, answer.json()["id"]).owner == "ana@example.com"
    asked_before = issuer.fetched
    assert gateway.chat(issuer.token()).status_code == 200
    assert issuer.fetched == asked_before  # its keys are kept


def test_the_issuers_new_key_is_taken_within_seconds_and_a_withdrawn_one_no_more(
    gateway: Gateway, issuer: Issuer
) -> None:
    issuer.rotate("old")
    old = issuer.token()
    taken(gateway, old)
    issuer.rotate("new")
    taken(gateway, issuer.token())
    assert gateway.chat(old).status_code == 401


def test_iaps_header_is_read_where_the_settings_name_it(gateway: Gateway, issuer: Issuer) -> None:
    issuer.rotate("iap", elliptic=True)
    token = issuer.token(algorithm="ES256")
    until(lambda: gateway.chat("none", headers={IAP: token}).status_code == 200, "the new key")
    forged = gateway.chat("none", headers={IAP: token[:-4] + "AAAA"})
    assert forged.status_code == 401


def test_other_tokens_are_refused(gateway: Gateway, issuer: Issuer) -> None:
    issuer.rotate("checked")
    taken(gateway, issuer.token())
    (key,) = issuer.keys.values()
    public = key.public_key().public_bytes(
        serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo
    )
    other = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    head, body, signature = issuer.token().split(".")
    unsigned = base64.urlsafe_b64encode(b'{"alg":"none","kid":"checked"}').rstrip(b"=").decode()
    symmetric = _signed_with_the_public_key(public, body)
    for name, token in {
        "another audience": issuer.token(aud="elsewhere"),
        "another issuer": issuer.token(iss="https://evil.example"),
        "expired": issuer.token(exp=int(time.time()) - 60),
        "without an end": issuer.token(exp=0),
        "another's signature": issuer.token(key=other),
        "no signature": f"{unsigned}.{body}.",
        "a public key as a secret": symmetric,
        "a changed body": f"{head}.{body[:-2]}AA.{signature}",
        "no token": "a.b.c",
    }.items():
        assert gateway.chat(token).status_code == 401, name


def test_while_the_issuers_keys_cannot_be_fetched_nobody_is_called_unknown(
    faulty: FakeUpstream, issuer: Issuer, tmp_path: Path
) -> None:
    issuer.rotate("unfetched")
    named = {"audience": AUDIENCE, "jwks_url": f"http://127.0.0.1:{free_port()}/keys"}
    options = {
        "models": {"handbook": {"upstreams": [faulty.address]}},
        "identity": [
            {**named, "issuer": "https://away.example"},
            {**named, "issuer": issuer.url, "jwks_url": f"{issuer.url}/keys"},
        ],
    }
    gateway = start_gateway(tmp_path, options)
    try:
        answer = gateway.chat(issuer.token(iss="https://away.example"))
        assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
        assert answer.json()["error"]["code"] == "issuer_unavailable"
        # Another issuer's tokens and the gateway's own keys are taken as ever.
        assert gateway.chat(issuer.token()).status_code == 200
        assert gateway.chat().status_code == 200
        deep = base64.urlsafe_b64encode(b"[" * 20_000).decode()
        for token in (f"{deep}.{deep}.{deep}", issuer.token(sub=5)):
            assert gateway.chat(token).status_code == 401
        long = issuer.token(email=f"{'x' * 300}@example.com")
        assert logged(gateway, gateway.chat(long).json()["id"]).status == 200
    finally:
        stop_gateway(gateway)


def _signed_with_the_public_key(public: bytes, body: str) -> str:
    import hashlib
    import hmac

    head = base64.urlsafe_b64encode(b'{"alg":"HS256","kid":"checked"}').rstrip(b"=").decode()
    digest = hmac.new(public, f"{head}.{body}".encode(), hashlib.sha256).digest()
    return f"{head}.{body}.{base64.urlsafe_b64encode(digest).rstrip(b'=').decode()}"
