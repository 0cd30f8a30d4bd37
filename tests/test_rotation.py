"""
Rotation through the real command line, on clusters that a stand-in API server answers for: what is
refused is one line and no write, and where nothing is due nothing is asked but a handful.
"""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import NoEncryption, pkcs12

from tests.api_server import Answer, ApiServer, Asked
from tests.authorities import NOW, Pair, chain, issued, rsa_key
from tests.command_line import CommandLine, Outcome
from tests.fleet.test_run import Case, prepared
from tests.stand_in import crd, gateway, gateway_class, record, with_envoy_gateway

HOST = "shop.example.com"
SECRET = "/api/v1/namespaces/edge/secrets/tls"
OPEN = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
GROUP = "gateway.networking.k8s.io"
#: Days from the certificates' beginning of time until today.
SINCE = (datetime.now(UTC) - NOW).days


@cache
def authority(number: int = 1) -> Pair:
    return issued(f"Authority {number}", authority=True, begin=-900, end=SINCE + 900)


@cache
def shop(begin: int, end: int, *names: str) -> Pair:
    """+ begin, end: days from today"""
    title = (names or (HOST,))[0]
    about = {"begin": SINCE + begin, "end": SINCE + end}
    return issued(title, names or (HOST,), authority(), **about)  # type: ignore[arg-type]


@cache
def weak() -> Pair:
    key = rsa_key(1024)
    return issued(HOST, [HOST], authority(), begin=SINCE - 1, end=SINCE + 89, key=key)


def in_place() -> Pair:
    """Due."""
    return shop(-80, 10)


def new() -> Pair:
    return shop(-1, 89)


def good() -> bytes:
    return chain(new(), authority())


def held(pair: Pair, **more: Any) -> dict[str, Any]:
    """A Secret."""
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": "edge", "name": "tls", "resourceVersion": "7"},
        "type": "kubernetes.io/tls",
        "data": {
            "tls.crt": b64encode(chain(pair, authority())).decode(),
            "tls.key": b64encode(pair.key_pem()).decode(),
        },
        **more,
    }


def pfx() -> bytes:
    return pkcs12.serialize_key_and_certificates(
        b"x", new().key, new().certificate, None, NoEncryption()
    )


@dataclass(frozen=True)
class Refusal:
    """
    + certificate, key: what its files hold, None leaves a file out; + said: parts of its line
    + secret: what is in place
    """

    said: tuple[str, ...]
    certificate: Callable[[], bytes | None] = good
    key: Callable[[], bytes | None] = lambda: new().key_pem()
    secret: Callable[[], dict[str, Any] | None] = lambda: held(in_place())


