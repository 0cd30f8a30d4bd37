"""Signing in at the stand-in of Azure, as azure-identity and MSAL do it."""

from __future__ import annotations

import datetime
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msal  # type: ignore[import-untyped]
import pytest
import requests
from azure.core.exceptions import ClientAuthenticationError
from azure.identity import (
    CertificateCredential,
    ClientSecretCredential,
    DefaultAzureCredential,
    EnvironmentCredential,
    ManagedIdentityCredential,
    WorkloadIdentityCredential,
)
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from tasks.lab.azure import tokens
from tasks.lab.azure.entra import KUBERNETES
from tasks.lab.azure.faults import Fault
from tasks.lab.azure.proofs import AUDIENCE
from tasks.lab.azure.state import Identity
from tests.azure import TENANT, Serving, standing_azure

SCOPE = f"{KUBERNETES}/.default"
ISSUER = "https://cluster.lab.test/"
SUBJECT = "system:serviceaccount:envoyfleet:run"


@pytest.fixture
def standing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serving]:
    with standing_azure(tmp_path, monkeypatch) as started:
        yield started


@pytest.fixture
def owner(standing: Serving) -> Identity:
    return standing.azure.identities["owner"]


@pytest.fixture(scope="module")
def key() -> rsa.RSAPrivateKey:
    return rsa.generate_private_key(public_exponent=65537, key_size=2048)


def claims(token: str) -> dict[str, Any]:
    return tokens.read(token)[1]


def by_secret(standing: Serving, **options: str) -> ClientSecretCredential:
    owner = standing.azure.identities["owner"]
    said = {"tenant": owner.tenant, "client": owner.client_id, "secret": str(owner.secret)}
    said |= options
    return ClientSecretCredential(
        said["tenant"],
        said["client"],
        said["secret"],
        authority=standing.url,
        disable_instance_discovery=True,
    )


def code(caught: pytest.ExceptionInfo[ClientAuthenticationError]) -> str:
    """Such as "AADSTS7000215"."""
    _, _, text = str(caught.value).partition("AADSTS")
    return f"AADSTS{text.partition(':')[0]}"


def test_what_a_token_says(standing: Serving, owner: Identity) -> None:
    owner.groups = ("6f000000-0000-4000-8000-000000000001",)
    found = by_secret(standing).get_token(SCOPE)
    said = claims(found.token)
    assert said["iss"] == f"{standing.url}/{TENANT}/v2.0"
    assert (said["aud"], said["oid"], said["tid"], said["appid"], said["groups"]) == (
        KUBERNETES,
        owner.object_id,
        TENANT,
        owner.client_id,
        ["6f000000-0000-4000-8000-000000000001"],
    )
    assert 3500 < found.expires_on - time.time() <= 3600


@pytest.mark.parametrize("version", ["/v2.0", ""])
def test_anyone_can_check_a_token(standing: Serving, owner: Identity, version: str) -> None:
    """As an API server does: from the issuer to its keys."""
    place = f"{standing.url}/{TENANT}{version}/.well-known/openid-configuration"
    said = requests.get(place, verify=str(standing.authority), timeout=10).json()
    token = standing.entra.access(owner, KUBERNETES)
    assert said["issuer"] == claims(token)["iss"]
    published = requests.get(said["jwks_uri"], verify=str(standing.authority), timeout=10).json()
    found = {it["kid"]: it for it in published["keys"]}
    assert tokens.read(token)[0]["kid"] in found


@pytest.mark.parametrize(
    "resource",
    [
        "https://management.azure.com",
        "https://management.azure.com/",
        "https://management.core.windows.net/",
        "https://storage.azure.com",
        "https://vault.azure.net",
        KUBERNETES,
    ],
)
def test_what_a_token_is_for(standing: Serving, resource: str) -> None:
    found = by_secret(standing).get_token(f"{resource}/.default")
    assert claims(found.token)["aud"] == resource


@pytest.mark.parametrize(
    ("said", "scope", "expected"),
    [
        pytest.param({"secret": "not-the-one"}, SCOPE, "AADSTS7000215", id="secret"),
        pytest.param({"client": "nobody"}, SCOPE, "AADSTS700016", id="client"),
        pytest.param(
            {"tenant": "7a3b1c00-0000-4000-8000-0000000000ff"}, SCOPE, "AADSTS90002", id="tenant"
        ),
        pytest.param({}, "https://strange.test/.default", "AADSTS500011", id="audience"),
        pytest.param({}, "strange", "AADSTS1002012", id="scope"),
    ],
)
def test_who_cannot_sign_in(
    standing: Serving, said: dict[str, str], scope: str, expected: str
) -> None:
    with pytest.raises(ClientAuthenticationError) as caught:
        by_secret(standing, **said).get_token(scope)
    assert code(caught) == expected
    assert standing.azure.requests[-1].status in (400, 401)


