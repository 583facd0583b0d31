"""Whether limits let through exactly what they allow, under many requests at once."""

import os
from pathlib import Path

from benchmarks.gateway_load import run_load
from benchmarks.gateway_peers import MODEL, doctune_gateway
from benchmarks.gateway_upstream import PIECES, PROMPT_TOKENS

CONNECTIONS = 128

_SHARE = 4  # one in so many requests is within the limit
_TOKENS = PROMPT_TOKENS + PIECES  # of each answer
_WINDOW_SECONDS = 60.0


def exactness(
    folder: Path, upstream: str, port: int, core: int | None, requests: int
) -> dict[str, dict[str, int]]:
    """Asks with a key limited in requests, then with one limited in tokens.

    While requests are in flight, the tokens that they may take are reserved; what they did not take
    is given back. So the answered ones never go over, and what is left at the end is less than one
    request may take: after the load, requests are sent one by one until one is refused.
    """
    limits = {
        "requests_per_minute": {"requests_per_minute": requests // _SHARE},
        "tokens_per_day": {"tokens_per_day": requests // _SHARE * _TOKENS},
    }
    found = {}
    with doctune_gateway(folder, upstream, port, core, limits=limits) as peer:
        for name, limit in limits.items():
            key = peer.limited_keys[name]
            load = run_load(peer.url, key, MODEL, connections=CONNECTIONS, requests=requests)
            answered, refused = load.answered, load.statuses[429]
            if name == "tokens_per_day":
                rest = run_load(peer.url, key, MODEL, connections=1, requests=CONNECTIONS)
                answered += rest.answered
            (most,) = limit.values()
            used = answered * (_TOKENS if name == "tokens_per_day" else 1)
            # One request more would have reserved this much.
            granule = _most_reserved() if name == "tokens_per_day" else 1
            in_time = name == "tokens_per_day" or load.seconds < _WINDOW_SECONDS
            found[name] = {
                "limit": most,
                "used": used,
                "asked": requests,
                "answered": answered,
                "refused": refused,
                "other": load.failed - refused,
                "exact": int(in_time and 0 <= most - used < granule and load.failed == refused),
            }
    if not all(case["exact"] for case in found.values()):
        print(f"A limit was not exact, or {requests} requests took a minute: {os.uname().nodename}")
    return found


def _most_reserved() -> int:
    from benchmarks.gateway_load import request_bytes
    from doctune.chat_schema import parse_chat_request
    from doctune.gateway.chat import most_tokens

    _, _, body = request_bytes("http://localhost/v1", "", MODEL, False).partition(b"\r\n\r\n")
    return most_tokens(parse_chat_request(body))