#: By cluster.
REFUSED = {
    "encrypted-key": Refusal(
        ("the key is encrypted", "openssl pkey"), key=lambda: new().key_pem(password=b"sesame")
    ),
    "pfx": Refusal(("PFX",), certificate=pfx),
    "der": Refusal(("DER",), certificate=lambda: new().der),
    "empty": Refusal(("is empty",), certificate=lambda: b""),
    "empty-key": Refusal(("is empty",), key=lambda: b""),
    "crlf-and-bom": Refusal(
        ("byte order mark",), certificate=lambda: b"\xef\xbb\xbf" + good().replace(b"\n", b"\r\n")
    ),
    "wrong-order": Refusal(("order",), certificate=lambda: chain(authority(), new())),
    "two-keys": Refusal(
        ("the key holds 2 keys",), key=lambda: new().key_pem() + in_place().key_pem()
    ),
    "other-key": Refusal(("key",), key=lambda: in_place().key_pem()),
    "swapped": Refusal(
        ("key", "certificate"), certificate=lambda: new().key_pem(), key=lambda: good()
    ),
    "authority": Refusal(
        ("authority",), certificate=lambda: authority().pem, key=lambda: authority().key_pem()
    ),
    "other-name": Refusal(
        (HOST,),
        certificate=lambda: chain(shop(-1, 89, "www.example.com"), authority()),
        key=lambda: shop(-1, 89, "www.example.com").key_pem(),
    ),
    "weak": Refusal(
        ("RSA 1024",),
        certificate=lambda: chain(weak(), authority()),
        key=lambda: weak().key_pem(),
    ),
    "past": Refusal(
        ("expired on",),
        certificate=lambda: chain(shop(-70, -2), authority()),
        key=lambda: shop(-70, -2).key_pem(),
    ),
    "not-yet": Refusal(
        ("not valid before",),
        certificate=lambda: chain(shop(3, 90), authority()),
        key=lambda: shop(3, 90).key_pem(),
    ),
    "older": Refusal(
        ("it ends", "and its source has an older one"),
        certificate=lambda: chain(shop(-90, 5), authority()),
        key=lambda: shop(-90, 5).key_pem(),
    ),
    "missing-file": Refusal(
        ("file missing-file.pem (below the folder of the run) cannot be read: No such file",),
        certificate=lambda: None,
    ),
    "opaque": Refusal(
        ("is of type Opaque, and the type of a Secret cannot be changed: delete it and run again",),
        secret=lambda: held(in_place(), type="Opaque"),
    ),
    "external": Refusal(
        (
            "it ends",
            "ExternalSecret edge/shop writes it, over what would be written here: renew it there",
        ),
        secret=lambda: held(
            in_place(),
            metadata={
                "namespace": "edge",
                "name": "tls",
                "ownerReferences": [{"kind": "ExternalSecret", "name": "shop"}],
            },
        ),
    ),
    "no-issuer": Refusal(
        ("it is missing, and no Certificate of cert-manager makes it: run deploys/issuers.py",),
        secret=lambda: None,
    ),
    "no-vault": Refusal(("certificate shop of https://nowhere.vault.localhost:9:",)),
}
CALM = {
    "idle": Refusal(
        (),
        certificate=lambda: chain(shop(-10, 80), authority()),
        key=lambda: shop(-10, 80).key_pem(),
        secret=lambda: held(shop(-10, 80)),
    ),
    "waits": Refusal(
        (),
        certificate=lambda: chain(in_place(), authority()),
        key=lambda: in_place().key_pem(),
    ),
}
#: Left alone but by a test that plans for it.
ASKED = Refusal(
    (),
    secret=lambda: held(
        shop(-10, 80),
        metadata={
            "namespace": "edge",
            "name": "tls",
            "annotations": {"cert-manager.io/certificate-name": "shop"},
        },
    ),
)
FLEET = {**REFUSED, **CALM, "asked": ASKED}


@dataclass(frozen=True)
class Ran:
    """+ clusters: as report.json has them, by name"""

    code: int
    text: str
    clusters: dict[str, Any]
    asked: list[Asked]


@dataclass(frozen=True)
class Clone:
    """A clone of the repository whose inventory is FLEET, all in one ring."""

    folder: Path
    server: ApiServer
    command_line: CommandLine

    def run(self, *arguments: str) -> Outcome:
        command = ["inventory/prod.py", "deploys/rotate_certificates.py", *arguments]
        kubeconfig = str(self.folder / "kubeconfig")
        outcome = self.command_line.run(self.folder, command, KUBECONFIG=kubeconfig)
        assert "Traceback" not in outcome.text, outcome.text
        return outcome


@pytest.fixture(scope="module")
def clone(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Clone]:
    folder = tmp_path_factory.mktemp("rotation") / "clone"
    folder.mkdir()
    entries = [(f"@kube/{name}", data(name)) for name in FLEET]
    with ApiServer().running() as server:
        prepared(folder, Case("", [], inventory=f"clusters = {entries!r}"), server)
        for name, about in FLEET.items():
            answered(server, name, about.secret())
            for end, content in (("pem", about.certificate()), ("key", about.key())):
                if content is not None:
                    (folder / f"{name}.{end}").write_bytes(content)
        server.write_kubeconfig(folder / "kubeconfig", *FLEET)
        yield Clone(folder, server, command_line)


@pytest.fixture(scope="module")
def ran(clone: Clone) -> Ran:
    begun = len(clone.server.asked)
    outcome = clone.run("-y", "--diff")
    [report] = clone.folder.glob("runs/*/report.json")
    clusters = json.loads(report.read_text())["clusters"]
    found = {it["name"]: it for it in clusters}
    return Ran(outcome.code, outcome.text, found, clone.server.asked[begun:])


