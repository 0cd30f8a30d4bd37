"""Each format is read for what it has, and nothing that a log may hold ends in a traceback."""

from __future__ import annotations

import gzip
import json
import os
import random
import string
from dataclasses import fields
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tasks.diagnosis import access_logs
from tasks.diagnosis.access_logs import LOOKED_FOR, entries, lines_of
from tasks.diagnosis.evidence import Entry, Skipped
from tasks.plans.access_logs import CONNECTION, REQUEST

DATA = Path(__file__).resolve().parents[1] / "data/access-logs"
TRIES = int(os.environ.get("ENVOYFLEET_MALFORMED", "500"))
ID = "4795facc-7e26-4ed9-b560-5cf2be1d361b"
RESET = (
    "upstream_reset_before_response_started{remote_connection_failure|"
    "delayed_connect_error:_Connection_refused}"
)
REFUSED = "delayed_connect_error:_Connection_refused"
#: What Envoy's own format says of one refused request.
DEFAULT = {
    "at": "2026-11-21T02:59:26.205Z",
    "method": "GET",
    "path": "/cart/1",
    "protocol": "HTTP/1.1",
    "authority": "cart.example.com",
    "status": 503,
    "flags": "UF",
    "upstream_host": "10.244.1.7:3001",
    "duration": 3.0,
    "received": 0,
    "sent": 98,
    "user_agent": "curl/8.9",
    "request_id": ID,
    "forwarded_for": "192.0.2.2",
}
CLUSTER = {
    "upstream_cluster": "httproute/shop/cart/rule/0",
    "route": "httproute/shop/cart/rule/0/match/0/cart_example_com",
}
#: What Envoy Gateway's has beside it.
GATEWAY = {
    **DEFAULT,
    **CLUSTER,
    "details": RESET,
    "termination": "",
    "failure": REFUSED,
    "remote": "192.0.2.2:60168",
    "local": "10.244.1.4:10080",
    "sni": "",
    "upstream_local": "",
}
ISTIO = {
    **DEFAULT,
    "sent": 152,
    "termination": "",
    "remote": "192.0.2.2:60168",
    "local": "10.244.1.4:8080",
    "sni": "",
    "upstream_local": "",
    "upstream_cluster": "outbound|80||cart.shop.svc.cluster.local",
    "route": "default",
}
#: Names that a log may have for its fields.
KNOWN = {name for names in access_logs.NAMES.values() for name in names}


def said(it: Entry) -> dict[str, Any]:
    """Without what its format does not have, and where it is from."""
    found = {each.name: getattr(it, each.name) for each in fields(it)}
    return {k: v for k, v in found.items() if v is not None and k not in ("source", "line")}


def read(name: str) -> list[dict[str, Any] | Skipped]:
    with (DATA / name).open("rb") as file:
        found = list(entries(lines_of(file), name))
    return [said(it) if isinstance(it, Entry) else it for it in found]


def without(it: dict[str, Any], *names: str) -> dict[str, Any]:
    return {k: v for k, v in it.items() if k not in names}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("envoy-gateway.jsonl", [GATEWAY]),
        (
            "guide.jsonl",
            [
                {
                    **without(DEFAULT, "authority"),
                    "upstream_cluster": CLUSTER["upstream_cluster"],
                    "grpc_status": "",
                }
            ],
        ),
        ("envoy-more.log", [{**DEFAULT, **CLUSTER}, {**DEFAULT, "route": CLUSTER["route"]}]),
        ("kubectl.log", [GATEWAY, GATEWAY, DEFAULT, GATEWAY, DEFAULT, DEFAULT]),
        ("loki.json", [GATEWAY, DEFAULT]),
        ("logcli.jsonl", [GATEWAY]),
        (
            "istio.jsonl",
            [
                {
                    **ISTIO,
                    "flags": "UH",
                    "details": "no_healthy_upstream",
                    "failure": "",
                    "upstream_host": "",
                }
            ],
        ),
    ],
)
def test_formats(name: str, expected: list[dict[str, Any]]) -> None:
    assert read(name) == expected


def test_text_of_envoy() -> None:
    request, connection = read("envoy.log")
    assert request == DEFAULT
    assert isinstance(connection, dict)
    assert connection["flags"] == "NR"
    assert (connection["status"], connection["method"], connection["authority"]) == (0, "", "")


