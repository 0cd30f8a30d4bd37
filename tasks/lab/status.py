"""What a lab looks like: as data for programs, and as a table for people."""

from dataclasses import asdict
from typing import Any

from tasks.lab import agekey, catalogue, cluster, control_plane, lab, registry, state
from tasks.lab.api import Api
from tasks.lab.azure import serve, signin
from tasks.lab.processes import pids
from tasks.lab.state import Cluster, Lab


def data(one: Lab) -> dict[str, Any]:
    """The lab as ``status --json`` prints it; nothing in it is asked of a cluster."""
    identity = agekey.identity(one.root)
    return {
        "name": one.name,
        "kubeconfig": str(one.kubeconfig),
        "kubeconfig_certificate": str(one.root / "kubeconfig-certificate"),
        "age_identity": str(identity) if identity else None,
        "age_recipient": agekey.recipient(one.root),
        "registry": one.registry,
        "helm": str(one.part("helm") / "helm"),
        "kubectl": str(one.part("helm") / "kubectl"),
        "leaving_endpoints": one.leaving_endpoints,
        "nodes": one.nodes,
        "azure": signin.data(one),
        "clusters": [_cluster(member) for member in one.members()],
        "charts": [asdict(chart) for chart in registry.pushed(one)],
        "images": {
            "envoy_gateway": {v: catalogue.NAMES.gateway(v) for v in one.versions},
            "envoy": {v: catalogue.NAMES.envoy(v) for v in one.versions},
            "echo": catalogue.NAMES.echo,
            "ratelimit": catalogue.NAMES.ratelimit,
        },
    }


def _cluster(member: Cluster) -> dict[str, Any]:
    return {
        "name": member.name,
        "context": member.name,
        "server": member.server,
        "node_address": member.node_address,
        "load_balancer_range": member.load_balancer_range,
        "audit_log": str(control_plane.audit_log(member)),
        "faults": sorted(state.faults(member)),
    }


def show(one: Lab) -> None:
    """Print the table."""
    from rich.console import Console
    from rich.table import Table

    table = Table("cluster", "node", "processes", "address", "load balancer", "faults")
    for member in one.members():
        faults = ", ".join(" ".join(pair).strip() for pair in sorted(state.faults(member).items()))
        table.add_row(
            member.name,
            _node(one, member),
            _processes(one, member),
            member.node_address,
            member.load_balancer_range,
            faults or "none",
        )
    console = Console()
    console.print(table)
    dead = [process.name for process in lab.shared(one) if not pids(process)]
    if dead:
        console.print(f"[red]dead: {', '.join(dead)}[/red] (start again: python -m tasks.lab up)")
    charts = ", ".join(f"{chart.name} {chart.version}" for chart in registry.pushed(one))
    console.print(f"registry {one.registry}: {charts or 'no charts'}", highlight=False)
    if one.azure:
        told = f"Azure {serve.url(one)}: `python -m tasks.lab azure env` has what signs in"
        console.print(told, highlight=False)
    console.print(f"export KUBECONFIG={one.kubeconfig}", highlight=False, soft_wrap=True)


def _node(one: Lab, member: Cluster) -> str:
    if not one.nodes:
        return "none"
    return "Ready" if Api(member).node_ready() else "[red]not Ready[/red]"


def _processes(one: Lab, member: Cluster) -> str:
    every = cluster.processes(one, member)
    dead = [process.name for process in every if not pids(process)]
    running = f"{len(every) - len(dead)} of {len(every)}"
    return f"{running}, [red]dead: {', '.join(dead)}[/red]" if dead else running
