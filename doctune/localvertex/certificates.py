"""TLS certificates for Google's API names, trusted only on this machine.

A certificate authority is made at the first start and its key is thrown away at once: it can never
sign for anything but the names below.
"""

import datetime
import ipaddress
from dataclasses import dataclass
from pathlib import Path

from doctune import limits
from doctune.artifacts import cache_folder
from doctune.files import atomic_folder, atomic_path, write_text

SERVED_NAMES = (
    *("*.googleapis.com", "googleapis.com", "*.storage.googleapis.com", "*.pkg.dev", "localhost"),
)
# A wildcard matches only one label, so endpoints with hosts of their own need a name per region.
_DEDICATED = "{region}-{uid}.prediction.vertexai.goog"
_SEARCH = "{region}-{uid}.vdb.vertexai.goog"
_DEDICATED_UID = "123456789012"
_AREAS = {
    "africa": ("south1",),
    "asia": ("east1", "east2", "northeast1", "northeast2", "northeast3", "south1", "south2"),
    "asia-": ("southeast1", "southeast2"),
    "australia": ("southeast1", "southeast2"),
    "europe": ("central2", "north1", "southwest1", *(f"west{n}" for n in (1, 2, 3, 4, 6, 8, 9))),
    "europe-": ("west10", "west12"),
    "me": ("central1", "central2", "west1"),
    "northamerica": ("northeast1", "northeast2"),
    "southamerica": ("east1", "west1"),
    "us": ("central1", "east1", "east4", "east5", "south1", "west1", "west2", "west3", "west4"),
}
REGIONS = tuple(
    f"{area.rstrip('-')}-{place}" for area, places in _AREAS.items() for place in places
)
_VALID_DAYS = 3650


@dataclass(frozen=True)
class Certificates:
    """The files of the certificate and its authority."""

    folder: Path

    @property
    def authority(self) -> Path:
        """The authority's certificate, which clients trust (PEM)."""
        return self.folder / "ca.pem"

    @property
    def bundle(self) -> Path:
        """The authority and the public CAs, for variables that replace the default bundle."""
        return self.folder / "bundle.pem"

    @property
    def chain(self) -> Path:
        """The server's certificate (PEM)."""
        return self.folder / "server.pem"

    @property
    def key(self) -> Path:
        """The server's key (PEM), readable by its owner only."""
        return self.folder / "server-key.pem"


def dedicated_host(endpoint: str, region: str) -> str:
    """Returns the host of a dedicated endpoint; empty for a region that Vertex AI does not have."""
    if region not in REGIONS:
        return ""
    return f"{endpoint}.{_DEDICATED.format(region=region, uid=_DEDICATED_UID)}"


def search_host(endpoint: str, region: str) -> str:
    """Returns the host of a public index endpoint, as `dedicated_host` does."""
    if region not in REGIONS:
        return ""
    return f"{endpoint}.{_SEARCH.format(region=region, uid=_DEDICATED_UID)}"


def ensure_certificates() -> Certificates:
    """Returns the certificates of this user, creating them if they are missing.

    All servers of a user share them: gRPC reads its roots once a process, so a program that talks
    to two servers in turn must find the same authority.
    """
    folder = cache_folder() / "localvertex" / "tls-4"  # a new number for each new set of names
    folder.parent.mkdir(parents=True, exist_ok=True)
    with limits.locked(folder.parent / "tls.lock", "another process that makes certificates"):
        if not folder.is_dir():
            with atomic_folder(folder) as temporary:
                _make(Certificates(temporary))
    return Certificates(folder)


def _make(certificates: Certificates) -> None:
    import certifi
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

    def subject(name: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])

    def builder(name: str, key: ec.EllipticCurvePrivateKey) -> x509.CertificateBuilder:
        now = datetime.datetime.now(datetime.UTC)
        return (
            x509.CertificateBuilder()
            .subject_name(subject(name))
            .issuer_name(subject("doctune localvertex"))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - datetime.timedelta(days=1))
            .not_valid_after(now + datetime.timedelta(days=_VALID_DAYS))
        )

    authority_key = ec.generate_private_key(ec.SECP256R1())
    identity = x509.SubjectKeyIdentifier.from_public_key(authority_key.public_key())
    usage = x509.KeyUsage(
        digital_signature=True,
        key_cert_sign=True,
        crl_sign=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )
    authority = (
        builder("doctune localvertex", authority_key)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .add_extension(identity, critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    server_key = ec.generate_private_key(ec.SECP256R1())
    server = (
        builder("localhost", server_key)
        .add_extension(
            x509.SubjectAlternativeName(
                [x509.DNSName(name) for name in SERVED_NAMES]
                + [x509.DNSName(dedicated_host("*", region)) for region in REGIONS]
                + [x509.DNSName(search_host("*", region)) for region in REGIONS]
                + [x509.IPAddress(ipaddress.ip_address("127.0.0.1"))]
            ),
            critical=False,
        )
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identity), critical=False
        )
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    authority_text = authority.public_bytes(pem).decode()
    write_text(certificates.authority, authority_text)
    public = Path(certifi.where()).read_text(encoding="utf-8")
    write_text(certificates.bundle, f"{authority_text}\n{public}")
    write_text(certificates.chain, server.public_bytes(pem).decode())
    with atomic_path(certificates.key) as temporary:
        temporary.write_bytes(
            server_key.private_bytes(
                pem, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    certificates.key.chmod(0o600)