def test_a_secret_that_has_ended(standing: Serving, owner: Identity) -> None:
    owner.secret_ends = time.time() - 1
    with pytest.raises(ClientAuthenticationError) as caught:
        by_secret(standing).get_token(SCOPE)
    assert code(caught) == "AADSTS7000222"


def test_a_lifetime_that_is_set(standing: Serving) -> None:
    standing.entra.lifetime = 5
    assert by_secret(standing).get_token(SCOPE).expires_on - time.time() <= 5


def test_entra_id_that_is_slow_or_throttles(standing: Serving) -> None:
    """A fault without a pattern is not meant for it."""
    standing.azure.faults.add(Fault(status=503))
    standing.azure.faults.add(Fault("oauth2", 503, times=1))
    by_secret(standing).get_token(SCOPE)
    asked = [it.status for it in standing.azure.requests if "token" in it.path]
    assert asked == [503, 200]


# -- certificates


def certificate(key: rsa.RSAPrivateKey) -> bytes:
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "operator")])
    now = datetime.datetime.now(datetime.UTC)
    builder = x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number())
    builder = builder.not_valid_before(now).not_valid_after(now + datetime.timedelta(days=1))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


def private(key: rsa.RSAPrivateKey) -> bytes:
    form, none = serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    return key.private_bytes(serialization.Encoding.PEM, form, none)


def by_certificate(standing: Serving, file: Path) -> CertificateCredential:
    owner = standing.azure.identities["owner"]
    return CertificateCredential(
        owner.tenant,
        owner.client_id,
        str(file),
        authority=standing.url,
        disable_instance_discovery=True,
    )


def test_a_certificate(
    standing: Serving, owner: Identity, tmp_path: Path, key: rsa.RSAPrivateKey
) -> None:
    public, file = certificate(key), tmp_path / "operator.pem"
    file.write_bytes(private(key) + public)
    with pytest.raises(ClientAuthenticationError) as caught:
        by_certificate(standing, file).get_token(SCOPE)
    assert code(caught) == "AADSTS700027"
    owner.certificates.append(public.decode())
    assert claims(by_certificate(standing, file).get_token(SCOPE).token)["oid"] == owner.object_id


# -- workload identity


@pytest.fixture
def trusted(owner: Identity, key: rsa.RSAPrivateKey) -> Identity:
    """It trusts the tokens of one service account, which are signed with this key."""
    form = serialization.PublicFormat.SubjectPublicKeyInfo
    public = key.public_key().public_bytes(serialization.Encoding.PEM, form).decode()
    owner.federated.append({"issuer": ISSUER, "subject": SUBJECT, "key": public})
    return owner


def service_account(key: rsa.RSAPrivateKey, seconds: int = 600, **claims: Any) -> str:
    now = int(time.time())
    said = {"iss": ISSUER, "sub": SUBJECT, "aud": [AUDIENCE], "nbf": now, "exp": now + seconds}
    return tokens.signed({**said, **claims}, key)


def by_workload(standing: Serving, file: Path) -> WorkloadIdentityCredential:
    owner = standing.azure.identities["owner"]
    return WorkloadIdentityCredential(
        tenant_id=owner.tenant,
        client_id=owner.client_id,
        token_file_path=str(file),
        authority=standing.url,
        disable_instance_discovery=True,
    )


def test_a_service_account(
    standing: Serving, trusted: Identity, tmp_path: Path, key: rsa.RSAPrivateKey
) -> None:
    file = tmp_path / "token"
    file.write_text(service_account(key))
    assert claims(by_workload(standing, file).get_token(SCOPE).token)["oid"] == trusted.object_id


@pytest.mark.parametrize(
    ("said", "seconds", "expected"),
    [
        pytest.param({"iss": "https://other.test/"}, 600, "AADSTS700211", id="issuer"),
        pytest.param({"sub": "system:serviceaccount:a:b"}, 600, "AADSTS700213", id="subject"),
        pytest.param({"aud": ["somebody"]}, 600, "AADSTS700212", id="audience"),
        pytest.param({}, -60, "AADSTS700024", id="too old"),
    ],
)
def test_a_service_account_that_is_not_trusted(
    standing: Serving,
    trusted: Identity,
    tmp_path: Path,
    key: rsa.RSAPrivateKey,
    said: dict[str, Any],
    seconds: int,
    expected: str,
) -> None:
    file = tmp_path / "token"
    file.write_text(service_account(key, seconds, **said))
    with pytest.raises(ClientAuthenticationError) as caught:
        by_workload(standing, file).get_token(SCOPE)
    assert code(caught) == expected


