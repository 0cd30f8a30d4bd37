"""When a certificate is due, what may take its place, and when it counts as served."""

from __future__ import annotations

from base64 import b64encode
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tasks.plans import rotation
from tasks.plans.chains import Chain
from tasks.plans.listeners import Handshake, Listener, SecretRef
from tasks.plans.rotation import Decision, Feeder, Pair
from tasks.plans.x509 import Certificate, Problem

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
MONTH = timedelta(days=30)
NAMES = ("shop.example.com",)
KEY_DIFFERS = Problem("GW607", "the key is not the certificate's", "take both from one order")


def certificate(serial: str = "a", begun: int = -60, ends: int = 30, **more: Any) -> Certificate:
    """+ begun, ends: days from now"""
    return replace(
        Certificate(
            serial,
            f"print of {serial}",
            "CN=shop",
            "CN=authority",
            NAMES,
            NOW + timedelta(days=begun),
            NOW + timedelta(days=ends),
            "EC secp256r1",
            "sha256",
            False,
        ),
        **more,
    )


def chain(*problems: Problem, **more: Any) -> Chain:
    return Chain((certificate(**more),), problems)


GOOD = chain(ends=60)
NEW = chain(serial="b", begun=0, ends=90)


@pytest.mark.parametrize(
    ("current", "offered", "problems", "asked", "expected"),
    [
        pytest.param(GOOD, None, (), False, Decision(), id="nothing due"),
        pytest.param(None, None, (), False, Decision("it is missing"), id="missing"),
        pytest.param(chain(), None, (), False, Decision("it ends 2026-12-21"), id="to the second"),
        pytest.param(
            chain(ends=-1), None, (), False, Decision("it has ended 2026-11-20"), id="ended"
        ),
        pytest.param(
            chain(names=("www.example.com",), ends=60),
            None,
            (),
            False,
            Decision("it does not cover shop.example.com"),
            id="a listener has a new name",
        ),
        pytest.param(
            chain(KEY_DIFFERS, ends=60),
            None,
            (),
            False,
            Decision("what is in place is not good: the key is not the certificate's"),
            id="broken in place",
        ),
        pytest.param(
            chain(replace(KEY_DIFFERS, severity="warning"), ends=60),
            None,
            (),
            False,
            Decision(),
            id="a mere warning is not due",
        ),
        pytest.param(
            Chain(()), None, (), False, Decision("what is in place is no certificate"), id="empty"
        ),
        pytest.param(
            chain(begun=-1, ends=5), None, (), False, Decision(), id="short-lived and young"
        ),
        pytest.param(
            chain(begun=-2, ends=3), None, (), False, Decision("it ends 2026-11-24"), id="older"
        ),
        pytest.param(GOOD, None, (), True, Decision("renew_now asks for it"), id="asked for"),
        pytest.param(chain(), NEW, (), False, Decision("it ends 2026-12-21"), id="due, and there"),
        pytest.param(
            GOOD,
            NEW,
            (),
            False,
            Decision("its source has a newer one, serial b, CN=shop, until 2027-02-19"),
            id="newer in its source",
        ),
        pytest.param(None, NEW, (), False, Decision("it is missing"), id="first import"),
        pytest.param(GOOD, GOOD, (), True, Decision(), id="asked for, nothing newer there"),
        pytest.param(
            chain(),
            chain(),
            (),
            False,
            Decision(
                waits="it ends 2026-12-21, and its source has the same certificate, serial a, "
                "CN=shop, until 2026-12-21"
            ),
            id="nobody has renewed it yet",
        ),
        pytest.param(
            GOOD,
            Chain((*GOOD.certificates, certificate("ca"))),
            (),
            False,
            Decision("its source has another chain for it"),
            id="the same certificate with what signed it",
        ),
        pytest.param(
            chain(KEY_DIFFERS),
            chain(),
            (),
            False,
            Decision("what is in place is not good: the key is not the certificate's"),
            id="the same certificate with the right key",
        ),
        pytest.param(
            chain(),
            chain(serial="b", begun=-90, ends=20),
            (),
            False,
            Decision(
                refused="it ends 2026-12-21, and its source has an older one: serial b, CN=shop, "
                "until 2026-12-11, in place is serial a, CN=shop, until 2026-12-21"
            ),
            id="older in its source",
        ),
        pytest.param(
            chain(ends=-1),
            chain(serial="b", begun=-90, ends=-1),
            (),
            False,
            Decision("it has ended 2026-11-20"),
            id="older than one that has ended: usable() has the last word on it",
        ),
        pytest.param(
            GOOD, chain(serial="b", begun=-90, ends=20), (), False, Decision(), id="older, not due"
        ),
        pytest.param(
            GOOD,
            NEW,
            (KEY_DIFFERS,),
            False,
            Decision(refused="the key is not the certificate's: take both from one order"),
            id="newer and bad",
        ),
        pytest.param(
            GOOD,
            Chain((), (KEY_DIFFERS,)),
            (KEY_DIFFERS,),
            False,
            Decision(refused="the key is not the certificate's: take both from one order"),
            id="unreadable, although nothing is due",
        ),
        pytest.param(
            GOOD,
            chain(KEY_DIFFERS, ends=60),
            (KEY_DIFFERS,),
            False,
            Decision(refused="the key is not the certificate's: take both from one order"),
            id="the same certificate with another key",
        ),
    ],
)
def test_decide(
    current: Chain | None,
    offered: Chain | None,
    problems: tuple[Problem, ...],
    asked: bool,
    expected: Decision,
) -> None:
    found = rotation.decide(current, offered, problems, NAMES, NOW, MONTH, asked)
    assert found == expected


