"""
The Azure of a lab, for all its clusters.

    python -m tasks.lab.azure.serve LAB

It serves what ``fleet`` makes of the lab's clusters, also of those that join later. All it knows is
kept in ``azure/azure.json`` of the lab's folder, so a second start goes on where the first ended.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from tasks.lab import state
from tasks.lab.azure import fleet
from tasks.lab.processes import Process
from tasks.lab.state import Lab

if TYPE_CHECKING:
    from tasks.lab.azure.orders import Order
    from tasks.lab.azure.state import Azure

PORT, IMDS_PORT, DNS_PORT = 8443, 8081, 53


def process(lab: Lab) -> Process:
    """The stand-in's process."""
    repository = Path(__file__).parents[3]
    command = [sys.executable, "-m", "tasks.lab.azure.serve", lab.name]
    environment = {"PYTHONPATH": str(repository), "PYTHONDONTWRITEBYTECODE": "1"}
    return Process(lab.name, "lab", "azure", command, environment=environment)


def folder(lab: Lab) -> Path:
    """Where it keeps keys, secrets and what it knows."""
    return lab.root / "azure"


def socket(lab: Lab) -> Path:
    """Where it takes orders from the command line."""
    return folder(lab) / "orders"


def url(lab: Lab) -> str:
    """Of Entra ID and Azure Resource Manager alike."""
    return f"https://{lab.gateway}:{PORT}"


def imds(lab: Lab) -> str:
    """Where managed identities get their tokens."""
    return f"http://{lab.gateway}:{IMDS_PORT}"


def known(lab: Lab) -> list[str]:
    """The clusters that were made so far, also those that were lost since."""
    try:
        found: list[str] = json.loads((folder(lab) / "clusters.json").read_text())
    except (OSError, ValueError):
        return []
    return found


def main(name: str) -> None:
    """Serve until the lab is gone."""
    from tasks.lab.azure import orders, signin
    from tasks.lab.azure.server import serving
    from tasks.lab.azure.state import Azure

    lab = state.running(name)
    azure = Azure(tenant=fleet.tenant(lab), file=folder(lab) / "azure.json")
    azure.ranges["IPv4"] = lab.public_range
    signin.keep(azure, lab)
    azure.machine = fleet.OPERATOR  # whom the metadata service speaks for
    with serving(
        azure, folder(lab), lab.gateway, PORT, lab.root, imds_port=IMDS_PORT, dns_port=DNS_PORT
    ):
        orders.take(azure, socket(lab), _of_clusters(azure, lab))
        while (now := state.load(name)) is not None:
            for cluster in now.members():
                if cluster.name not in known(now):
                    fleet.add(azure, now, cluster)
                    names = [*known(now), cluster.name]
                    state.write(folder(now) / "clusters.json", json.dumps(names))
            time.sleep(0.3)


def _of_clusters(azure: Azure, lab: Lab) -> dict[str, Callable[[Order], None]]:
    """Orders about clusters; they are named as the lab names them."""
    return {
        "lose": lambda order: fleet.lose(azure, lab, _as_it_is(lab).member(order["cluster"])),
        "return": lambda order: fleet.add(azure, lab, _as_it_is(lab).member(order["cluster"])),
    }


def _as_it_is(lab: Lab) -> Lab:
    """The lab with the clusters that joined it since."""
    return state.load(lab.name) or lab


if __name__ == "__main__":
    main(sys.argv[1])
