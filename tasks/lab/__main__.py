"""
Real Kubernetes clusters on this machine.

    python -m tasks.lab up 3
"""

import argparse
import json
import os
import shutil
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from tasks.lab import state
from tasks.lab.locks import lock
from tasks.lab.parts import Part
from tasks.lab.progress import LabError, UsageError, say

Command = Callable[[argparse.Namespace], None]


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    asked = parser().parse_args(arguments)
    command: Command = asked.run
    try:
        state.check_name(asked.name)
        need_root()
        command(asked)
    except LabError as error:
        print(f"error: {error}", file=sys.stderr)
        return error.code
    except KeyboardInterrupt:
        print("interrupted: run the same command again to go on", file=sys.stderr)
        return 130
    return 0


def need_root() -> None:
    """Raise `UsageError` unless we may make namespaces and control groups."""
    if os.geteuid() != 0:
        raise UsageError(
            "the lab needs root: run with sudo, such as `sudo python -m tasks.lab up 3`"
        )


def parser() -> argparse.ArgumentParser:
    """The command line."""
    common = argparse.ArgumentParser(add_help=False)
    common.add_argument(
        "--name", default=state.DEFAULT_LAB, metavar="LAB", help="which lab (default: lab)"
    )
    top = argparse.ArgumentParser(prog="python -m tasks.lab", description=__doc__.split("\n")[1])
    commands = top.add_subparsers(required=True, metavar="COMMAND")

    def command(run: Command, text: str) -> argparse.ArgumentParser:
        one = commands.add_parser(run.__name__, parents=[common], help=text, description=text)
        one.set_defaults(run=run)
        return one

    one = command(up, "bring clusters up; what runs is left alone, what died is started again")
    one.add_argument("count", nargs="?", type=int, default=1, metavar="N", help="how many (1)")
    one.add_argument("--envoy-gateway", metavar="VERSION", help="hold this release only (all)")
    one.add_argument(
        "--leaving-endpoints",
        type=float,
        metavar="SECONDS",
        help="how long the load balancer goes on sending to an endpoint that leaves (0)",
    )
    one.add_argument(
        "--without-nodes",
        action="store_true",
        help="etcd, API server and controller manager alone: nothing runs on these clusters",
    )
    one.add_argument(
        "--nodes",
        type=int,
        choices=(1, 2),
        default=1,
        help="of each cluster (1); with two the load balancer hides clients from the second one",
    )
    one.add_argument(
        "--azure",
        action="store_true",
        help="the clusters are AKS clusters of an Azure on this machine",
    )
    one = command(status, "show the clusters, what runs and what is broken on purpose")
    one.add_argument("--json", action="store_true", help="as data, for programs")
    one = command(reset, "make clusters empty again, all their faults off")
    one.add_argument("cluster", nargs="?", metavar="CLUSTER", help="only this one (all)")
    command(down, "take the lab down, whatever is left of it")
    one = command(logs, "print the log of a process of a cluster, or the names of its processes")
    one.add_argument("cluster", metavar="CLUSTER", help='such as lab-1; "lab" for the shared ones')
    one.add_argument("process", nargs="?", metavar="PROCESS", help="such as kubelet")
    one = command(fault, "switch a fault on or off; without a kind, list them")
    one.add_argument("cluster", metavar="CLUSTER")
    one.add_argument("kind", nargs="?", metavar="KIND")
    one.add_argument("switch", nargs="?", choices=["on", "off"])
    one.add_argument("--value", help="how much of it, where a fault has a measure")
    one = command(sample, "install the sample application")
    one.add_argument("cluster", nargs="?", metavar="CLUSTER", help="only there (all)")
    one = command(acme, "install cert-manager, and pebble as an ACME server with its DNS")
    one.add_argument("cluster", nargs="?", metavar="CLUSTER", help="only there (all)")
    one.add_argument("--remove", action="store_true", help="take it away again")
    one = command(
        monitoring, "install prometheus-operator, Prometheus, Alertmanager and what they need"
    )
    one.add_argument("cluster", nargs="?", metavar="CLUSTER", help="only there (all)")
    one.add_argument("--remove", action="store_true", help="take it away again")
    one = command(metrics, "install metrics-server, for autoscaling and kubectl top")
    one.add_argument("cluster", nargs="?", metavar="CLUSTER", help="only there (all)")
    one.add_argument("--remove", action="store_true", help="take it away again")
    one = command(ratelimit, "install a Redis, and the image of Envoy's rate limit service")
    one.add_argument("cluster", nargs="?", metavar="CLUSTER", help="only there (all)")
    one.add_argument("--remove", action="store_true", help="take it away again")
    one = command(azure, "look at the lab's Azure, or change it; each without arguments says how")
    one.add_argument("what", metavar="COMMAND", nargs="?", help="such as show")
    one.add_argument("arguments", metavar="ARGUMENT", nargs="*")
    return top


