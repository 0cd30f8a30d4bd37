"""
Real Kubernetes clusters on this machine.

    python -m tasks.lab up 3
"""

import argparse
import os
import sys
import time
from collections.abc import Callable, Sequence

from tasks.lab import state
from tasks.lab.progress import LabError, UsageError, say


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code."""
    asked = parser().parse_args(arguments)
    command: Callable[[argparse.Namespace], None] = asked.run
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

    up_ = commands.add_parser(
        "up", parents=[common], help="bring clusters up; what runs is left alone"
    )
    up_.add_argument("count", nargs="?", type=int, default=1, metavar="N", help="how many clusters")
    up_.add_argument(
        "--envoy-gateway", metavar="VERSION", help="hold this release only (default: all)"
    )
    up_.add_argument("--leaving-endpoints", type=float, metavar="SECONDS")
    up_.set_defaults(run=up)

    down_ = commands.add_parser(
        "down", parents=[common], help="take the lab down, whatever is left of it"
    )
    down_.set_defaults(run=down)
    return top


def up(asked: argparse.Namespace) -> None:
    from tasks.lab import catalogue, lab

    if not 1 <= asked.count <= state.MOST_CLUSTERS:
        raise UsageError(f"{asked.count} clusters cannot be: ask for 1 to {state.MOST_CLUSTERS}")
    versions = None
    if asked.envoy_gateway is not None:
        catalogue.check_version(asked.envoy_gateway)
        versions = (asked.envoy_gateway,)
    began = time.monotonic()
    one = lab.up(asked.name, asked.count, versions, asked.leaving_endpoints)
    names = ", ".join(cluster.name for cluster in one.members())
    say(f"{names}: Ready after {time.monotonic() - began:.1f} s; kubeconfig {one.kubeconfig}")


def down(asked: argparse.Namespace) -> None:
    from tasks.lab import teardown

    began = time.monotonic()
    with state.lock(f"lab-{asked.name}"):
        found = teardown.down(asked.name)
    if found:
        say(f"lab {asked.name!r} is down, in {time.monotonic() - began:.1f} s")
    else:
        say(f"lab {asked.name!r} is not up: nothing to take down")


if __name__ == "__main__":
    sys.exit(main())
