"""
How a fleet run begins: what is refused before anything happens.

``config.py`` calls ``begin`` (pyinfra executes that file before it reads the inventory); the first
connector calls ``checked_before_connecting``, the only moment when all data is known and nothing
was connected to.
"""

from __future__ import annotations

import atexit
import os
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from tasks.fleet import endings, narration, quick
from tasks.fleet.run import DONE, Refused, Run, current, finish, now, start
from tasks.plans import shards, stops

if TYPE_CHECKING:
    from tasks.fleet.inventory import Cluster

#: Deploys that change clusters, those that are refused where a backup could not be sealed, and
#: those that are where no key is here that opens one.
CHANGING = (
    *("install", "upgrade", "gateways", "dynamic_routing", "adopt"),
    *("crds", "rollback", "restore", "drill", "rehearse"),
)
BACKED_UP = ("upgrade", "crds", "rollback", "restore", "backup")
OPENING = ("verify", "restore", "drill")
#: Those that change nothing, on any cluster.
LOOKING = (
    *("status", "doctor", "history", "certificates", "public_ips"),
    *("diagnose", "support_bundle", "verify"),
)
#: Clusters at a time. pyinfra takes 20 a core; a cluster costs us little but waiting.
PARALLEL = 200


def begin() -> None:
    """
    Called by config.py, in the command line's own process. Ends it with exit 2 where usage is
    wrong.
    """
    import pyinfra_cli.cli as cli
    from gevent.hub import Hub
    from pyinfra import config
    from pyinfra.api.exceptions import PyinfraError

    from tasks.connectors.api import ApiError

    # What fails in one of several greenlets is raised again where they are waited for; gevent
    # would print a traceback of each besides.
    Hub.NOT_ERROR = (*Hub.NOT_ERROR, ApiError, PyinfraError)

    os.umask(0o077)  # whatever a run writes is its user's alone
    given = click.get_current_context().params
    operations = tuple(given["operations"])
    first = operations[0]
    run = Run(
        deploy=Path(first).stem if first.endswith(".py") else re.sub(r"\W+", "-", first),
        inventory=str(given["inventory"]),
        arguments=operations,
        started=now(),
        dry=bool(given.get("dry")),
        command=stops.command(sys.argv[1:]),
    )
    start(run)
    if os.environ.get("NO_COLOR"):  # pyinfra 3.10 and click 8 do not know it
        cast(Any, click.utils).should_strip_ansi = lambda *_, **__: True
    endings.patch(cli)
    narration.patch(cli)
    quick.patch()
    _patch_inventory(cli)
    problem = usage_problem(given)
    if problem:
        endings.end_refused(problem)
    config.PARALLEL = PARALLEL
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, endings.on_signal)
    signal.signal(signal.SIGUSR1, endings.on_stop)
    atexit.register(finish)


def usage_problem(given: dict[str, Any]) -> str | None:
    """
    Why pyinfra must not go on with these command line options, or None. It would answer most with
    exit 0.
    """
    inventory = str(given["inventory"])
    if not Path(inventory).exists() and not inventory.startswith("@"):
        near = sorted(str(it) for it in Path("inventory").glob("*.py"))
        return (
            f"there is no inventory {inventory}: use one of {', '.join(near)}, or @kube/<context>"
        )
    for option, why in (
        ("no_wait", "a failed cluster would not be noticed"),
        ("serial", "rings decide the order"),
        ("fail_percent", "rings have max_failed"),
    ):
        if given.get(option) not in (None, False):
            return f"--{option.replace('_', '-')} is refused: {why}"
    return None


