"""Where clusters of a run stopped, and the command that goes on, in a line each."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping, Sequence

#: Names of clusters in one line.
NAMED = 3
#: Options whose values are long, or nobody else's to read.
_UNSAID = (
    *("--data", "--ssh-password", "--password"),
    *("--ssh-key-password", "--key-password"),
)


def lines(stopped: Mapping[str, str], command: str, half_way: bool) -> list[str]:
    """
    + stopped: by cluster, the step it stopped at; + command: that was run; + half_way: nothing
      went wrong, it was interrupted

    Such as "stopped: weu-1, weu-2 (and 9 more) at Ring 1 | Upgrade | Chart".
    """
    by_step: dict[str, list[str]] = {}
    for cluster, step in stopped.items():
        by_step.setdefault(step, []).append(cluster)
    found = [f"stopped: {_named(names)} at {step}" for step, names in by_step.items()]
    before = "" if half_way else "correct what is said above, then "
    return [*found, f"next: {before}the same command again: {command}"] if found else []


def _named(names: Sequence[str]) -> str:
    more = f" (and {len(names) - NAMED} more)" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more


def command(arguments: Sequence[str]) -> str:
    """
    A command line of pyinfra to type again, such as "pyinfra inventory/prod.py deploys/install.py
    -y"; "..." stands for the values of --data, for those that an operation is given by hand
    ("manifests=..."), and for a command of ``exec``.
    """
    return " ".join(["pyinfra", *_short(arguments)])


def _short(arguments: Sequence[str]) -> Iterator[str]:
    said, value = set[str](), False
    for it in arguments:
        option = it.partition("=")[0]
        if value:
            value = False
        elif option in _UNSAID:
            value = "=" not in it
            if option not in said:
                said.add(option)
                yield f"{option} ..."
        elif it == "--":
            yield "-- ..."
            return
        elif "=" in it and not it.startswith("-"):
            yield f"{option}=..."
        else:
            yield shlex.quote(it)
