"""Play one world on a real Envoy, and tell of it in the shape of the shared scenarios."""

from __future__ import annotations

import asyncio
import base64
import json
import re
import socket
import urllib.request
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from tests.captures import objects, plain, xds
from tests.captures.backends import Pod
from tests.captures.casts import RELEASES
from tests.captures.clients import Caller
from tests.captures.world import Ask, Json, Truth, World
from tests.scenes.gateway import ADMIN
from tests.scenes.processes import ended, start

PAGES = {
    "config_dump": "/config_dump?include_eds",
    "clusters": "/clusters?format=json",
    "listeners": "/listeners?format=json",
    "certs": "/certs",
    "server_info": "/server_info",
}
TEXTS = {
    "stats": "/stats?usedonly",
    "stats_prometheus": "/stats/prometheus?usedonly",
    "clusters_text": "/clusters",
}
#: What no fault changes: of Envoy's own listeners, process and files; and what of Prometheus' page
#: is kept.
OWN = re.compile(
    r"http\.(admin|eg-)|listener\.(admin|[^ ]*_1900[13]\.|[^ ]*worker_)|filesystem|runtime|thread_"
    r"|workers|main_thread|server\.(?!days)|cluster\.(xds_cluster|prometheus_stats)\."
    r"|[^ ]*(warming_state|\.version|update_time|config_reload|_bytes)"
)
PAGE = re.compile(
    r"envoy_(cluster_(upstream|membership|lb_healthy|circuit|outlier|health|ssl)|server_days"
    r"|http_(?!.*(admin|eg-)).*(downstream_rq|no_|rq_|jwt|rbac|ext_|local|rate|fault)"
    r"|listener_(ssl|no_filter|downstream_cx_total))(?![^{]*_(bucket|sum|count)\{)"
)
#: User agents whose requests are not what is asked about.
OTHERS = ("neighbour/1", "crawler/3")
#: Lists that say nothing of a fault.
LONG = ("extensions", "command_line_options")
#: Where a machine would have its own address.
NODE = "192.0.2.2"
REDACTED = base64.b64encode(b"[redacted]").decode()
#: Seconds until Envoy serves on a busy machine.
PATIENCE = 30


class Wrong(Exception):
    """A world that did not show what it was made for."""


def addresses(world: World, network: str) -> str:
    """Give every Pod one; that of the proxy comes back."""
    host = 20
    for service in (*world.services, *world.helpers.values()):
        if service.addresses:
            continue
        for _ in range(service.pods):
            service.addresses.append(f"{network}.{host}")
            host += 1
    return f"{network}.2"


async def play(name: str, world: World, folder: Path, network: str) -> Json:
    """
    The capture of a world. Raises Wrong where what was seen is not what ``world.truth`` says.

    + network: three numbers of a loopback network of its own, such as "127.82.4"
    """
    folder.mkdir(parents=True, exist_ok=True)
    address = addresses(world, network)
    pods = [
        Pod(service, number)
        for service in (*world.services, *world.helpers.values())
        for number in range(len(service.addresses))
        if service.present
    ]
    for it in pods:
        await it.open()
    write = plain.write if world.plain else xds.write
    bootstrap = {**write(world, address, folder), **world.bootstrap}
    (folder / "bootstrap.json").write_text(json.dumps(bootstrap))
    process = start(
        f"envoy-{world.release}",
        folder / "envoy.log",
        *("--config-path", str(folder / "bootstrap.json"), "--disable-hot-restart"),
        *("--concurrency", "1", "--log-level", "warn", "--drain-time-s", "1"),
        *("--file-flush-interval-msec", "50"),
    )
    try:
        await _serving(world, address, folder)
        neighbours = [
            Ask(world.beside.hosts[0], f"/items/{it}", agent="neighbour/1", port=_http(world))
            for it in range(3)
        ]
        asks, world.asks = world.asks, [*neighbours, *world.before]
        await asyncio.to_thread(Caller(world, address).all)
        world.asks = asks
        await asyncio.sleep(world.settle)
        client = await asyncio.to_thread(Caller(world, address).all)
        await asyncio.sleep(0.2)
        admin = await asyncio.to_thread(_admin, address)
    finally:
        await ended(process)
        for it in pods:
            await it.close()
    return _told(name, world, address, folder, client, admin)


def _http(world: World) -> int:
    return next(it.port for it in world.listeners if it.secret is None)


async def _serving(world: World, address: str, folder: Path) -> None:
    """Until every listener takes connections."""
    wanted = {it.inner for it in world.listeners}
    for _ in range(PATIENCE * 20):
        try:
            for port in wanted:
                _, writer = await asyncio.open_connection(address, port)
                writer.close()
            return
        except OSError:
            await asyncio.sleep(0.05)
    raise Wrong(f"Envoy does not serve: {(folder / 'envoy.log').read_text()[-2000:]}")


def _admin(address: str) -> Json:
    made: Json = {}
    for name, page in {**PAGES, **TEXTS}.items():
        with urllib.request.urlopen(f"http://{address}:{ADMIN}{page}", timeout=10) as said:
            text = said.read().decode()
        made[name] = text if name in TEXTS else _short(json.loads(text))
    lines, page = (made[it].splitlines(True) for it in ("stats", "stats_prometheus"))
    made["stats"] = "".join(it for it in lines if not OWN.match(it))
    made["stats_prometheus"] = "".join(it for it in page if PAGE.match(it))
    return made


