"""The environment variables that redirect unmodified Google clients to localvertex."""

import os
from collections.abc import Mapping
from pathlib import Path

from doctune.files import write_text
from doctune.localvertex.certificates import ensure_certificates
from doctune.localvertex.config import LocalVertexConfig
from doctune.localvertex.ports import LOOPBACK
from doctune.runner.overlay import OUTSIDE_VARIABLE, outside_network


def client_environment(config: LocalVertexConfig, ports: Mapping[str, int]) -> dict[str, str]:
    """Returns all the variables that a program needs.

    Args:
        ports: Where the server listens: `http`, `proxy`, `storage`.
    """
    certificates = ensure_certificates()
    proxy = f"http://{LOOPBACK}:{ports['proxy']}"
    metadata = f"{LOOPBACK}:{ports['http']}"
    direct = f"{LOOPBACK},localhost,::1"
    return {
        # The proxy. gRPC reads only the lower-case names.
        "https_proxy": proxy,
        "HTTPS_PROXY": proxy,
        "http_proxy": proxy,
        "HTTP_PROXY": proxy,
        "no_proxy": direct,
        "NO_PROXY": direct,
        "STORAGE_EMULATOR_HOST": f"http://{LOOPBACK}:{ports['storage']}",
        # The trusted CAs: for requests, gRPC, and Python's ssl (httpx, aiohttp).
        "REQUESTS_CA_BUNDLE": str(certificates.bundle),
        "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH": str(certificates.authority),
        "SSL_CERT_FILE": str(certificates.bundle),
        # The same for curl and pycurl, wget, and httplib2, which googleapiclient uses.
        "CURL_CA_BUNDLE": str(certificates.bundle),
        "WGETRC": str(_wget_settings(config.state_dir / "wgetrc", certificates.bundle)),
        "HTTPLIB2_CA_CERTS": str(certificates.bundle),
        # For pip in steps and jobs, which may reach its index; no other program leaves the machine.
        OUTSIDE_VARIABLE: outside_network(os.environ),
        # Credentials: from the fake metadata server, never the user's own.
        "GCE_METADATA_HOST": metadata,
        "GCE_METADATA_IP": metadata,
        "GCE_METADATA_ROOT": metadata,
        "GOOGLE_APPLICATION_CREDENTIALS": "",
        "CLOUDSDK_CONFIG": str(_empty_folder(config.state_dir / "gcloud")),
        "GOOGLE_API_USE_CLIENT_CERTIFICATE": "false",
        "GOOGLE_API_USE_MTLS_ENDPOINT": "never",
        "GOOGLE_CLOUD_PROJECT": config.project,
        "CLOUD_ML_REGION": config.location,
        # Otherwise gcsfs probes a service that does not exist here, for up to a minute per call.
        "GCSFS_EXPERIMENTAL_ZB_HNS_SUPPORT": "false",
    }


def _empty_folder(path: Path) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path


def _wget_settings(path: Path, bundle: Path) -> Path:
    write_text(path, f"ca_certificate = {bundle}\n")
    return path
