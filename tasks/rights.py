"""
The rights of one deploy on a cluster of an inventory, and no others: a ClusterRole, a Role for each
namespace, and who they are bound to.

    python -m tasks.rights upgrade inventory/prod.py --cluster weu-1 --subject Group:7f0c...
    python -m tasks.rights --page
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tasks.fleet import inventory
from tasks.fleet import rights as fleet_rights
from tasks.fleet.inventory.files import Unusable, clusters
from tasks.fleet.render import TemplateRefused, render, without_copies
from tasks.plans import permissions
from tasks.plans.permissions import Right
from tasks.plans.rights import deploys, page

RBAC = "rbac.authorization.k8s.io"


def of(deploy: str, name: str, data: Mapping[str, Any]) -> list[Right]:
    """+ name, data: of a cluster of the inventory. Raises Unusable."""
    wrong = inventory.problems(name, data)
    if wrong:
        raise Unusable(wrong[0])
    cluster = inventory.parsed(data)
    return deploys.of(deploy, fleet_rights.places(cluster, _written(name, cluster)))


def _written(name: str, cluster: inventory.Cluster) -> tuple[tuple[str, str | None], ...]:
    from tasks import desired

    try:
        with without_copies():
            found = desired.wanted(name, cluster)
    except (TemplateRefused, ValueError) as error:
        raise Unusable(f"{name}: {error}") from error
    return permissions.written_by(found.objects)


def manifests(
    deploy: str, name: str, data: Mapping[str, Any], subject: Mapping[str, str], rare: bool = True
) -> list[dict[str, Any]]:
    """+ subject: who they are bound to, as RBAC has it; + rare: also what few runs need"""
    rights = [it for it in of(deploy, name, data) if rare or not it.rare]
    called = f"envoyfleet-{deploy.replace('_', '-')}"
    roles = permissions.roles(rights)
    roles.setdefault(None, [])
    with without_copies():
        return render("schedule/rbac.yaml.j2", name, name=called, roles=roles, subject=subject)


def subject(text: str) -> dict[str, str]:
    """ "Group:7f0c...", "User:..." or "ServiceAccount:namespace/name" as RBAC has it."""
    kind, _, name = text.partition(":")
    if kind == "ServiceAccount" and "/" in name:
        namespace, _, account = name.partition("/")
        return {"kind": kind, "name": account, "namespace": namespace}
    if kind not in ("User", "Group") or not name:
        raise Unusable(
            f'subject {text!r} is none of "User:NAME", "Group:NAME" and '
            '"ServiceAccount:NAMESPACE/NAME"'
        )
    return {"apiGroup": RBAC, "kind": kind, "name": name}


def main(arguments: Sequence[str] | None = None) -> int:
    """Print what was asked for; returns the exit code."""
    given = _parser().parse_args(arguments)
    try:
        print(_asked(given), end="")
    except (Unusable, OSError) as error:
        print(error, file=sys.stderr)
        return 2
    return 0


def _asked(given: argparse.Namespace) -> str:
    import yaml

    if given.page:
        return page.tables()
    if given.deploy is None or given.inventory is None:
        raise Unusable("name a deploy and an inventory: upgrade inventory/prod.py")
    every = clusters(Path(given.inventory))
    name = given.cluster or next(iter(every))
    if name not in every:
        raise Unusable(f"{given.inventory} has no cluster {name}: it has {', '.join(every)}")
    rare = not given.without_rare
    made = manifests(given.deploy, name, every[name], subject(given.subject), rare)
    return yaml.safe_dump_all(made, sort_keys=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m tasks.rights", description="Print the rights that a deploy needs."
    )
    parser.add_argument("deploy", nargs="?", choices=list(deploys.DEPLOYS))
    parser.add_argument("inventory", nargs="?", help="such as inventory/prod.py")
    parser.add_argument("--page", action="store_true", help="the tables of docs/rights.md")
    parser.add_argument("--cluster", help="one of the inventory; else its first")
    parser.add_argument(
        "--subject",
        default="ServiceAccount:envoyfleet/envoyfleet",
        help='"Group:ID", "User:NAME" or "ServiceAccount:NAMESPACE/NAME"',
    )
    parser.add_argument(
        "--without-rare", action="store_true", help="leave out what few runs need, docs/rights.md"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main())
