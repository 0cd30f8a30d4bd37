"""An Envoy's admin port over the port forward of an API server."""

from __future__ import annotations

import json
import time

import pytest

from tasks.diagnosis.config import Configuration
from tasks.operations import admin
from tests.diagnosis.recorded import recorded
from tests.port_forward import forwarding

[FILES] = recorded()["proxies"].values()


def envoy(request: bytes) -> bytes:
    """What a real one answered; no certificates."""
    path = request.split()[1].decode()
    file = next((name for name, it in admin.FILES.items() if it == path), "")
    body: bytes = FILES.get(file, "").encode()
    line = b"HTTP/1.1 200 OK" if body else b"HTTP/1.1 404 Not Found"
    return line + b"\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body) + body


def test_all_in_one_request() -> None:
    with forwarding(envoy) as (api, heads):
        proxy, gaps = admin.proxy(api, "eg", "envoy-1")
    assert len(heads) == 1
    assert proxy.name == "Pod eg/envoy-1"
    assert isinstance(proxy.config, Configuration)
    assert "httproute/demo/blue/rule/0" in proxy.config.clusters
    assert proxy.clusters
    assert proxy.stats
    assert proxy.stats["control_plane.connected_state"] == 1
    assert [(it.what, it.why) for it in gaps] == [
        ("Pod eg/envoy-1, /certs", "admin port answers 404 to /certs")
    ]


def test_every_file_is_handed_to_who_keeps_it() -> None:
    kept = {}
    with forwarding(envoy) as (api, _):
        admin.proxy(api, "eg", "envoy-1", lambda name, file, data: kept.update({file: data}))
    assert json.loads(kept["config_dump.json"])["configs"]


def test_no_right_to_forward_is_a_gap() -> None:
    with forwarding(status=403) as (api, _):
        proxy, [gap] = admin.proxy(api, "eg", "envoy-1")
    assert proxy.config is None
    assert (gap.what, gap.why) == (f"Pod eg/envoy-1, {admin.FORWARD}", admin.DENIED)


def test_what_is_no_json_is_left_out() -> None:
    proxy = admin.described("p", {"clusters.json": b"{cut", "config_dump.json": b"{cut"})
    assert proxy.clusters is None
    assert proxy.config.partial


def test_one_that_does_not_answer_is_waited_for_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admin, "TIMEOUT", 0.3)
    begun = time.monotonic()
    with forwarding(lambda _: b"") as (api, _):
        _, gaps = admin.proxy(api, "eg", "envoy-1")
    assert {it.why for it in gaps} == {"timed out"}
    assert len(gaps) == len(admin.NEEDED)
    assert time.monotonic() - begun < len(gaps) * 0.3 + 5
