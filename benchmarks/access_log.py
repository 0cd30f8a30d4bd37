"""
A gigabyte of access log in one pass, of Envoy Gateway's JSON and of Envoy's own text.

    python benchmarks/access_log.py --print        4 min, no cluster and no root

Some megabytes of lines are made and written again and again until the file is long enough; it is
read in a process of its own, whose memory is measured.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import shown

SIZE = 10**9
#: Bytes that are made anew.
MADE = 40 * 10**6
HOSTS = 40
#: What is measured, its bound, and the unit.
BOUNDS: dict[str, tuple[float | None, str]] = {
    f"{name}: {what}": (bound, unit)
    for name in ("JSON of Envoy Gateway", "text of Envoy")
    for what, bound, unit in (
        ("lines", None, ""),
        ("kinds of lines", None, ""),
        ("one pass", 60.0, "s"),
        ("processor time", None, "s"),
        ("memory of the process (RSS)", 200.0, "MB"),
    )
}
READ = """
import json, resource, sys, time
from tasks.diagnosis import access_logs, aggregate
begun, spent = time.monotonic(), time.process_time()
with open(sys.argv[1], "rb") as file:
    found = aggregate.of_lines(access_logs.lines_of(file), "access.log")
print(json.dumps({
    "lines": found.count,
    "kinds of lines": len(found.kinds),
    "one pass": time.monotonic() - begun,
    "processor time": time.process_time() - spent,
    "memory of the process (RSS)": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
}))
"""


def measured(place: Path) -> dict[str, float]:
    """Of both formats, one after the other."""
    found: dict[str, float] = {}
    for name, line in (("JSON of Envoy Gateway", as_json), ("text of Envoy", as_text)):
        path = place / "access.log"
        write(path, line)
        command = [sys.executable, "-c", READ, str(path)]
        root = Path(__file__).resolve().parents[1]
        done = subprocess.run(command, cwd=root, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(done.stderr)
        found |= {f"{name}: {what}": value for what, value in json.loads(done.stdout).items()}
        path.unlink()
    return found


def write(path: Path, line: Callable[[random.Random, int], str]) -> None:
    chance = random.Random(9)
    made = "".join(_lines(chance, line)).encode()
    with path.open("wb") as file:
        while file.tell() < SIZE:
            file.write(made)


def _lines(chance: random.Random, line: Callable[[random.Random, int], str]) -> Iterator[str]:
    size = number = 0
    while size < MADE:
        text = line(chance, number) + "\n"
        size, number = size + len(text), number + 1
        yield text


def as_json(chance: random.Random, number: int) -> str:
    """As Envoy Gateway writes it where nothing is set."""
    host, refused = _request(chance)
    rule = f"httproute/shop/{host}/rule/0"
    failure = "delayed_connect_error:_Connection_refused"
    reset = f"upstream_reset_before_response_started{{remote_connection_failure|{failure}}}"
    return json.dumps(
        {
            ":authority": f"{host}.example.com",
            "bytes_received": 0,
            "bytes_sent": chance.randrange(10_000),
            "connection_termination_details": None,
            "downstream_local_address": "10.244.1.4:10443",
            "downstream_remote_address": f"192.0.2.{chance.randrange(255)}:{number % 60_000}",
            "duration": chance.randrange(300),
            "method": "GET",
            "protocol": "HTTP/2",
            "requested_server_name": f"{host}.example.com",
            "response_code": 503 if refused else 200,
            "response_code_details": reset if refused else "via_upstream",
            "response_flags": "UF" if refused else "-",
            "route_name": f"{rule}/match/0/{host}_example_com",
            "start_time": _start(number),
            "upstream_cluster": rule,
            "upstream_host": "10.244.1.7:3000",
            "upstream_local_address": None if refused else "10.244.1.4:33514",
            "upstream_transport_failure_reason": failure if refused else None,
            "user-agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36",
            "x-envoy-origin-path": f"/items/{chance.randrange(10**6)}",
            "x-envoy-upstream-service-time": None,
            "x-forwarded-for": "192.0.2.2",
            "x-request-id": _id(chance),
        },
        separators=(",", ":"),
    )


def as_text(chance: random.Random, number: int) -> str:
    """As Envoy writes it where nothing is set."""
    host, refused = _request(chance)
    return (
        f'[{_start(number)}] "GET /items/{chance.randrange(10**6)} HTTP/2" '
        f"{'503 UF' if refused else '200 -'} 0 {chance.randrange(10_000)} {chance.randrange(300)} "
        f'{chance.randrange(100)} "192.0.2.{chance.randrange(255)}" '
        f'"Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36" "{_id(chance)}" '
        f'"{host}.example.com" "10.244.1.7:3000"'
    )


def _request(chance: random.Random) -> tuple[str, bool]:
    return f"shop-{chance.randrange(HOSTS)}", chance.random() < 0.02


def _start(number: int) -> str:
    seconds, milliseconds = divmod(number * 10, 1000)
    clock = f"{seconds // 3600 % 24:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"
    return f"2026-11-21T{clock}.{milliseconds:03}Z"


def _id(chance: random.Random) -> str:
    text = f"{chance.getrandbits(128):032x}"
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"


def main() -> int:
    parser = argparse.ArgumentParser(description="Read a gigabyte of access log.")
    parser.add_argument("--print", action="store_true", help="print the table (always done)")
    parser.parse_args()
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f} at the start", flush=True)
    with tempfile.TemporaryDirectory() as place:
        return shown(measured(Path(place)), BOUNDS)


if __name__ == "__main__":
    raise SystemExit(main())
