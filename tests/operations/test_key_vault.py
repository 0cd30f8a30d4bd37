"""
Key Vault through its official SDK, against a vault and an Entra ID of this process: HTTPS, the
challenge, the token and the answers as the real ones give them.
"""

from __future__ import annotations

import json
import socket
import ssl
import threading
from base64 import b64encode
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import pkcs12
from pyinfra.api.exceptions import DeployError
from typing_extensions import override

from tasks.connectors import azure
from tasks.fleet.inventory import Certificate
from tasks.lab import certificates
from tasks.operations import key_vault
from tasks.plans import chains

TENANT, TOKEN = "11111111-2222-3333-4444-555555555555", "t0p-s3cret"
HOST = "shop.vault.localhost"
ENTRY = {"namespace": "edge", "secret": "shop-tls", "source": "key-vault", "object": "shop-tls"}
NOT_EXPORTABLE = "it comes without its key (is its key exportable?)"


class Vault:
    """+ answers: by path, status and body; + asked: paths, each with whether a token came"""

    def __init__(self, folder: Path) -> None:
        certificates.authority(folder)
        certificates.issue(folder, "tls", folder, "vault", hosts=["localhost", HOST])
        self.ca = folder / "ca.crt"
        self.answers: dict[str, tuple[int, Any]] = {}
        self.asked: list[tuple[str, bool]] = []
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(folder / "tls.crt", folder / "tls.key")
        self.http.socket = context.wrap_socket(self.http.socket, server_side=True)
        self.port = self.http.server_address[1]
        self.url = f"https://{HOST}:{self.port}"
        self.authority = f"https://localhost:{self.port}"
        self.resource = f"https://vault.localhost:{self.port}"

    def secret(self, value: str, content: str, **more: Any) -> None:
        """The newest version, 77, of certificate and secret shop-tls."""
        about = {"id": f"{self.url}/certificates/shop-tls/77", "attributes": {"enabled": True}}
        self.answers["/certificates/shop-tls/"] = (200, {**about, **more})
        self.answers["/certificates/shop-tls/77"] = (200, {**about, **more})
        found = {"id": f"{self.url}/secrets/shop-tls/77", "value": value, "contentType": content}
        self.answers["/secrets/shop-tls/77"] = self.answers["/secrets/shop-tls/"] = (200, found)

    def refuse(self, path: str, status: int, code: str, inner: str = "") -> None:
        error = {"code": code, "message": f"It is {code}.\r\nAppid: x", "innererror": {}}
        if inner:
            error["innererror"] = {"code": inner}
        self.answers[path] = (status, {"error": error})


def _handler(vault: Vault) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        disable_nagle_algorithm, wbufsize = True, -1

        def do_GET(self) -> None:
            path = self.path.partition("?")[0]
            if "openid-configuration" in path:
                base = f"{vault.authority}/{TENANT}"
                token = f"{base}/oauth2/v2.0/token"
                self._say(
                    200,
                    {
                        "issuer": f"{base}/v2.0",
                        "token_endpoint": token,
                        "authorization_endpoint": f"{base}/oauth2/v2.0/authorize",
                    },
                )
                return
            has_token = self.headers.get("Authorization") == f"Bearer {TOKEN}"
            vault.asked.append((path, has_token))
            if not has_token:
                self._say(401, {"error": {"code": "Unauthorized", "message": "no token"}})
                return
            missing = {"error": {"code": "SecretNotFound", "message": "it was not found"}}
            self._say(*vault.answers.get(path, (404, missing)))

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"])).decode()
            if "client_secret=right" in body:
                answer = {"access_token": TOKEN, "expires_in": 3600, "token_type": "Bearer"}
                self._say(200, answer)
                return
            why = "AADSTS7000215: Invalid client secret provided.\r\nTrace ID: x"
            self._say(401, {"error": "invalid_client", "error_description": why})

        def _say(self, status: int, body: Any) -> None:
            data = json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(data)))
            if status == 401:
                where = f'authorization="{vault.authority}/{TENANT}"'
                challenge = f'Bearer {where}, resource="{vault.resource}"'
                self.send_header("WWW-Authenticate", challenge)
            self.end_headers()
            self.wfile.write(data)

        @override
        def log_message(self, *_: Any) -> None:
            pass

    return Handler


