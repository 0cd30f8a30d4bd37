"""
The manifests of a schedule: a CronJob for a deploy that runs every day, and the rights that this
deploy needs on a cluster of an inventory, and no others.

    python -m tasks.schedule rotate_certificates inventory/in_cluster.py --image IMAGE
"""

from __future__ import annotations

import argparse
import re
import sys
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks import rights
from tasks.fleet.inventory.files import AKS, Unusable, clusters
from tasks.plans import permissions

#: When and for how many seconds at most; a time that is nobody else's full hour.
TIMES: Mapping[str, tuple[str, int]] = {
    "backup": ("17 1 * * *", 3600),
    "certificates": ("17 6 * * *", 3600),
    "rotate_certificates": ("17 3 * * *", 7200),
    "rotate_control_plane": ("47 3 * * 0", 14400),
}
#: What the Containerfile asks for: parts of requirements.txt, by where pyproject.toml names them.
LOCKED = {
    "requirements": ("project", "dependencies"),
    "build-requirements": ("build-system", "requires"),
}
#: Indexes of one Job: more are no faster than fewer processes of many clusters each.
MOST_SHARDS = 100
#: Deploys that only read are asked nothing, so they need no -y.
AUDITS = ("certificates",)
#: Deploys that go ring by ring.
ROTATIONS = ("rotate_certificates", "rotate_control_plane")


def manifests(
    deploy: str,
    inventory: str,
    name: str,
    data: Mapping[str, Any],
    image: str,
    *,
    namespace: str = "envoyfleet",
    cron: str | None = None,
    claim: str | None = None,
    subject: Mapping[str, str] | None = None,
) -> list[dict[str, Any]]:
    """
    ServiceAccount, CronJob and rights for one cluster; with ``subject``, who signs in from
    elsewhere, the rights alone.

    + inventory: as the Pod has it; + name, data: of the cluster in it; + claim: of the volume for
      backups
    """
    from tasks.fleet.render import render

    called = f"envoyfleet-{deploy.replace('_', '-')}"
    when, deadline = TIMES[deploy]
    arguments = [f"inventory/{Path(inventory).name}", f"deploys/{deploy}.py", "--limit", name]
    about = {"name": called, "namespace": namespace}
    mine = {"kind": "ServiceAccount", "name": called, "namespace": namespace}
    found = []
    if subject is None:
        found += render("schedule/serviceaccount.yaml.j2", name, **about)
        found += render(
            "schedule/cronjob.yaml.j2",
            name,
            **about,
            image=image,
            schedule=cron or when,
            deadline=deadline,
            arguments=[*arguments, *([] if deploy in AUDITS else ["-y"])],
            claim=claim,
            shards=None,
        )
    roles = permissions.roles(rights.of(deploy, name, data))
    return found + render(
        "schedule/rbac.yaml.j2", name, name=called, roles=roles, subject=subject or mine
    )


def sharded(
    deploy: str,
    inventory: str,
    rings: Iterable[int],
    image: str,
    shards: int,
    *,
    limit: str | None = None,
    namespace: str = "envoyfleet",
    cron: str | None = None,
    claim: str | None = None,
) -> list[dict[str, Any]]:
    """
    ServiceAccount and CronJob for all clusters of an inventory, one index of its Job a shard. What
    signs in to them needs rights there, not in the cluster that the Job runs in.

    + rings: of the clusters that are due; + limit: a group of the inventory, or a pattern
    """
    from tasks.fleet.render import render

    if deploy in ROTATIONS and len(set(rings)) > 1:
        raise Unusable(
            f"{deploy} goes ring by ring, and indexes of a Job do not wait for each other: name "
            "the clusters of one ring with --limit, or leave --shards out"
        )
    called = f"envoyfleet-{deploy.replace('_', '-')}"
    when, deadline = TIMES[deploy]
    about = {"name": called, "namespace": namespace}
    arguments = [f"inventory/{Path(inventory).name}", f"deploys/{deploy}.py"]
    arguments += ["--limit", limit] if limit else []
    arguments += ["--data", f"shard=$(JOB_COMPLETION_INDEX)/{shards}"]
    return [
        *render("schedule/serviceaccount.yaml.j2", called, **about),
        *render(
            "schedule/cronjob.yaml.j2",
            called,
            **about,
            image=image,
            schedule=cron or when,
            deadline=deadline,
            arguments=[*arguments, *([] if deploy in AUDITS else ["-y"])],
            claim=claim,
            shards=shards,
        ),
    ]


