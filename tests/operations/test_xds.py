"""Both ends of a configuration stream, asked over the port forward of an API server."""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks.operations import xds
from tasks.plans.control_plane import Part
from tests.control_plane import trusting, unit
from tests.port_forward import forwarding

OLD, NEW = unit(1), unit(2)
#: What an HTTP/2 server says first: an empty SETTINGS frame.
SETTINGS = b"\x00\x00\x00\x04\x00\x00\x00\x00\x00"


def server(part: Part, folder: Path) -> Callable[[bytes], bytes]:
    """A controller with this certificate, which lets in whom its authorities signed."""
    (folder / "chain").write_bytes(part.certificate + part.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain")
    context.load_verify_locations(cadata=part.bundle.decode())
    context.verify_mode = ssl.CERT_REQUIRED
    arriving, leaving = ssl.MemoryBIO(), ssl.MemoryBIO()
    secure = context.wrap_bio(arriving, leaving, server_side=True)

    def answer(data: bytes) -> bytes:
        arriving.write(data)
        try:
            secure.do_handshake()
            if secure.read(1024).startswith(b"PRI"):
                secure.write(SETTINGS)
        except ssl.SSLWantReadError:
            pass
        except ssl.SSLError:  # the alert is on its way
            pass
        return leaving.read()

    return answer


def test_lets_in_who_is_trusted(tmp_path: Path) -> None:
    with forwarding(server(OLD["envoy-gateway"], tmp_path)) as (api, _):
        fingerprint = xds.served(api, "eg", "controller", xds.STREAM, OLD["envoy"])
    assert fingerprint == OLD["envoy-gateway"].leaf.fingerprint


def test_two_authorities(tmp_path: Path) -> None:
    both = trusting(OLD, NEW, OLD)["envoy-gateway"]
    for shown in (OLD["envoy"], NEW["envoy"]):
        with forwarding(server(both, tmp_path)) as (api, _):
            assert xds.served(api, "eg", "controller", xds.STREAM, shown)


def test_refuses_another_authority(tmp_path: Path) -> None:
    with (
        forwarding(server(OLD["envoy-gateway"], tmp_path)) as (api, _),
        pytest.raises(xds.Refused, match="unknown ca"),
    ):
        xds.served(api, "eg", "controller", xds.STREAM, NEW["envoy"])


def test_what_is_no_tls() -> None:
    with (
        forwarding() as (api, _),
        pytest.raises(ssl.SSLError, match=r"UNEXPECTED_MESSAGE|WRONG_VERSION"),
    ):
        xds.served(api, "eg", "controller", xds.STREAM, OLD["envoy"])


def admin(request: bytes) -> bytes:
    """Contexts of the stream and of a listener, as Envoy 1.39 shows them."""
    own = {"path": "<inline>", "serial_number": "0304f345"}
    certs = {
        "certificates": [
            {"ca_cert": [], "cert_chain": [{"serial_number": "63df"}]},
            {"ca_cert": [{"serial_number": "31a9afce"}], "cert_chain": [own]},
        ]
    }
    stats = {
        "stats": [
            {"name": "control_plane.connected_state", "value": 1},
            {"name": "cluster.wasm_cluster.membership_total", "value": 1},
        ]
    }
    body = json.dumps(certs if b"/certs" in request else stats).encode()
    return b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_what_a_proxy_has_loaded() -> None:
    with forwarding(admin) as (api, _):
        seen = xds.loaded(api, "eg", "envoy-1", ["wasm_cluster"])
    assert seen == xds.Loaded(
        frozenset({(0x31A9AFCE, 0x304F345)}), True, frozenset({"wasm_cluster"})
    )


def test_an_admin_port_that_refuses() -> None:
    refusal = b"HTTP/1.1 404 X\r\nContent-Length: 0\r\n\r\n"
    with (
        forwarding(lambda _: refusal) as (api, _),
        pytest.raises(OSError, match="admin port answers 404 to /certs"),
    ):
        xds.loaded(api, "eg", "envoy-1")