def test_text_of_istio() -> None:
    refused, fine = read("istio.log")
    reset = RESET.replace("|", ",")
    assert refused == {**ISTIO, "details": reset, "failure": REFUSED}
    assert isinstance(fine, dict)
    assert (fine["details"], fine["sni"]) == ("via_upstream", "cart.example.com")
    assert (fine["duration"], fine["upstream_time"]) == (5.0, 4.0)


def test_our_own() -> None:
    request, connection = read("ours.jsonl")
    assert isinstance(request, dict)
    assert isinstance(connection, dict)
    times = ("duration", "request_time", "connect_time", "upstream_time", "response_time")
    assert [request[it] for it in times] == [204.0, 1.0, 2.0, 200.0, 1.0]
    assert (request["attempts"], request["listener"]) == (1, "edge/public/http")
    assert "HTTP_REQUEST" in connection["listener_failure"]
    assert "status" not in connection


@pytest.mark.parametrize("wanted", [REQUEST, CONNECTION], ids=["requests", "connections"])
def test_every_field_that_we_log_is_known(wanted: dict[str, str]) -> None:
    unused = {"log", "downstream_tls_version", "downstream_tls_cipher", "connection_id"}
    assert set(wanted) - KNOWN == unused & set(wanted)


def test_objects_over_several_lines() -> None:
    gateway, guide = read("pretty.json")
    assert gateway == GATEWAY
    assert isinstance(guide, dict)
    assert guide["status"] == 503


def test_cilium() -> None:
    answer, denied = read("cilium.jsonl")  # the request that was forwarded has no answer yet
    assert isinstance(answer, dict)
    assert isinstance(denied, dict)
    assert (answer["status"], answer["authority"]) == (404, "mailer3.example.com")
    assert (answer["path"], answer["duration"]) == ("/inbox?page=2", 3.1)
    assert (denied["status"], denied["path"]) == (403, "/inbox")


def test_what_is_no_entry_is_said_once() -> None:
    *found, cut, unknown, other, broken = read("odd.log")
    assert [it["status"] for it in found if isinstance(it, dict)] == [503, 503]
    last = found[-1]
    assert isinstance(last, dict)
    assert last["flags"] == ""
    assert "sent" not in last  # "many" is no number
    assert cut == Skipped("odd.log", 1, "JSON that is cut or broken: line 1")
    assert unknown == Skipped("odd.log", 1, f"in no known format ({LOOKED_FOR}): line 4")
    assert other == Skipped("odd.log", 1, f"JSON of another kind ({LOOKED_FOR}): line 5")
    assert broken == Skipped("odd.log", 1, "text that is cut or broken: line 7")


def test_many_lines_of_no_format() -> None:
    (found,) = entries(["no log"] * 1000, "x.log")
    assert found == Skipped("x.log", 1000, f"in no known format ({LOOKED_FOR}): line 1, 2, 3, ...")


@pytest.mark.parametrize("cut", [None, 400, 20, 5])
def test_gzip(cut: int | None) -> None:
    """Two files behind each other; where the end is missing, what is there is read."""
    line = (DATA / "envoy-gateway.jsonl").read_bytes()
    packed = gzip.compress(line * 50) + gzip.compress(line * 50)
    packed = packed[: cut and len(packed) - cut]
    found = list(entries(packed.splitlines(keepends=True), "access.gz"))
    good = [it for it in found if isinstance(it, Entry)]
    assert len(good) == 100 if cut is None else len(good) < 101
    assert all(said(it) == GATEWAY for it in good)


def test_gzip_that_is_broken() -> None:
    packed = bytearray(gzip.compress((DATA / "kubectl.log").read_bytes() * 200))
    packed[200:220] = b"\0" * 20
    found = list(entries(bytes(packed).splitlines(keepends=True), "access.gz"))
    assert any(isinstance(it, Skipped) for it in found)


def test_a_user_agent_with_quotes() -> None:
    line = (DATA / "envoy.log").read_text().splitlines()[0]
    (found,) = entries([line.replace('"curl/8.9"', '"a "b" c"')], "x")
    assert isinstance(found, Entry)
    assert said(found)["user_agent"] == 'a "b" c'
    assert said(found) == {**DEFAULT, "user_agent": 'a "b" c'}