def checked_before_connecting(state: Any) -> None:
    """Every cluster's data, before the first connection. Raises Refused with a line a problem."""
    from tasks.connectors import scratch
    from tasks.fleet import approve, archives, environment, inventory, notify, resume, textfile
    from tasks.fleet.recorder import Recorder

    run = current()
    if run.state is state:
        return
    run.state = state
    if state.limit_hosts is not None and not state.limit_hosts:
        raise Refused(
            "--limit leaves no cluster: pyinfra INVENTORY debug-inventory lists their names"
        )
    state.should_raise_failed_hosts = lambda _: False  # rings decide, nobody is asked half way
    hosts = [(host.name, host.data.dict()) for host in state.inventory]
    connectors = {host.name: host.connector_cls for host in state.inventory}
    if not hosts:
        raise Refused(f'{run.inventory}: no cluster in it: write clusters = [("@kube/...", {{}})]')
    found = inventory.duplicates(hosts)
    for name, data in hosts:
        if "kube_context" not in data:
            found.append(f"{name}: not a cluster: write @kube/<context> in the inventory")
            continue
        problems = inventory.problems(name, data)
        found += problems
        if not problems:
            run.clusters[name] = inventory.parsed(data)
            if run.deploy in CHANGING and not _only_looks(run, run.clusters[name]):
                found += inventory.past(name, run.clusters[name], now())
        found += _told_by(connectors[name], data)
    if run.deploy in BACKED_UP:
        found += archives.problems(run.clusters)
    if run.deploy in OPENING:
        found += archives.unopenable(run.clusters, run.deploy)
    if run.deploy in CHANGING and not run.dry:
        found += notify.problems(run.clusters)
    if not run.dry:
        found += textfile.problems(run.clusters)
    if found:
        unique = dict.fromkeys(found)
        raise Refused("\n".join(f"{run.inventory}: {line}" for line in unique))
    environment.hide(run.clusters.values())
    scratch.sweep()  # kubeconfigs of a run that was killed, whatever this one is going to do
    _take_shard(run)
    if not run.dry and not all(_only_looks(run, it) for it in run.clusters.values()):
        resume.go_on(run)
        approve.check(run)
        _forget_stop(run)
    run.report = Recorder(run)
    state.add_callback_handler(run.report)


def _forget_stop(run: Run) -> None:
    """It was asked of an earlier process. Raises Refused where runs/ is no folder to write into."""
    try:
        (run.folder / "stop").unlink(missing_ok=True)
    except OSError as error:
        raise Refused(
            f"{run.folder} cannot be written ({error.strerror}): a run keeps its journal there: "
            "correct that"
        ) from error


def _take_shard(run: Run) -> None:
    """
    Limit the run to the clusters of its shard. A shard that has none ends well: its index of a Job
    has nothing to do. Raises Refused where clusters say different things.
    """
    said = {it.shard for it in run.clusters.values()}
    if len(said) > 1:
        raise Refused("shard differs between clusters: give it with --data shard=0/8")
    shard = said.pop()
    if shard is None:
        return
    due = [it for it in run.state.inventory if run.state.is_host_in_limit(it)]
    mine = [it for it in due if shards.holds(shard, it.name)]
    click.echo(f"Shard {shard}: {len(mine)} of {len(due)} clusters", err=True)
    if not mine:
        sys.exit(DONE)
    run.sharded = [it.name for it in due]
    run.state.limit_hosts = mine


def _only_looks(run: Run, cluster: Cluster) -> bool:
    """
    Whether the deploy changes nothing: always, or because it is only to show what it would change,
    keys ``check`` and ``take``. Such a run stands beside one that works.
    """
    if run.deploy in LOOKING:
        return True
    if run.deploy == "adopt":
        return not cluster.take
    return run.deploy in ("gateways", "dynamic_routing") and cluster.check


def _told_by(connector: Any, data: dict[str, Any]) -> list[str]:
    """What a connector of ours says against its data before it connects: one line or none."""
    problem = connector.problem(data) if hasattr(connector, "problem") else None
    return [problem] if problem else []


def _patch_inventory(cli: Any) -> None:
    """
    pyinfra 3.10 leaves a group out where one of its entries is wrong, makes one cluster of an entry
    that is there twice, and connects with SSH to what has no connector.
    """
    import pyinfra_cli.inventory as inventories

    def is_group(key: str, value: Any) -> bool:
        try:
            good = bool(is_inventory_group(key, value))
        except TypeError:  # a tuple of numbers
            good = False
        listed = isinstance(value, list | tuple) and not key.startswith("_")
        if listed and not good:
            raise Refused(
                f"{current().inventory}: {key} is not a list of clusters: write entries such as "
                '("@kube/weu-1", {"ring": 0}), or begin its name with _'
            )
        return good

    def groups_of(inventory_filename: str) -> Any:
        groups = get_groups(inventory_filename)
        for key, group in groups.items():
            _refuse_twice(key, group[0] if isinstance(group, tuple) else group)
        return groups

    def connect(state: Any) -> None:
        checked_before_connecting(state)  # where there is no connector of ours, nobody did
        connect_all(state)

    is_inventory_group = inventories._is_inventory_group
    get_groups = inventories._get_groups_from_filename
    connect_all = cli.connect_all
    inventories._is_inventory_group = is_group
    inventories._get_groups_from_filename = groups_of
    cli.connect_all = connect


def _refuse_twice(group: str, entries: Sequence[Any]) -> None:
    names = [it[0] if isinstance(it, tuple) else it for it in entries]
    for name in names:
        if names.count(name) > 1:
            raise Refused(
                f"{current().inventory}: {name} is in {group} twice: remove all but one of them"
            )