def secret(**meta: Any) -> dict[str, Any]:
    return {
        "metadata": {"namespace": "edge", "name": "tls", **meta},
        "type": "kubernetes.io/tls",
        "data": {key: b64encode(key.encode()).decode() for key in ("tls.crt", "tls.key")},
    }


def fields(manager: str, key: str) -> dict[str, Any]:
    return {"manager": manager, "fieldsV1": {"f:data": {f"f:{key}": {}}}}


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        pytest.param({}, None, id="nobody"),
        pytest.param(
            {"annotations": {"cert-manager.io/certificate-name": "shop"}},
            Feeder("Certificate edge/shop", "shop"),
            id="cert-manager",
        ),
        pytest.param(
            {"ownerReferences": [{"kind": "Certificate", "name": "shop"}]},
            Feeder("Certificate edge/shop", "shop"),
            id="cert-manager with owner references on",
        ),
        pytest.param(
            {"ownerReferences": [{"kind": "ExternalSecret", "name": "shop"}]},
            Feeder("ExternalSecret edge/shop"),
            id="External Secrets",
        ),
        pytest.param(
            {"annotations": {"reconcile.external-secrets.io/data-hash": "1"}},
            Feeder("the External Secrets operator"),
            id="External Secrets that own nothing",
        ),
        pytest.param(
            {"ownerReferences": [{"kind": "SealedSecret", "name": "shop"}]},
            Feeder("SealedSecret edge/shop"),
            id="Sealed Secrets",
        ),
        pytest.param(
            {"labels": {"kustomize.toolkit.fluxcd.io/name": "edge"}},
            Feeder("a Kustomization of Flux"),
            id="GitOps",
        ),
        pytest.param(
            {"managedFields": [fields("externalsecrets.external-secrets.io/shop", "tls.crt")]},
            Feeder("the field manager externalsecrets.external-secrets.io/shop"),
            id="a field manager alone",
        ),
        pytest.param({"managedFields": [fields("kubectl-create", "tls.crt")]}, None, id="a person"),
    ],
)
def test_feeder(meta: dict[str, Any], expected: Feeder | None) -> None:
    assert rotation.feeder(secret(**meta)) == expected


def test_a_way_back_is_in_the_secret_until_the_new_one_is_proven() -> None:
    new, old = Pair(b"new", b"new key"), Pair(b"old", b"old key")
    leaf = certificate("b")
    mark = rotation.marked("20261121T120000Z-rotate_certificates", leaf)
    written = rotation.manifest("edge", "tls", new, old, mark)
    assert rotation.pair(written) == new
    assert rotation.pair(written, rotation.BEFORE) == old
    assert rotation.unproven(written, leaf) == "20261121T120000Z-rotate_certificates"
    assert rotation.unproven(written, certificate("c")) is None, "somebody else wrote since"
    assert rotation.manifest("edge", "tls", new, version="7") == {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "tls", "namespace": "edge", "resourceVersion": "7"},
        "type": "kubernetes.io/tls",
        "data": {"tls.crt": "bmV3", "tls.key": "bmV3IGtleQ=="},
    }


def test_keys_are_not_shown() -> None:
    assert repr(Pair(b"certificate", b"key")) == "Pair()"


@pytest.mark.parametrize(
    ("thing", "expected"),
    [
        pytest.param(None, None, id="no Secret"),
        pytest.param({"data": None}, None, id="no data"),
        pytest.param({"data": {"tls.crt": "bmV3"}}, None, id="no key"),
        pytest.param({"data": {"tls.crt": "bmV3", "tls.key": ""}}, None, id="an empty key"),
        pytest.param({"data": {"tls.crt": "%", "tls.key": "bmV3"}}, None, id="no base64"),
        pytest.param(
            {"data": {"tls.crt": "bmV3", "tls.key": "bmV3"}}, Pair(b"new", b"new"), id="both"
        ),
    ],
)
def test_pair(thing: dict[str, Any] | None, expected: Pair | None) -> None:
    assert rotation.pair(thing) == expected


