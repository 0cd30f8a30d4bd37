"""A lab as a whole: up, down, reset."""

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

from tasks.lab import (
    agekey,
    catalogue,
    certificates,
    cluster,
    control_plane,
    debian,
    faults,
    limits,
    loadbalancer,
    network,
    parts,
    registry,
    state,
    teardown,
    users,
)
from tasks.lab.azure import commands, serve, signin
from tasks.lab.locks import lock
from tasks.lab.processes import Process, start
from tasks.lab.progress import UsageError, say
from tasks.lab.state import Cluster, Lab


def up(
    name: str,
    count: int,
    versions: tuple[str, ...] | None,
    leaving: float | None,
    without_nodes: bool = False,
    azure: bool = False,
    two_nodes: bool = False,
) -> Lab:
    """
    Bring a lab up to this many clusters; what runs is left alone. ``versions`` and ``leaving`` are
    ``None`` where the command line does not say: what the lab has then stays. A lab that was made
    without nodes stays so; one that has them keeps them. So it is with Azure.
    """
    with lock(f"lab-{name}"):
        lab = state.load(name)
        if lab is not None and lab.nodes and without_nodes:
            raise UsageError(f"lab {name!r} has nodes: take it down first, or name another lab")
        if lab is not None and two_nodes and not lab.two_nodes:
            raise UsageError(
                f"lab {name!r} is up with one node a cluster: take it down first, or name another"
            )
        if lab is not None and azure and not lab.azure:
            raise UsageError(
                f"lab {name!r} is up without Azure: take it down first, or name another lab"
            )
        if lab is None:
            teardown.down(name)
            debian.install_missing()
            with lock("addresses"):
                lab = state.create(name)
                wishes = {"nodes": not without_nodes, "azure": azure, "two_nodes": two_nodes}
                lab = state.change(lab, **wishes)
        wanted = versions or lab.versions or tuple(sorted(catalogue.ENVOY))
        found = parts.find(catalogue.parts(wanted))
        lab = state.change(
            lab,
            clusters=max(lab.clusters, count),
            versions=wanted,
            leaving_endpoints=lab.leaving_endpoints if leaving is None else leaving,
            parts={part: str(path) for part, path in found.items()},
        )
        certificates.authority(lab.root)
        certificates.issue(lab.root, "operator", lab.root, "admin", groups=("system:masters",))
        agekey.make(lab.root)
        limits.raise_limits()
        network.create_bridge(lab)
        start_shared(lab)
        with ThreadPoolExecutor(max(1, lab.clusters)) as pool:
            list(pool.map(lambda member: cluster.up(lab, member), lab.members()))
        users.write_kubeconfigs(lab)
        if lab.azure:
            signin.wait_until_made(lab)
    return lab


def shared(lab: Lab) -> list[Process]:
    """The processes all clusters of a lab share."""
    first = [serve.process(lab)] if lab.azure else []
    return [*first, control_plane.etcd(lab), registry.process(lab), loadbalancer.process(lab)]


def start_shared(lab: Lab) -> None:
    """Start what the clusters share, and put the charts into the registry."""
    for process in shared(lab):
        start(process)
    registry.wait_until_up(lab)
    registry.push_charts(lab)


def reset(lab: Lab, members: Sequence[Cluster]) -> None:
    """Make these clusters empty again: same addresses, tokens and charts, nothing else."""
    with lock(f"lab-{lab.name}"):
        faults.switch_all_off(lab, members)
        with ThreadPoolExecutor(len(members)) as pool:
            list(pool.map(lambda member: empty(lab, member), members))


def empty(lab: Lab, member: Cluster) -> None:
    """Stop a cluster, forget what it holds and start it again."""
    cluster.stop(lab, member)
    cluster.wipe(lab, member)
    control_plane.forget(lab, member)
    commands.return_lost(lab, member)
    cluster.up(lab, member)
    say(f"{member.name}: empty and Ready")
