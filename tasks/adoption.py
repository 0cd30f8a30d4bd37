"""
A cluster that was made by hand comes into the inventory: what it has is read into keys and files,
rendered again and compared; then, when asked, its objects are handed over to envoyfleet.
"""

from __future__ import annotations

import pprint
import shutil
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError
from pyinfra import host, state
from pyinfra.api.exceptions import DeployError

from tasks import change, desired
from tasks.checks import adoption as checks
from tasks.connectors.command import JSON_PATCH, KubeCommand
from tasks.desired import tree
from tasks.facts.kube import KubeObject, Resources, apply_command
from tasks.fleet import audits
from tasks.fleet import run as fleet_run
from tasks.fleet.attempt import attempt, settle
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.fleet.inventory import Cluster
from tasks.fleet.recorder import ClusterResult
from tasks.fleet.render import SAFE, without_copies
from tasks.operations import objects
from tasks.operations.kube import live_objects, show
from tasks.plans import adopted_entries, adoption, backup, kinds
from tasks.plans.references import Reference, to

Object = Mapping[str, Any]
SCHEMA = "envoyfleet.adopt/1"
COLUMNS = ("cluster", "objects", "in keys", "in files", "equal", "left", "folder")
#: Where what was read goes, a folder a cluster.
FOLDER, READ = Path("adopted"), "read off the cluster"
#: Keys that say what Gateways a cluster has; what the inventory has of them already does not count.
BARE: Mapping[str, Any] = {
    "gateways": [],
    "routes": [],
    "teams": [],
    "objects": [],
    "class_from": "objects",
}

_rows: dict[str, dict[str, Any]] = {}


def of_the_fleet() -> None:
    """Deploy code: read every cluster into files, and say what of it an inventory can have."""
    run = fleet_run.audit()
    run.finish_audit = _print
    read(name="Adopt", data=fleet_run.cluster())


@fleet_operation()
def read(data: Cluster) -> Steps:
    """
    Write ``adopted/<cluster>``: inventory.py, and a file for each object that keys cannot say. It
    is there whole or not at all, and never written over. Changes nothing on the cluster.
    """
    yield from ()
    place = FOLDER / SAFE.sub("_", host.name)
    if place.exists():
        raise DeployError(
            f"{place} is there already: move it away, for somebody may have worked on it"
        )
    mine, left = _found(data)
    live = {to(it): it for it in mine}
    said = _in_keys(data, live)
    keys = _rendered(data, said) if said else {}
    files = {key: it for key, it in _manifests(live).items() if key not in keys}
    said = {**said, "class_from": "inventory" if _has_class(keys) else "objects"}
    said = {**said, "objects": [f"{place}/objects/**/*.yaml"] if files else []}
    _write(place, files, said)
    wanted = desired.wanted(host.name, _with(data, said))
    rendered = {to(it): it for it in wanted.objects if it["kind"] != "Namespace"}
    equal = _equal(rendered, live)
    fleet_run.current().findings += [
        *checks.findings(host.name, live, rendered.keys(), equal, left),
        *(it for it in wanted.findings if it.severity == "error"),
    ]
    _rows[host.name] = {
        "ring": data.ring,
        "objects": len(live),
        "in_keys": sorted(it.title for it in rendered if it not in files),
        "in_files": sorted(it.title for it in files),
        "equal": len(equal),
        "left": sorted(kinds.title(it) for it in left),
        "folder": str(place),
    }


def _found(data: Cluster) -> tuple[list[Object], list[Object]]:
    """The objects of our controller that can be adopted, and all others of these kinds."""
    resources = fact(Resources)
    served = backup.preferred(resources)
    every = objects.listed([(it, None) for it in served])
    ours = adoption.of_controller(every, data.controller_name, data.watch_namespaces)
    mine = [it for it in ours if adoption.obstacle(it) is None]
    chosen = {to(it) for it in mine}
    return mine, [it for it in every if to(it) not in chosen]