def up(asked: argparse.Namespace) -> None:
    from tasks.lab import catalogue, lab

    if not 1 <= asked.count <= state.MOST_CLUSTERS:
        raise UsageError(f"{asked.count} clusters cannot be: ask for 1 to {state.MOST_CLUSTERS}")
    if asked.leaving_endpoints is not None and asked.leaving_endpoints < 0:
        raise UsageError("--leaving-endpoints counts seconds: 0 or more")
    if asked.nodes == 2 and (asked.without_nodes or asked.azure):
        raise UsageError("--nodes 2 goes with neither --without-nodes nor --azure")
    versions = None
    if asked.envoy_gateway is not None:
        catalogue.check_version(asked.envoy_gateway)
        versions = (asked.envoy_gateway,)
    began = time.monotonic()
    wishes = (asked.leaving_endpoints, asked.without_nodes, asked.azure, asked.nodes == 2)
    one = lab.up(asked.name, asked.count, versions, *wishes)
    names = ", ".join(cluster.name for cluster in one.members())
    say(f"{names}: Ready after {time.monotonic() - began:.1f} s; kubeconfig {one.kubeconfig}")


def down(asked: argparse.Namespace) -> None:
    from tasks.lab import teardown

    began = time.monotonic()
    with lock(f"lab-{asked.name}"):
        found = teardown.down(asked.name)
    if found:
        say(f"lab {asked.name!r} is down, in {time.monotonic() - began:.1f} s")
    else:
        say(f"lab {asked.name!r} is not up: nothing to take down")


def status(asked: argparse.Namespace) -> None:
    from tasks.lab import status as report

    one = state.running(asked.name)
    if asked.json:
        print(json.dumps(report.data(one), indent=2))
    else:
        report.show(one)


def reset(asked: argparse.Namespace) -> None:
    from tasks.lab import lab

    began = time.monotonic()
    one = state.running(asked.name)
    lab.reset(one, one.members() if asked.cluster is None else [one.member(asked.cluster)])
    what = f"lab {asked.name!r}" if asked.cluster is None else asked.cluster
    say(f"{what} is empty, after {time.monotonic() - began:.1f} s")


def logs(asked: argparse.Namespace) -> None:
    from tasks.lab.processes import log_folder

    one = state.running(asked.name)
    shared = asked.cluster == "lab"
    folder = log_folder(one.name, "lab" if shared else one.member(asked.cluster).name)
    names = sorted(file.stem for file in folder.glob("*.log"))
    if asked.process is None:
        say("\n".join(names))
    elif asked.process in names:
        with (folder / f"{asked.process}.log").open(errors="replace") as file:
            shutil.copyfileobj(file, sys.stdout)
    else:
        raise UsageError(
            f"{asked.cluster} has no process {asked.process!r}: use {', '.join(names)}"
        )


def fault(asked: argparse.Namespace) -> None:
    from tasks.lab import faults

    one = state.running(asked.name)
    cluster = one.member(asked.cluster)
    if asked.kind is None:
        for name, described in faults.FAULTS.items():
            mark = "on " if name in state.faults(cluster) else "off"
            say(f"{mark} {name}: {described.what}")
        return
    faults.check(asked.kind, asked.value)
    if asked.switch is None:
        raise UsageError(f"say whether {asked.kind} shall be on or off")
    with lock(f"lab-{one.name}"):
        faults.switch(one, cluster, asked.kind, asked.value, on=asked.switch == "on")
    say(f"{cluster.name}: fault {asked.kind} is {asked.switch}")


def sample(asked: argparse.Namespace) -> None:
    from concurrent.futures import ThreadPoolExecutor

    from tasks.lab import sample as application

    one = state.running(asked.name)
    members = one.members() if asked.cluster is None else [one.member(asked.cluster)]
    with ThreadPoolExecutor(len(members)) as pool:
        list(pool.map(lambda member: application.install(member, one.nodes), members))


def acme(asked: argparse.Namespace) -> None:
    from tasks.lab import acme as application
    from tasks.lab import catalogue

    _add(asked, application.install, application.remove, catalogue.acme_parts)


def monitoring(asked: argparse.Namespace) -> None:
    from tasks.lab import monitoring as application
    from tasks.lab import monitoring_parts

    _add(asked, application.install, application.remove, monitoring_parts.parts)


def metrics(asked: argparse.Namespace) -> None:
    from tasks.lab import metrics as application

    _add(asked, application.install, application.remove, application.parts)


def ratelimit(asked: argparse.Namespace) -> None:
    from tasks.lab import ratelimit as application

    _add(asked, application.install, application.remove, application.parts)


def _add(
    asked: argparse.Namespace,
    install: Callable[[state.Lab, state.Cluster, dict[str, Path]], None],
    remove: Callable[[state.Cluster], None],
    wanted: Callable[[], list[Part]],
) -> None:
    """Install an application on the clusters of a lab that has nodes, or remove it from them."""
    from concurrent.futures import ThreadPoolExecutor

    from tasks.lab import parts

    one = state.running(asked.name)
    if not one.nodes:
        raise UsageError(f"lab {one.name!r} has no nodes: nothing runs on its clusters")
    members = one.members() if asked.cluster is None else [one.member(asked.cluster)]
    with ThreadPoolExecutor(len(members)) as pool:
        if asked.remove:
            list(pool.map(remove, members))
            return
        found = parts.find(wanted())
        list(pool.map(lambda member: install(one, member, found), members))


def azure(asked: argparse.Namespace) -> None:
    from tasks.lab.azure import commands

    one = state.running(asked.name)
    if asked.what not in commands.COMMANDS:
        raise UsageError("azure does one of these:\n  " + "\n  ".join(commands.COMMANDS.values()))
    commands.run(one, asked.what, asked.arguments)


if __name__ == "__main__":
    sys.exit(main())