def _short(it: Any) -> Any:
    """Without all that this Envoy was built and started with."""
    if isinstance(it, list):
        return [_short(one) for one in it]
    if not isinstance(it, dict):
        return it
    return {key: _short(one) for key, one in it.items() if key not in LONG}


def _lines(path: Path) -> list[Any]:
    if not path.exists():
        return []
    lines = path.read_text().splitlines()
    return lines if path.name == "default" else [json.loads(it) for it in lines]


def _told(
    name: str, world: World, address: str, folder: Path, client: list[Json], admin: Json
) -> Json:
    logs = {kind: _lines(folder / kind) for kind in ("eg", "guide", "default")}
    line = seen(world.truth, client, logs["eg"], world)
    said = [it for it in _lines_of(folder / "envoy.log") if "ENVOY_SIGTERM" not in it]
    capture = {
        "scenario": name,
        "shape": world.shape,
        "envoy_version": admin["server_info"]["version"],
        "client": client,
        "access_log": {
            "eg_default_json": logs["eg"],
            "guide_json": logs["guide"],
            "envoy_default_text": logs["default"],
        },
        "admin": admin,
        "envoy_log": said,
        "kubernetes": objects.listed(world, address),
        "expected": expected(world),
        "observed": _observed(client[world.truth.index], line),
    }
    cleaned: Json = json.loads(_cleaned(json.dumps(capture), folder))
    admin = cleaned["admin"]
    admin["config_dump"] = _streamed(admin["config_dump"])
    return cleaned


def _lines_of(path: Path) -> list[str]:
    return path.read_text().splitlines() if path.exists() else []


def _observed(entry: Json, line: Json | None) -> Json:
    headers = entry.get("headers") or None
    return {"status": entry["status"], "headers": headers, "log_line": line}


def expected(world: World) -> Json:
    truth = world.truth
    made: Json = {
        "cause": truth.cause,
        "answered_by": truth.answered_by,
        "status": truth.status,
        "response_flags": truth.flags,
        "response_code_details": truth.details,
        "why": truth.why,
        "faulty_object": _object(truth.obj),
        "must_not_conclude": list(truth.must_not),
        "needs": list(truth.needs),
        "client_index": truth.index,
        **truth.more,
    }
    if truth.also:
        made["also_acceptable"] = list(truth.also)
    if truth.also_objects:
        made["also_acceptable_objects"] = [_object(it) for it in truth.also_objects]
    if truth.cause == "ok":
        made["healthy"] = True
    return made


def _object(said: tuple[str, str | None, str] | None) -> Json | None:
    return None if said is None else dict(zip(("kind", "namespace", "name"), said, strict=True))


def seen(truth: Truth, client: Sequence[Json], lines: Sequence[Json], world: World) -> Json | None:
    """The line of the request that is asked about; Wrong where nothing says what is expected."""
    entry = client[truth.index]
    if entry["status"] != truth.status:
        raise Wrong(f"the client saw {_brief(entry)}, not {truth.status}\n{_tail(lines)}")
    if truth.details is None:
        return None
    for line in reversed(lines):
        if line["user-agent"] not in OTHERS and said_as(world, line, entry):
            return line
    raise Wrong(f"no line says {truth.flags} {truth.details}: {_tail(lines)}")


def said_as(world: World, line: Json, entry: Json) -> bool:
    """Whether a line is of the request, and says what is expected."""
    truth = world.truth
    assert truth.details is not None
    rewritten = any(it["type"] == "URLRewrite" for it in world.rule.filters)
    pattern = truth.details[3:] if truth.details.startswith("re:") else re.escape(truth.details)
    path = line["x-envoy-origin-path"]
    return (
        line["response_flags"] == truth.flags
        and re.fullmatch(pattern, line["response_code_details"] or "-") is not None
        and line["response_code"] == (truth.status or line["response_code"])
        and (rewritten or path in (None, entry["request"]["path"]))
    )


def _brief(entry: Json) -> Json:
    return {key: entry.get(key) for key in ("request", "status", "error", "body")}


def _tail(lines: Sequence[Json]) -> str:
    keys = ("response_code", "response_flags", "response_code_details")
    more = ("upstream_transport_failure_reason", "connection_termination_details")
    mine = [it for it in lines if it["user-agent"] not in OTHERS]
    return json.dumps([[it[key] for key in (*keys, *more)] for it in mine[-3:]])


def _cleaned(text: str, folder: Path) -> str:
    """Without what tells of this machine: its addresses, its folders, its keys."""
    for kind in ("eg", "guide", "default"):
        text = text.replace(f"{folder}/{kind}", "/dev/stdout")
    for it in _own_addresses():
        text = text.replace(it, NODE)
    # Envoy leaves keys out of its dump; nothing else here has any.
    return text.replace(str(folder), "/etc/envoy")


def _own_addresses() -> list[str]:
    found = {it[4][0] for it in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET)}
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one:
        try:
            one.connect(("192.0.2.1", 9))
            found.add(one.getsockname()[0])
        except OSError:
            pass
    return [str(it) for it in found if not str(it).startswith("127.")]


def _streamed(it: Any) -> Any:
    """Where files were watched, an Envoy Gateway has a stream."""
    if isinstance(it, list):
        return [_streamed(one) for one in it]
    if not isinstance(it, dict):
        return it
    made = {key: _streamed(one) for key, one in it.items() if key != "path_config_source"}
    return {"ads": {}, **made} if "path_config_source" in it else made


def release(world: World) -> str:
    return RELEASES[world.release]