def locked(requirements: str, wanted: Iterable[str]) -> str:
    """
    Those lines of requirements.txt, with their hashes, that these requirements need, such as
    ["pyinfra>=3.10", "rich"]: what pip-compile says is there for one of them, or for one of theirs.
    """
    keys = {_key(it) for it in wanted}
    entries = dict(_entries(requirements))
    while more := {key for key, (_, by) in entries.items() if key not in keys and by & keys}:
        keys |= more
    return "".join(text for key, (text, _) in entries.items() if key in keys)


def _entries(requirements: str) -> Iterator[tuple[str, tuple[str, set[str]]]]:
    """By name, the lines of each requirement, and whom it is there for."""
    for block in re.split(r"\n(?=[A-Za-z])", "\n" + requirements):
        if not re.match(r"[A-Za-z]", block):
            continue
        by = re.findall(r"^ +#(?: via)? +([A-Za-z0-9._-]+)", block, re.MULTILINE)
        yield _key(block), (block.rstrip("\n") + "\n", {_key(it) for it in by if it != "via"})


def _key(requirement: str) -> str:
    name = re.match(r"[A-Za-z0-9._-]+", requirement)
    return re.sub(r"[-_.]+", "-", name[0]).lower() if name else ""


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was asked for; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        print(_locked(given.deploy) if given.deploy in LOCKED else _asked(given), end="")
    except (Unusable, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _locked(which: str) -> str:
    project = tomllib.loads(Path("pyproject.toml").read_text())
    section, key = LOCKED[which]
    return locked(Path("requirements.txt").read_text(), project[section][key])


def _asked(given: argparse.Namespace) -> str:
    import yaml

    if not given.inventory or not (given.image or given.subject):
        raise Unusable("name an inventory, and --image or --subject")
    every = clusters(Path(given.inventory))
    if given.limit and given.shards is None:
        raise Unusable("--limit goes with --shards: name one cluster with --cluster")
    if given.shards is not None:
        return yaml.safe_dump_all(_sharded(given, every), sort_keys=False)
    name = given.cluster or next(iter(every))
    if name not in every:
        raise Unusable(f"{given.inventory} has no cluster {name}: it has {', '.join(every)}")
    if name.startswith(AKS) and not given.subject:
        raise Unusable(
            f"{name} is an entry of many clusters: a CronJob is for one, see "
            "inventory/in_cluster.py; --subject prints the rights on each of them"
        )
    made = manifests(
        given.deploy,
        given.inventory,
        name,
        every[name],
        given.image,
        namespace=given.namespace,
        cron=given.schedule,
        claim=given.backups,
        subject=rights.subject(given.subject) if given.subject else None,
    )
    return yaml.safe_dump_all(made, sort_keys=False)


def _sharded(given: argparse.Namespace, every: Mapping[str, Any]) -> list[dict[str, Any]]:
    if given.subject or given.cluster or not given.image:
        raise Unusable("--shards is for all clusters: give --image, no --cluster and no --subject")
    if not 1 <= given.shards <= MOST_SHARDS:
        raise Unusable(f"--shards {given.shards}: from 1 to {MOST_SHARDS}")
    # a pattern or a group of --limit is for the run to judge, which refuses several rings
    rings = () if given.limit else [int(it.get("ring", 0)) for it in every.values()]
    return sharded(
        given.deploy,
        given.inventory,
        rings,
        given.image,
        given.shards,
        limit=given.limit,
        namespace=given.namespace,
        cron=given.schedule,
        claim=given.backups,
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.schedule", description="Print the manifests of a schedule."
    )
    parser.add_argument("deploy", choices=[*TIMES, *LOCKED])
    parser.add_argument("inventory", nargs="?", help="such as inventory/in_cluster.py")
    parser.add_argument("--cluster", help="one of the inventory, or @aks/...; else its first")
    parser.add_argument("--shards", type=int, help="all clusters, in a Job of so many indexes")
    parser.add_argument("--limit", help="with --shards: a group of the inventory, or a pattern")
    parser.add_argument("--image", help="made from the Containerfile")
    parser.add_argument("--namespace", default="envoyfleet", help="of the CronJob")
    parser.add_argument("--schedule", help='such as "17 3 * * *", in UTC')
    parser.add_argument("--backups", help="name of a PersistentVolumeClaim for archives")
    parser.add_argument("--subject", help='the rights alone, for "Group:ID" or "User:NAME"')
    return parser


if __name__ == "__main__":
    sys.exit(main())