@pytest.mark.parametrize(
    ("given_as", "at"),
    [
        ("2026-11-21T02:59:26.205Z", "2026-11-21T02:59:26.205Z"),
        (1795229966, "2026-11-21T02:59:26.000Z"),
        ("1795229966.205", "2026-11-21T02:59:26.205Z"),
        (1795229966205, "2026-11-21T02:59:26.205Z"),
        ("1795229966205000000", "2026-11-21T02:59:26.205Z"),
        ("2026-11-21T03:59:26.205+01:00", "2026-11-21T02:59:26.205Z"),
        ("yesterday", "yesterday"),
        (None, ""),
        ("1" * 400, "1" * 400),
    ],
)
def test_times(given_as: object, at: str) -> None:
    (found,) = entries([json.dumps({"start_time": given_as, "response_code": 200})], "x")
    assert isinstance(found, Entry)
    assert found.at == at


def test_a_number_that_no_computer_holds() -> None:
    texts = [
        '{"response_code": 1e999, "duration": NaN, "bytes_sent": -Infinity}',
        f'{{"response_code": {"9" * 5000}}}',
        '{"response_code": [1], "duration": {"a": 1}, "start_time": [1], "method": 7}',
        "[" * 100_000,
        '{"a":' * 100_000,
    ]
    found = list(entries(texts, "x"))
    assert [type(it) for it in found] == [Entry, Entry, Skipped, Skipped]
    first = found[0]
    assert isinstance(first, Entry)
    assert (first.status, first.duration, first.sent) == (None, None, None)


SAMPLES = [
    line
    for path in sorted(DATA.iterdir())
    for line in path.read_bytes().splitlines()
    if len(line) > 20
]


def damaged(random: random.Random) -> bytes:
    """A line with some of it cut, doubled, replaced or made of another kind."""
    line = bytearray(random.choice(SAMPLES))
    for _ in range(random.randrange(1, 6)):
        at = random.randrange(len(line) + 1)
        size = random.randrange(1, 40)
        damage = random.randrange(7)
        if damage == 0:
            del line[at:]
        elif damage == 1:
            line[at:at] = random.randbytes(size)
        elif damage == 2:
            line[at : at + size] = b""
        elif damage == 3:
            line[at : at + 1] = random.choice([b"\0", b'"', b"{", b"}", b"[", b"\\", b"\xff", b"-"])
        elif damage == 4:
            line[at:at] = random.choice(SAMPLES)[:size]
        elif damage == 5:
            swapped = random.choice([b"null", b"[]", b"{}", b'"x"', b"1e999", b"true", b"NaN"])
            line = bytearray(bytes(line).replace(random.choice([b"503", b"null", b"3,"]), swapped))
        else:
            line[at:at] = "".join(random.choices(string.printable, k=size)).encode()
        if not line:
            break
    return bytes(line)


def test_damaged_lines() -> None:
    """10,000 with ENVOYFLEET_MALFORMED=10000; each is an entry, skipped and counted, or passed."""
    chance = random.Random(9)
    for number in range(TRIES):
        lines = [damaged(chance) for _ in range(chance.randrange(1, 4))]
        for it in entries(lines, f"{number}.log"):
            assert isinstance(it, Entry | Skipped)
            if isinstance(it, Entry):
                _typed(it)


@settings(max_examples=TRIES // 5, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    st.dictionaries(
        st.sampled_from([*sorted(KNOWN), "line", "log", "data", "l7", "entryType", "http"]),
        st.recursive(
            st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
            lambda inner: (
                st.lists(inner, max_size=3)
                | st.dictionaries(st.sampled_from(["http", "line", "values", "result"]), inner)
            ),
            max_leaves=6,
        ),
        max_size=8,
    )
)
def test_any_json(document: dict[str, Any]) -> None:
    for it in entries([json.dumps(document)], "x"):
        if isinstance(it, Entry):
            _typed(it)


def _typed(it: Entry) -> None:
    """Whoever reads an entry may rely on what its fields are."""
    for name in ("status", "received", "sent", "attempts"):
        assert isinstance(getattr(it, name), int | None), (name, it)
    for name in ("duration", "upstream_time", "request_time", "connect_time", "response_time"):
        assert isinstance(getattr(it, name), float | None), (name, it)
    for name in ("at", "method", "path", "authority", "flags", "details", "upstream_host", "route"):
        assert isinstance(getattr(it, name), str | None), (name, it)