def _with(data: Cluster, said: Mapping[str, Any]) -> Cluster:
    """The cluster's data with these keys alone about its Gateways. Raises ValidationError."""
    given = data.model_dump(exclude_unset=True)
    return Cluster.model_validate({**given, **BARE, **said})


def _in_keys(data: Cluster, live: Mapping[Reference, Object]) -> dict[str, Any]:
    """What keys can say of these objects so that rendering gives the same."""
    classes = sorted(it.name for it in live if it.kind == "GatewayClass")
    if not classes:
        return {}
    name = data.gateway_class if data.gateway_class in classes else classes[0]
    proxy = next((it for key, it in live.items() if _is_proxy_of(key, name, data)), {})
    of_class = {
        "gateway_class": name,
        "class_from": "inventory",
        "proxy": adopted_entries.proxy_entry(proxy),
        "merge_gateways": bool((proxy.get("spec") or {}).get("mergeGateways")),
    }
    said: dict[str, Any] = {"gateway_class": name}
    if _is_said(data, of_class, live):
        said = of_class
    gateways = [
        entry
        for key, it in live.items()
        if key.kind == "Gateway" and it["spec"]["gatewayClassName"] == name
        for entry in [adopted_entries.gateway_entry(it)]
        if _is_said(data, {"gateway_class": name, "gateways": [entry]}, live)
    ]
    if not gateways:
        return said
    known = {f"{it['namespace']}/{it['name']}" for it in gateways}
    routes = [
        entry
        for key, it in live.items()
        if key.kind in ("HTTPRoute", "TCPRoute")
        for entry in [adopted_entries.route_entry(it)]
        if entry is not None and entry["gateway"] in known
    ]
    about = {"gateway_class": name, "gateways": gateways}
    routes = [it for it in routes if _is_said(data, {**about, "routes": [it]}, live)]
    return {**said, "gateways": gateways, "routes": routes}


def _is_proxy_of(key: Reference, name: str, data: Cluster) -> bool:
    return (key.kind, key.namespace, key.name) == ("EnvoyProxy", data.namespace, name)


def _is_said(data: Cluster, said: Mapping[str, Any], live: Mapping[Reference, Object]) -> bool:
    """Whether what these keys render to is on the cluster, all of it, and the same."""
    try:
        rendered = _rendered(data, said)
    except (ValidationError, DeployError):
        return False
    return bool(rendered) and set(rendered) == _equal(rendered, live)


def _rendered(data: Cluster, said: Mapping[str, Any]) -> dict[Reference, Object]:
    with without_copies():
        found = desired.objects(host.name, _with(data, said))
    return {to(it): it for it in found if it["kind"] != "Namespace"}


def _has_class(keys: Iterable[Reference]) -> bool:
    return any(it.kind == "GatewayClass" for it in keys)


def _equal(wanted: Mapping[Reference, Object], live: Mapping[Reference, Object]) -> set[Reference]:
    """
    Which say what the cluster has. Where the text alone does not tell, the server says what it
    would make of a new object: no default is known here.
    """
    there = [key for key in wanted if key in live]
    found = {key for key in there if adoption.equal(wanted[key], live[key])}
    asked = [key for key in there if key not in found]
    stored = objects.as_new([wanted[key] for key in asked])
    return found | {
        key
        for key, it in zip(asked, stored, strict=True)
        if it is not None and adoption.equal(it, live[key])
    }


def _manifests(live: Mapping[Reference, Object]) -> dict[Reference, dict[str, Any]]:
    """Each object as it was written once, where that is still what it is, else with defaults."""
    written = {key: it for key, one in live.items() if (it := adoption.as_written(one))}
    short = _equal(written, live)
    return {key: written[key] if key in short else adoption.manifest(live[key]) for key in live}