def test_wrong_type() -> None:
    assert rotation.wrong_type(None) is None
    assert rotation.wrong_type(secret()) is None
    assert rotation.wrong_type({"type": "Opaque"}) == (
        "is of type Opaque, and the type of a Secret cannot be changed: delete it and run again at "
        "once, or name another Secret here and in the Gateway"
    )


def listener(*secrets: SecretRef, **more: Any) -> Listener:
    about = ("weu-1", "Gateway edge/public", "edge/public", "https", 443, "shop.example.com")
    return replace(Listener(*about, ("10.0.0.1",), "edge/public", secrets), **more)


MINE = SecretRef("edge", "tls")
OTHER = SecretRef("edge", "other")
ONE = listener(MINE)


def test_users_and_their_names() -> None:
    denied = listener(SecretRef("edge", "tls", allowed=False))
    through = listener(MINE, passthrough=True)
    nameless = listener(MINE, hostname=None, hosts=("a.example.com", "*.b.example.com"))
    every = [ONE, listener(OTHER), denied, through, nameless]
    found = rotation.users(every, "edge", "tls")
    assert found == [ONE, nameless]
    assert denied in rotation.users(every, "edge", "tls", grants=["edge"])
    assert denied not in rotation.users(every, "edge", "tls", grants=["shop"])
    assert rotation.names(["Own.example.com", "shop.example.com"], found) == (
        "own.example.com",
        "shop.example.com",
        "a.example.com",
        "*.b.example.com",
    )


def test_names_without_which_clients_are_turned_away() -> None:
    wide = listener(MINE, hostname="*.example.com", hosts=("a.example.com", "b.example.com"))
    bare = listener(MINE, hostname="*.lab.test")
    assert rotation.needed((), [ONE, wide, bare], ("a.example.com",)) == (
        "shop.example.com",
        "*.lab.test",
        "a.example.com",
        "b.example.com",
    )
    assert rotation.needed((), [wide], ("*.example.com",)) == ("*.example.com",)
    assert rotation.needed(("*.example.com",), [wide], ()) == (
        "*.example.com",
        "a.example.com",
        "b.example.com",
    )


def shake(serial: str, place: str = "Pod eg/envoy-1", of: Listener = ONE, **more: Any) -> Handshake:
    prints = (f"print of {serial}",) if serial else ()
    return Handshake(place, of, "shop.example.com", prints, serial, **more)


AT = "Gateway edge/public, listener https (shop.example.com)"


@pytest.mark.parametrize(
    ("handshakes", "of", "expected"),
    [
        pytest.param([shake("b"), shake("b", "address 10.0.0.1:443")], ONE, [], id="all serve it"),
        pytest.param(
            [shake("b"), shake("a", "Pod eg/envoy-2")],
            ONE,
            [f"Pod eg/envoy-2, {AT}: serves serial a"],
            id="a replica is late",
        ),
        pytest.param(
            [shake("", why="Connection refused")],
            ONE,
            [f"Pod eg/envoy-1, {AT}: no handshake: Connection refused"],
            id="no handshake",
        ),
        pytest.param(
            [],
            ONE,
            ["Gateway edge/public, listener https: no proxy is ready, no address is there"],
            id="nobody was there to be asked",
        ),
        pytest.param(
            [shake("b", why="the peer asks for a certificate")], ONE, [], id="client validation"
        ),
        pytest.param(
            [shake("c", of=listener(MINE, OTHER))],
            listener(MINE, OTHER),
            [],
            id="another Secret of the same listener",
        ),
        pytest.param(
            [shake("a", of=listener(MINE, OTHER))],
            listener(MINE, OTHER),
            [f"Pod eg/envoy-1, {AT}: serves serial a"],
            id="two Secrets, and still the former certificate",
        ),
    ],
)
def test_unserved(handshakes: list[Handshake], of: Listener, expected: list[str]) -> None:
    assert rotation.unserved(handshakes, [of], NEW, certificate("a")) == expected


def test_what_a_report_says() -> None:
    before = [shake("a"), shake("", "address 10.0.0.1:443", why="timed out")]
    after = [shake("b"), shake("b", "address 10.0.0.1:443"), shake("b", "Pod eg/envoy-2")]
    assert rotation.serials(before, after) == {
        f"Pod eg/envoy-1, {AT}": "serial a → b",
        f"address 10.0.0.1:443, {AT}": "serial none → b",
        f"Pod eg/envoy-2, {AT}": "serial none → b",
    }
    assert rotation.places(after) == "2 Pods and 1 address"
    assert rotation.places([]) == ""
