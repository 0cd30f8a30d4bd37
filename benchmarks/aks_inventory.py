"""
Listing 500 AKS clusters over 5 subscriptions: seconds, calls to Azure Resource Manager, tokens.

    python benchmarks/aks_inventory.py --print        half a minute; needs neither root nor a lab

Azure is the lab's stand-in in a process of its own, 20 ms away, with pages of 50 clusters. The
listing is what the connector does with the five entries, imports and sign-in included; beside it is
a whole ``pyinfra INVENTORY debug-inventory``.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import get_context
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))

from benchmarks.measuring import REPOSITORY, ran, shown

CLUSTERS, SUBSCRIPTIONS = 500, 5
DELAY = 0.020
#: Of calls that are answered 429 in the second run, each with a Retry-After of a second.
SHARE = 0.2

#: What is measured, its bound, and the unit.
BOUNDS: dict[str, tuple[float | None, str]] = {
    "clusters listed": (None, ""),
    "listing: wall": (5.0, "s"),
    "debug-inventory: wall": (None, "s"),
    "processor time": (None, "s"),
    "memory of the process (RSS)": (300.0, "MB"),
    "ARM calls": (30.0, ""),
    "lists of subscriptions": (1.0, ""),
    "tokens": (1.0, ""),
    "20 % answered 429: wall": (None, "s"),
    "20 % answered 429: calls answered so": (None, ""),
    "20 % answered 429: repeated before their Retry-After": (0.0, ""),
}


def subscription(number: int) -> str:
    return f"5b000000-0000-4000-8000-{number % SUBSCRIPTIONS:012d}"


def stand_in(folder: Path, ours: Connection) -> None:
    """Says where it is, then what was asked since, each time it is told what share to refuse."""
    from tasks.lab.azure.server import serving
    from tests.azure import Azure

    azure = Azure()
    for it in range(CLUSTERS):
        place = f"/subscriptions/{subscription(it)}/resourceGroups/weu"
        azure.put(
            f"{place}/providers/Microsoft.ContainerService/managedClusters/weu-{it}",
            {"location": "westeurope", "tags": {"ring": str(it % 4)}, "properties": {}},
        )
    scopes = [azure.subscription(subscription(it)) for it in range(SUBSCRIPTIONS)]
    operator = azure.identity("operator", *(("Reader", it) for it in scopes))
    azure.faults.latency, azure.faults.seed = DELAY, 4
    with serving(azure, folder) as served:
        ours.send(
            {
                "AZURE_AUTHORITY_HOST": served.url,
                "AZURE_RESOURCE_MANAGER_URL": served.url,
                "AZURE_RESOURCE_MANAGER_AUDIENCE": served.url,
                "AZURE_TENANT_ID": azure.tenant,
                "AZURE_CLIENT_ID": operator.client_id,
                "AZURE_CLIENT_SECRET": str(operator.secret),
                "REQUESTS_CA_BUNDLE": str(served.authority),
            }
        )
        while (share := ours.recv()) is not None:
            azure.faults.faults.clear()
            if share:
                azure.faults.throttle(share, retry_after=1, match="GET /subscriptions")
            azure.requests.clear()
            ours.send("ready")
            ours.recv()
            ours.send(list(azure.requests))


@contextmanager
def running(folder: Path) -> Iterator[Connection]:
    context = get_context("spawn")
    here, there = context.Pipe()
    process = context.Process(target=stand_in, args=(folder, there), daemon=True)
    process.start()
    try:
        yield here
    finally:
        process.terminate()
        process.join()


#: As pyinfra does it, which asks for each entry twice.
LISTING = f"""
from gevent import monkey
monkey.patch_all()
import time
begun = time.monotonic()
from tasks.connectors.aks import AksConnector
for _ in range(2):
    for number in range({SUBSCRIPTIONS}):
        list(AksConnector.make_names_data(f"5b000000-0000-4000-8000-{{number:012d}}"))
print(time.monotonic() - begun)
"""


def listed(folder: Path, azure: Connection, share: float) -> tuple[dict[str, float], list[Any]]:
    """One run, and what Azure was asked in it."""
    azure.send(share)
    azure.recv()
    taken = ran(folder, "none", "inventory/fleet.py", "debug-inventory")
    azure.send("asked")
    return taken, azure.recv()


def too_early(asked: list[Any]) -> int:
    """Calls on a subscription before the Retry-After of an earlier 429 was over."""
    found, closed = 0, dict[str, float]()
    for it in sorted(asked, key=lambda one: one.when):
        bucket = it.path.split("?")[0].split("/")[2:3]
        key = bucket[0] if bucket else ""
        found += it.when < closed.get(key, 0.0)
        if it.status == 429:
            closed[key] = max(closed.get(key, 0.0), it.when + (it.retry_after or 0))
    return found


def measured(folder: Path) -> dict[str, float]:
    shutil.copy(REPOSITORY / "config.py", folder)
    (folder / "inventory").mkdir()
    entries = [
        (f"@aks/{subscription(it)}", {"envoy_gateway_version": "1.9.1"})
        for it in range(SUBSCRIPTIONS)
    ]
    (folder / "inventory" / "fleet.py").write_text(f"clusters = {entries!r}\n")
    with running(folder / "azure") as azure:
        os.environ.update(azure.recv())
        command = [sys.executable, "-c", LISTING]
        azure.send(0.0)
        azure.recv()
        alone = subprocess.run(command, cwd=REPOSITORY, stdout=subprocess.PIPE, check=True)
        azure.send("asked")
        azure.recv()
        found, asked = listed(folder, azure, 0.0)
        output = (folder / "output").read_text() + (folder / "errors").read_text()
        arm = [it for it in asked if it.path.startswith("/subscriptions")]
        found |= {
            "listing: wall": float(alone.stdout),
            "debug-inventory: wall": found.pop("wall"),
            "clusters listed": float(sum(f"[weu-{it}]" in output for it in range(CLUSTERS))),
            "ARM calls": float(len(arm)),
            "lists of subscriptions": float(
                sum(it.path.startswith("/subscriptions?") for it in arm)
            ),
            "tokens": float(sum(it.path.endswith("/token") for it in asked)),
        }
        slow, asked = listed(folder, azure, SHARE)
        arm = [it for it in asked if it.path.startswith("/subscriptions")]
        name = "20 % answered 429"
        found |= {
            f"{name}: wall": slow["wall"],
            f"{name}: calls answered so": float(sum(it.status == 429 for it in arm)),
            f"{name}: repeated before their Retry-After": float(too_early(arm)),
        }
        azure.send(None)
    return found


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--print", action="store_true", help="print the table")
    parser.add_argument("--json", action="store_true", help="print the figures as JSON")
    asked_for = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        figures = measured(Path(place))
    if asked_for.json:
        print(json.dumps(figures))
    raise SystemExit(shown(figures, BOUNDS))