def _write(place: Path, files: Mapping[Reference, dict[str, Any]], said: Mapping[str, Any]) -> None:
    """The folder of a cluster, whole or not at all."""
    part = place.with_name(f".{place.name}.part")
    shutil.rmtree(part, ignore_errors=True)
    texts = {f"objects/{tree.path(it)}": tree.text(READ, it) for it in files.values()}
    for name, text in {**texts, "inventory.py": _text(said)}.items():
        path = part / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
    part.rename(place)


def _text(said: Mapping[str, Any]) -> str:
    day = fleet_run.now().date().isoformat()
    keys = {key: it for key, it in said.items() if it not in ([], {}, False)}
    return (
        f'"""\nThe Gateways of {host.name}, read on {day}: put these keys beside the cluster in '
        f'your inventory.\nHow it goes on: docs/adopt.md\n"""\n\n'
        f"adopted = {pprint.pformat(keys, width=100, sort_dicts=False)}\n"
    )


def _print(results: list[ClusterResult]) -> None:
    audits.show(results, _rows, SCHEMA, COLUMNS, _line)


def _line(name: str, row: Mapping[str, Any]) -> tuple[str, ...]:
    if "unreachable" in row:
        return (name, f"not read: {row['unreachable']}", "", "", "", "", "")
    counts = (len(row["in_keys"]), len(row["in_files"]))
    equal, left = f"{row['equal']} of {sum(counts)}", str(len(row["left"]))
    return (name, str(row["objects"]), *map(str, counts), equal, left, row["folder"])


def take() -> None:
    """Deploy code: hand the objects of the inventory over to envoyfleet, each where it is equal."""
    data = fleet_run.cluster()
    with attempt("Adopt") as it:
        taken(name="Take over", data=data)
    with it.always():
        change.ended(name="Lease", data=data)
    settle(it)


@fleet_operation()
def taken(data: Cluster) -> Steps:
    """
    Make us the one manager of every object of the inventory that is what the inventory says; others
    are named and left. No field changes but our labels, so no proxy is replaced.
    """
    wanted = desired.wanted(host.name, data)
    broken = [it.text for it in wanted.findings if it.severity == "error"]
    if broken:
        raise DeployError("; ".join(broken))
    there = live_objects(wanted.objects)
    live = {to(it): it for it in there.values()}
    todo = {
        key: it
        for it in wanted.objects
        if (key := to(it)) in live
        and key.kind != "Namespace"
        and not adoption.is_ours_alone(live[key])
    }
    equal = _equal(todo, live)
    taking = []
    for key, it in todo.items():
        obstacle = adoption.obstacle(live[key])
        if obstacle or key not in equal:
            why = obstacle[0] if obstacle else "it is not what the inventory says"
            host.log(f"left: {key.title}: {why}")
            fleet_run.note(host, f"left: {key.title}", why)
            continue
        by = ", ".join(str(one.get("manager")) for one in adoption.others(live[key]))
        show(f"Will take {key.title} over from {by or 'nobody'}", [])
        taking.append(it)
    if not taking:
        host.noop("nothing is left to be taken over")
        return
    change.begin(data, release=False)
    for it in taking:
        yield apply_command(it, force=True)
        if state.is_executing:
            yield from _alone(it)
    fleet_run.note(host, "taken over", f"{len(taking)} objects")


def _alone(thing: Object) -> Steps:
    meta = thing["metadata"]
    now = fact(
        KubeObject,
        api_version=thing["apiVersion"],
        kind=thing["kind"],
        resource=meta["name"],
        namespace=meta.get("namespace"),
    )
    if now is None or adoption.is_ours_alone(now):
        return
    version = now["metadata"]["resourceVersion"]
    kept = adoption.handed_over(now)
    patch: Sequence[Mapping[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/metadata/managedFields", "value": kept},
    ]
    yield KubeCommand("PATCH", kinds.path_of(thing), body=patch, content_type=JSON_PATCH)