@contextmanager
def running(vault: Vault) -> Iterator[Vault]:
    thread = threading.Thread(target=vault.http.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield vault
    finally:
        vault.http.shutdown()
        vault.http.server_close()


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Vault]:
    """The only vault there is; every name below localhost is this machine."""
    real = socket.getaddrinfo

    def here(name: Any, *arguments: Any, **more: Any) -> Any:
        local = isinstance(name, str) and name.endswith(".localhost")
        return real("localhost" if local else name, *arguments, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    found = Vault(tmp_path)
    for name, value in {
        "AZURE_AUTHORITY_HOST": found.authority,
        "AZURE_TENANT_ID": TENANT,
        "AZURE_CLIENT_ID": "66666666-2222-3333-4444-555555555555",
        "AZURE_CLIENT_SECRET": "right",
        "REQUESTS_CA_BUNDLE": str(found.ca),
        "NO_PROXY": "*",
    }.items():
        monkeypatch.setenv(name, value)
    azure.tokens.cache_clear()
    with running(found):
        yield found
    azure.tokens.cache_clear()


def entry(of: Vault, **more: Any) -> Certificate:
    return Certificate.model_validate({**ENTRY, "vault": of.url, **more})


def pem(folder: Path) -> tuple[bytes, bytes, bytes]:
    """A server's certificate, the authority that signed it, and the key."""
    certificates.issue(folder, "shop", folder, "shop", hosts=["shop.example.com"])
    return tuple((folder / it).read_bytes() for it in ("shop.crt", "ca.crt", "shop.key"))  # type: ignore[return-value]


def pfx(folder: Path, password: bytes | None = None) -> str:
    """Its certificates in the order of a PFX, which is none."""
    leaf, ca, key = pem(folder)
    other = x509.load_pem_x509_certificate((folder / "tls.crt").read_bytes())
    how = (
        serialization.BestAvailableEncryption(password)
        if password
        else serialization.NoEncryption()
    )
    found = pkcs12.serialize_key_and_certificates(
        b"shop",
        serialization.load_pem_private_key(key, None),  # type: ignore[arg-type]
        x509.load_pem_x509_certificate(leaf),
        [other, x509.load_pem_x509_certificate(ca)],
        how,
    )
    return b64encode(found).decode()


PFX, PEM = "application/x-pkcs12", "application/x-pem-file"


@pytest.mark.parametrize("form", ["PFX", "PEM"])
@pytest.mark.parametrize("kind", ["certificate", "secret"])
def test_a_certificate_and_its_key(vault: Vault, tmp_path: Path, form: str, kind: str) -> None:
    leaf, ca, key = pem(tmp_path)
    if form == "PFX":
        vault.secret(pfx(tmp_path), PFX)
    else:
        vault.secret((key + leaf + ca).decode(), PEM)
    found = key_vault.read(entry(vault, kind=kind))
    read = chains.read(found.certificate, found.key)
    assert [it.title for it in read.certificates] == ["CN=shop", "CN=envoyfleet lab"]
    assert not any(it.code == "GW607" for it in read.problems), read.problems
    paths = [path for path, has_token in vault.asked if has_token]
    version = "77" if kind == "certificate" else ""
    asked = ["/certificates/shop-tls/"] if kind == "certificate" else []
    assert paths == [*asked, f"/secrets/shop-tls/{version}"]


def test_a_version(vault: Vault, tmp_path: Path) -> None:
    vault.secret(pfx(tmp_path), PFX)
    key_vault.read(entry(vault, version="77"))
    paths = [path for path, has_token in vault.asked if has_token]
    assert paths == ["/certificates/shop-tls/77", "/secrets/shop-tls/77"]


@pytest.mark.parametrize(
    ("code", "advice"),
    [
        pytest.param(
            "ForbiddenByRbac",
            "no permission: give this identity the role Key Vault Certificate User on it",
            id="no role",
        ),
        pytest.param(
            "ForbiddenByPolicy",
            "no permission: its access policy must allow this identity to get certificates and "
            "secrets",
            id="an access policy",
        ),
        pytest.param(
            "ForbiddenByFirewall",
            "no permission: its firewall refuses the network of this machine",
            id="its firewall",
        ),
        pytest.param(
            "SecretDisabled",
            "this version is disabled: enable it, or name another version",
            id="disabled",
        ),
    ],
)
def test_forbidden(vault: Vault, code: str, advice: str) -> None:
    vault.refuse("/certificates/shop-tls/", 403, "Forbidden", code)
    assert said(vault) == f"certificate shop-tls of {vault.url}: {advice}"


def test_not_there(vault: Vault) -> None:
    why = "it does not exist there: correct object or version"
    assert said(vault) == f"certificate shop-tls of {vault.url}: {why}"
    assert said(vault, kind="secret", version="5") == (
        f"secret shop-tls version 5 of {vault.url}: {why}"
    )


def test_disabled(vault: Vault, tmp_path: Path) -> None:
    vault.secret(pfx(tmp_path), PFX, attributes={"enabled": False})
    assert said(vault).endswith(": this version is disabled: enable it, or name another version")


def test_not_exportable(vault: Vault, tmp_path: Path) -> None:
    leaf, ca, _ = pem(tmp_path)
    vault.secret((leaf + ca).decode(), PEM)
    assert said(vault) == f"certificate shop-tls of {vault.url}: {NOT_EXPORTABLE}"


@pytest.mark.parametrize("value", ["", "not base64!", "bm8gcGZ4", "aGFsZg"])
def test_neither_form(vault: Vault, value: str) -> None:
    vault.secret(value, PFX)
    assert said(vault) == (
        f"certificate shop-tls of {vault.url}: it is neither PEM nor a PFX without password"
    )


def test_a_pfx_with_a_password(vault: Vault, tmp_path: Path) -> None:
    vault.secret(pfx(tmp_path, b"sesame"), PFX)
    assert said(vault).endswith(": it is neither PEM nor a PFX without password")


def test_no_sign_in(vault: Vault, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AZURE_CLIENT_SECRET", "wrong")
    line = said(vault)
    assert line == (
        f"certificate shop-tls of {vault.url}: no sign-in to Azure: AADSTS7000215: the client "
        "secret is wrong: set AZURE_CLIENT_SECRET to its value, not to its id"
    )


def test_unreachable(vault: Vault) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    line = said(vault, vault=f"https://{HOST}:{port}")
    assert line.startswith(
        f"certificate shop-tls of https://{HOST}:{port}: the vault cannot be reached: "
    )
    assert line.endswith(": correct vault, or let this machine reach it")


def test_no_vault(vault: Vault) -> None:
    """A server that asks for tokens of another service gets none."""
    vault.resource = "https://management.azure.com"
    line = said(vault)
    assert line.startswith(f"certificate shop-tls of {vault.url}: no Key Vault answers there: ")
    assert "\n" not in line


def test_another_refusal(vault: Vault) -> None:
    vault.refuse("/certificates/shop-tls/", 409, "Conflict")
    assert said(vault) == (
        f"certificate shop-tls of {vault.url}: the vault answers 409: (Conflict) It is Conflict."
    )


def said(of: Vault, **more: Any) -> str:
    """The one line of a vault that gives nothing."""
    with pytest.raises(DeployError) as caught:
        key_vault.read(entry(of, **more))
    assert TOKEN not in str(caught.value)
    assert caught.value.__cause__ is None
    return str(caught.value)