def test_a_service_account_that_somebody_else_signed(
    standing: Serving, trusted: Identity, tmp_path: Path
) -> None:
    file = tmp_path / "token"
    file.write_text(service_account(tokens.key(tmp_path)))
    with pytest.raises(ClientAuthenticationError) as caught:
        by_workload(standing, file).get_token(SCOPE)
    assert code(caught) == "AADSTS700027"


# -- machines


@pytest.fixture
def on_a_machine(standing: Serving, monkeypatch: pytest.MonkeyPatch) -> Serving:
    """Nothing in the environment says who one is."""
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AZURE_POD_IDENTITY_AUTHORITY_HOST", standing.imds)
    return standing


def test_a_machine(on_a_machine: Serving, owner: Identity) -> None:
    on_a_machine.azure.machine = "owner"
    found = ManagedIdentityCredential().get_token(SCOPE)
    assert claims(found.token)["oid"] == owner.object_id
    assert 3500 < found.expires_on - time.time() <= 3600
    other = on_a_machine.azure.identity("assigned")
    chosen = ManagedIdentityCredential(client_id=other.client_id).get_token(SCOPE)
    assert claims(chosen.token)["oid"] == other.object_id


def test_a_machine_without_an_identity(on_a_machine: Serving) -> None:
    with pytest.raises(ClientAuthenticationError) as caught:
        ManagedIdentityCredential().get_token(SCOPE)
    assert "Identity not found" in str(caught.value)


def test_the_metadata_service_wants_its_header(on_a_machine: Serving) -> None:
    place = f"{on_a_machine.imds}/metadata/identity/oauth2/token?resource=x"
    answer = requests.get(place, timeout=10)
    assert (answer.status_code, answer.json()["error"]) == (400, "invalid_request")


def test_app_service(
    on_a_machine: Serving, owner: Identity, monkeypatch: pytest.MonkeyPatch
) -> None:
    on_a_machine.azure.machine = "owner"
    monkeypatch.setenv("IDENTITY_ENDPOINT", on_a_machine.identity_endpoint)
    monkeypatch.setenv("IDENTITY_HEADER", "any")
    found = ManagedIdentityCredential().get_token(SCOPE)
    assert claims(found.token)["oid"] == owner.object_id
    assert "/msi/token" in on_a_machine.azure.requests[-1].path


# -- the usual order


def test_the_default_credential_takes_the_environment_first(
    standing: Serving, owner: Identity
) -> None:
    """A client secret; both find the authority in AZURE_AUTHORITY_HOST."""
    for kind in (EnvironmentCredential, DefaultAzureCredential):
        found = kind(disable_instance_discovery=True).get_token(SCOPE)
        assert claims(found.token)["oid"] == owner.object_id


def test_the_default_credential_finds_a_machine(on_a_machine: Serving, owner: Identity) -> None:
    on_a_machine.azure.machine = "owner"
    found = DefaultAzureCredential(disable_instance_discovery=True).get_token(SCOPE)
    assert claims(found.token)["oid"] == owner.object_id


def test_a_user_comes_back_with_a_refresh_token(standing: Serving) -> None:
    """As `az` keeps one; MSAL checks the rest of the answer."""
    user = standing.azure.identity("ann@lab.test")
    client = msal.PublicClientApplication(
        "04b07795-8ddb-461a-bbee-02f9e1bf7b46",
        authority=f"{standing.url}/{TENANT}",
        instance_discovery=False,
    )
    found = client.acquire_token_by_refresh_token(standing.entra.refresh_token(user), [SCOPE])
    assert claims(found["access_token"])["oid"] == user.object_id
    ended = client.acquire_token_by_refresh_token(standing.entra.refresh_token(user, -1), [SCOPE])
    assert ended["error_codes"] == [700082]
    strange = client.acquire_token_by_refresh_token("strange", [SCOPE])
    assert strange["error_codes"] == [70000]


def test_nothing_secret_is_remembered_of_requests(standing: Serving, owner: Identity) -> None:
    by_secret(standing).get_token(SCOPE)
    assert str(owner.secret) not in json.dumps([vars(it) for it in standing.azure.requests])