def data(name: str) -> dict[str, Any]:
    source: dict[str, Any] = {"source": "files", "certificate": f"{name}.pem", "key": f"{name}.key"}
    if name == "no-vault":
        vault = "https://nowhere.vault.localhost:9"
        source = {"source": "key-vault", "vault": vault, "object": "shop"}
    if name == "no-issuer":
        source = {"source": "cert-manager", "issuer": "ClusterIssuer letsencrypt"}
    return {
        "ring": 0,
        "envoy_gateway_version": "1.9.1",
        "max_failed": "100%",
        "certificates": [{"namespace": "edge", "secret": "tls", **source}],
    }


def answered(server: ApiServer, name: str, secret: dict[str, Any] | None) -> None:
    shown = gateway()
    shown["spec"]["listeners"][0]["hostname"] = HOST
    with_envoy_gateway(
        server,
        name,
        crds=[crd(GROUP, it, OPEN, "v1") for it in ("GatewayClass", "Gateway")],
        release=record("1.9.1", {}, {}, {}),
        objects=[gateway_class(), shown],
    )
    if secret is not None:
        server.answer("GET", SECRET, Answer(body=secret), cluster=name)


@pytest.mark.parametrize("name", list(REFUSED))
def test_what_must_not_be_in_a_cluster_is_one_line(ran: Ran, name: str) -> None:
    why = ran.clusters[name]["why"]
    assert ran.clusters[name]["status"] == "failed"
    assert why.startswith("Secret edge/tls: ")
    assert "\n" not in why
    for part in REFUSED[name].said:
        assert part in why


def test_nothing_is_written(ran: Ran) -> None:
    assert {it.method for it in ran.asked} == {"GET"}
    assert ran.code == 1


def test_where_nothing_is_due_a_handful_is_asked(ran: Ran) -> None:
    assert ran.clusters["idle"]["status"] == "unchanged"
    assert [it.path for it in ran.asked if it.cluster == "idle"] == [
        "/version",
        "/api/v1/namespaces/kube-system",
        "/apis",
        f"/apis/{GROUP}/v1/gatewayclasses",
        f"/apis/{GROUP}/v1/gateways",
        SECRET,
    ]


def test_due_and_nobody_has_renewed_it(ran: Ran) -> None:
    """The cluster has not failed: the next ring is not held for it."""
    assert ran.clusters["waits"]["status"] == "unchanged"
    [line] = [it for it in ran.text.splitlines() if "warning GW603 waits: Secret edge/tls: " in it]
    assert "and its source has the same certificate" in line


def test_no_key_is_anywhere(ran: Ran) -> None:
    for pair in (new(), in_place(), authority()):
        key = pair.key_pem().splitlines()[1].decode()
        assert key not in ran.text
        assert key not in json.dumps(ran.clusters)


def test_a_plan_says_the_same_and_fails_too(clone: Clone) -> None:
    begun = len(clone.server.asked)
    outcome = clone.run("--dry", "--limit", "pfx")
    assert outcome.code == 1
    assert any("Error: Secret edge/tls: the certificate" in it for it in outcome.lines)
    assert {it.method for it in clone.server.asked[begun:]} == {"GET"}


def test_who_writes_a_secret_is_asked_to_renew_it(clone: Clone) -> None:
    outcome = clone.run("--dry", "--diff", "--limit", "asked", "--data", "renew_now=True")
    assert outcome.code == 0, outcome.text
    at = outcome.lines.index("Will rotate Secret edge/tls: renew_now asks for it")
    assert outcome.lines[at + 1] == "asks Certificate edge/shop to renew it"


def test_a_secret_with_two_sources(clone: Clone) -> None:
    twice = [*data("idle")["certificates"], *data("idle")["certificates"]]
    more = ("--limit", "idle", "--data", f"certificates={json.dumps(twice)}")
    outcome = clone.run("--dry", *more)
    assert (outcome.code, outcome.lines) == (
        2,
        ["idle: Secret edge/tls is in certificates twice: remove one of them"],
    )


def test_a_pattern_that_fits_nothing(clone: Clone) -> None:
    outcome = clone.run("--dry", "--limit", "idle", "--data", 'only=["Secret edge/tsl"]')
    assert (outcome.code, outcome.lines) == (
        2,
        [
            'only: "Secret edge/tsl" fits no certificate of the inventory: write such as '
            '"Secret edge/shop-tls"'
        ],
    )
