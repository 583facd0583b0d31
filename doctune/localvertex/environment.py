"""The variables that lead Google's clients, unmodified, to a local Vertex AI."""

import os
from collections.abc import Mapping
from pathlib import Path

from doctune.files import write_text
from doctune.localvertex.certificates import ensure_certificates
from doctune.localvertex.config import LocalVertexConfig
from doctune.localvertex.ports import LOOPBACK
from doctune.runner.overlay import OUTSIDE_VARIABLE, outside_network


def client_environment(config: LocalVertexConfig, ports: Mapping[str, int]) -> dict[str, str]:
    """Returns the variables; together they are all that a program needs.

    Args:
        ports: Where the server listens: `http`, `proxy`, `storage`.
    """
    certificates = ensure_certificates()
    proxy = f"http://{LOOPBACK}:{ports['proxy']}"
    metadata = f"{LOOPBACK}:{ports['http']}"
    direct = f"{LOOPBACK},localhost,::1"
    return {
        # Where the wire leads. gRPC reads the lower-case names only.
        "https_proxy": proxy,
        "HTTPS_PROXY": proxy,
        "http_proxy": proxy,
        "HTTP_PROXY": proxy,
        "no_proxy": direct,
        "NO_PROXY": direct,
        "STORAGE_EMULATOR_HOST": f"http://{LOOPBACK}:{ports['storage']}",
        # Whom it trusts: requests, gRPC, and Python's ssl (httpx, aiohttp).
        "REQUESTS_CA_BUNDLE": str(certificates.bundle),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificates.authority),
        "SSL_CERT_FILE": str(certificates.bundle),
        # curl, in programs and by pycurl; wget; httplib2, which googleapiclient stands on.
        "CURL_CA_BUNDLE": str(certificates.bundle),
        "WGETRC": str(_wget_settings(config.state_dir / "wgetrc", certificates.bundle)),
        "HTTPLIB2_CA_CERTS": str(certificates.bundle),
        # What pip of a step or job may use to reach its index: nothing else leaves the machine.
        OUTSIDE_VARIABLE: outside_network(os.environ),
        # Whose credentials it takes: the fake metadata server's, never the user's own.
        "GCE_METADATA_HOST": metadata,
        "GCE_METADATA_IP": metadata,
        "GCE_METADATA_ROOT": metadata,
        "GOOGLE_APPLICATION_CREDENTIALS": "",
        "CLOUDSDK_CONFIG": str(_empty_folder(config.state_dir / "gcloud")),
        "GOOGLE_API_USE_CLIENT_CERTIFICATE": "false",
        "GOOGLE_API_USE_MTLS_ENDPOINT": "never",
        "GOOGLE_CLOUD_PROJECT": config.project,
        "CLOUD_ML_REGION": config.location,
        # gcsfs otherwise probes a control service that is not there, up to a minute a call.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }


def _empty_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _wget_settings(path: Path, bundle: Path) -> Path:
    write_text(path, f"ca_certificate = {bundle}\n")
    return path
