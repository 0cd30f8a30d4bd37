"""
How an operator signs in to the Azure of a lab: a service principal with a secret and a certificate,
kept in the lab's folder, and the environment that points Azure's SDKs there.
"""

import datetime
import json
from pathlib import Path
from typing import Any

from tasks.lab.azure import fleet, serve
from tasks.lab.azure.state import Azure
from tasks.lab.progress import LabError, wait_for
from tasks.lab.state import Lab, write

MADE_SECONDS = 60


def secret_file(lab: Lab) -> Path:
    return serve.folder(lab) / "operator.secret"


def certificate_file(lab: Lab) -> Path:
    """Certificate and key in one file, as AZURE_CLIENT_CERTIFICATE_PATH wants them."""
    return serve.folder(lab) / "operator.pem"


def keep(azure: Azure, lab: Lab) -> None:
    """Write what the operator signs in with, once."""
    operator = fleet.surroundings(azure, lab)
    write(secret_file(lab), operator.secret or "")
    file = certificate_file(lab)
    if not file.exists():
        write(file, b"".join(_key_and_certificate()))
    _, begin, rest = file.read_text().partition("-----BEGIN CERTIFICATE-----")
    if begin + rest not in operator.certificates:
        operator.certificates.append(begin + rest)
        azure.save()
    environment = {
        "AZURE_TENANT_ID": operator.tenant,
        "AZURE_CLIENT_ID": operator.client_id,
        "AZURE_CLIENT_CERTIFICATE_PATH": str(file),
        "AZURE_AUTHORITY_HOST": serve.url(lab),
        "AZURE_RESOURCE_MANAGER_URL": serve.url(lab),
        "AZURE_RESOURCE_MANAGER_AUDIENCE": "https://management.azure.com",
        "REQUESTS_CA_BUNDLE": str(lab.root / "ca.crt"),
    }
    write(serve.folder(lab) / "environment.json", json.dumps(environment, indent=2))


def environment(lab: Lab) -> dict[str, str]:
    """What an operator's environment must say, without any secret."""
    try:
        said = json.loads((serve.folder(lab) / "environment.json").read_text())
    except (OSError, ValueError):
        raise LabError(
            f"lab {lab.name!r}: its Azure has not come up: see `python -m tasks.lab logs lab azure`"
        ) from None
    return dict(said)


def data(lab: Lab) -> dict[str, Any] | None:
    """What ``status --json`` says of a lab's Azure; ``None`` for a lab without one."""
    if not lab.azure:
        return None
    return {
        "environment": environment(lab),
        "secret_file": str(secret_file(lab)),
        "subscription": fleet.subscription(lab),
        "subscription_name": lab.name,
        "tenant": fleet.tenant(lab),
        "url": serve.url(lab),
        "imds": serve.imds(lab),
        "resolver": f"{lab.gateway}:{serve.DNS_PORT}",
        "public_range": lab.public_range,
        "groups": {"clusters": fleet.CLUSTERS, "addresses": fleet.ADDRESSES},
        "zone": fleet.ZONE,
    }


def wait_until_made(lab: Lab) -> None:
    """Wait until Azure has all clusters of a lab."""
    names = {it.name for it in lab.members()}
    wait_for(
        f"lab {lab.name!r}: clusters in Azure",
        lambda: names <= set(serve.known(lab)),
        MADE_SECONDS,
        f"see {serve.process(lab).log}",
        every=0.05,
    )


def _key_and_certificate() -> tuple[bytes, bytes]:
    """PEM of an RSA key, which is what Entra ID takes, and of a certificate for ten years."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import rsa
    from cryptography.x509.oid import NameOID

    from tasks.lab.certificates import YEARS

    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, fleet.OPERATOR)])
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + YEARS)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    return private, certificate.public_bytes(serialization.Encoding.PEM)
