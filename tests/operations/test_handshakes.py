"""Handshakes with Pods and addresses, against TLS servers of this process."""

from __future__ import annotations

import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from socket import create_server, socket
from types import SimpleNamespace

import pytest
from pyinfra.context import ctx_host

from tasks.operations import handshakes
from tasks.plans.handshakes import Ask, Pod
from tasks.plans.listeners import Handshake, Listener
from tasks.plans.x509 import fingerprint
from tests.objects import certificate
from tests.port_forward import forwarding


def listener(port: int, hostname: str | None = "shop.example.com") -> Listener:
    return Listener(
        "weu-1",
        "Gateway edge/public",
        "edge/public",
        "https",
        port,
        hostname,
        ("127.0.0.1",),
        "edge/public",
        (),
    )


@contextmanager
def server(context: ssl.SSLContext | None) -> Iterator[int]:
    """Ends each connection after its handshake, or at once without a context. Yields its port."""

    def serve(listening: socket) -> None:
        while True:
            try:
                raw, _ = listening.accept()
            except OSError:
                return
            with raw:
                if context:
                    try:
                        context.wrap_socket(raw, server_side=True).close()
                    except OSError:
                        continue

    with create_server(("127.0.0.1", 0)) as listening:
        threading.Thread(target=serve, args=(listening,), daemon=True).start()
        yield listening.getsockname()[1]


def context(folder: Path, *more: str) -> ssl.SSLContext:
    """Serves a certificate for shop.example.com, and those of ``more`` after it."""
    public, private = certificate("shop.example.com")
    file = folder / "pair.pem"
    file.write_text(private + public + "".join(certificate(it)[0] for it in more))
    made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    made.load_cert_chain(file)
    return made


def prints(*hosts: str) -> tuple[str, ...]:
    return tuple(fingerprint(ssl.PEM_cert_to_DER_cert(certificate(it)[0])) for it in hosts)


def test_the_whole_chain_is_seen_in_the_order_in_which_it_was_sent(tmp_path: Path) -> None:
    made = context(tmp_path, "b.example.com", "a.example.com")
    made.set_alpn_protocols(["http/1.1"])
    with server(made) as port:
        [found] = handshakes.at_addresses([listener(port)])
    assert found.chain == prints("shop.example.com", "b.example.com", "a.example.com")
    assert [it.names[0] for it in found.served.certificates][1:] == [
        "b.example.com",
        "a.example.com",
    ]
    assert (found.place, found.sni) == (f"address 127.0.0.1:{port}", "shop.example.com")
    assert (found.serial, found.alpn) == (found.served.certificates[0].serial, "http/1.1")


@pytest.mark.parametrize("newest", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_a_listener_that_asks_clients_for_certificates_has_shown_its_own(
    tmp_path: Path, newest: ssl.TLSVersion
) -> None:
    made = context(tmp_path)
    made.maximum_version = newest
    made.load_verify_locations(cadata=certificate()[0])
    made.verify_mode = ssl.CERT_REQUIRED
    with server(made) as port:
        [found] = handshakes.at_addresses([listener(port)])
    assert (found.chain, found.why) == (prints("shop.example.com"), None)


def test_no_handshake_has_a_reason() -> None:
    with server(None) as port:
        [ended] = handshakes.at_addresses([listener(port)])
    [refused] = handshakes.at_addresses([listener(port)])
    [unsayable] = handshakes.at_addresses([listener(port, "a..b")])
    assert ended.why is not None
    assert (ended.chain, refused.why) == ((), "Connection refused")
    assert unsayable.why is not None


def over_a_forward(
    made: ssl.SSLContext, before: bytes = b""
) -> tuple[Callable[[bytes], bytes], list[bytes]]:
    """
    Answers what arrives at a TLS server, piece by piece; and the first that arrived.

    + before: what is said before TLS begins
    """
    arrived: list[bytes] = []
    near, far = ssl.MemoryBIO(), ssl.MemoryBIO()
    stream = made.wrap_bio(near, far, server_side=True)

    def answer(data: bytes) -> bytes:
        arrived.append(data)
        near.write(data.removeprefix(before) if len(arrived) == 1 else data)
        with suppress(ssl.SSLWantReadError):
            stream.do_handshake()
        return far.read()

    return answer, arrived


def asked(pod: Pod, answer: Callable[[bytes], bytes], status: int = 101) -> list[Handshake]:
    here = SimpleNamespace(connector=SimpleNamespace(api=None))
    with forwarding(answer, status) as (here.connector.api, _), ctx_host.use(here):
        return handshakes.ask([pod])


POD = Pod("eg", "envoy-1", (Ask(listener(443), "shop.example.com", 10443),))


def test_a_pod_is_asked_through_the_api_server(tmp_path: Path) -> None:
    answer, _ = over_a_forward(context(tmp_path))
    [found] = asked(POD, answer)
    assert (found.place, found.chain) == ("Pod eg/envoy-1", prints("shop.example.com"))


def test_a_pod_that_wants_to_hear_of_the_client_hears_of_nobody(tmp_path: Path) -> None:
    nobody = b"PROXY UNKNOWN\r\n"
    answer, arrived = over_a_forward(context(tmp_path), nobody)
    it = replace(POD.asks[0].listener, proxy_protocol=True)
    [found] = asked(Pod("eg", "envoy-1", (Ask(it, "shop.example.com", 10443),)), answer)
    assert arrived[0].startswith(nobody)
    assert found.chain == prints("shop.example.com")


def test_a_port_that_is_not_there_is_said(tmp_path: Path) -> None:
    answer, _ = over_a_forward(context(tmp_path))
    [found] = asked(Pod("eg", "envoy-1", (Ask(listener(81), "a.b", 81),)), answer)
    assert (found.chain, found.why) == ((), "nothing listens on port 81")


def test_pods_that_may_not_be_asked(tmp_path: Path) -> None:
    answer, _ = over_a_forward(context(tmp_path))
    with pytest.raises(handshakes.Denied, match="no right to create pods/portforward"):
        asked(POD, answer, 403)
    assert asked(POD, answer, 404) == []
    [found] = asked(POD, answer, 500)
    assert found.why == "port forward: 500 pods is forbidden"
