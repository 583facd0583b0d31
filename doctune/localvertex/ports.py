"""Free ports on loopback."""

import socket

LOOPBACK = "127.0.0.1"


def free_port(preferred: int = 0) -> int:
    """Returns a free port: the preferred one, if it is free.

    The caller should listen on it at once.
    """
    for port in (preferred, 0):
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
            return int(probe.getsockname()[1])
    raise OSError("no free port on 127.0.0.1")
