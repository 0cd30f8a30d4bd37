"""
Which file of a folder is what: of a bundle of one proxy, of deploys/support_bundle.py with several,
of ``egctl experimental collect``, or of dumps that somebody has put together.

Sources: Envoy Gateway v1.9, internal/troubleshoot (egctl experimental collect); replicatedhq's
troubleshoot, pkg/collect/logs.go (where it puts logs of Pods).
"""

from __future__ import annotations

import errno
import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tasks.plans import nesting

MANIFEST, PROXIES, CONTROLLER = "manifest.json", "proxies", "controller"
SCHEMA = "envoyfleet.support_bundle/1"
#: What a bundle of one proxy has, by its name there.
ADMIN = (
    "config_dump.json",
    "clusters.json",
    "clusters.txt",
    "listeners.json",
    "certs.json",
    "server_info.json",
    "stats.txt",
    "stats_prometheus.txt",
    "envoy.log",
)
COMMON = ("client.json", "k8s.json")
#: Of a file with another name, what its JSON has at the top, or its first characters are.
_KEYS = {
    "configs": "config_dump.json",
    "cluster_statuses": "clusters.json",
    "clusterStatuses": "clusters.json",
    "listener_statuses": "listeners.json",
    "listenerStatuses": "listeners.json",
    "certificates": "certs.json",
    "hot_restart_version": "server_info.json",
    "hotRestartVersion": "server_info.json",
}
_KEY = re.compile(r'^\s*\{\s*"(\w+)"\s*:')
_CLUSTERS = re.compile(r"(?m)^[^\s:]\S*?::(?:default_priority|added_via_api|observability_name)::")
_PROMETHEUS = re.compile(r"(?m)^# TYPE envoy_\w+ (?:counter|gauge|histogram)$")
_STATS = re.compile(r"(?m)^(?:cluster|http|listener|server)\.\S+: \d+$")
_OBJECTS = re.compile(r'(?m)^(?:- |  )?"?apiVersion"?:|"apiVersion":|^- ?apiVersion:')
_ACCESS = re.compile(r'(?m)"response_code"\s*:|^\[\d{4}-\d\d-\d\dT[^\]]*\] "')
#: Bytes of a file that are looked at to tell what it is; files that are none of ours are many.
LOOK, MOST_FILES = 65536, 5000
#: Values in the YAML of one file: aliases can make a short one endless.
MOST_VALUES = 5_000_000


@dataclass(frozen=True)
class Layout:
    """
    + common: what is there once, such as {"client.json": Path("…/client.json")}
    + proxies: files of each proxy by their name in a bundle of one, such as {"Pod envoy-gateway-
      system/envoy-…": {"config_dump.json": …}}
    + access: access logs, by proxy ("" where none is known): ``kubectl logs`` of it is one too
    + objects: files of objects; + logs: of the controller's Pods, by "namespace/name"
    + manifest: of deploys/support_bundle.py, None without; + kind: what the folder was taken for
    """

    kind: str
    common: Mapping[str, Path] = field(default_factory=dict)
    proxies: Mapping[str, Mapping[str, Path]] = field(default_factory=dict)
    access: Mapping[str, Sequence[Path]] = field(default_factory=dict)
    objects: Sequence[Path] = ()
    logs: Mapping[str, Path] = field(default_factory=dict)
    manifest: Mapping[str, Any] | None = None
    problems: Sequence[str] = ()


def layout(folder: Path) -> Layout:
    """
    What is where in a folder; one that holds another folder alone is that one. Raises OSError where
    it cannot be read, or holds no file that is known.
    """
    inside = _below(folder)
    if (inside / "cluster-resources").is_dir() or (inside / "config-dumps").is_dir():
        return _of_egctl(inside)
    manifest, problems = _manifest(inside / MANIFEST)
    if manifest is not None or (inside / PROXIES).is_dir():
        return _of_ours(inside, manifest, problems)
    if any((inside / it).is_file() for it in (*ADMIN, *COMMON)) or _access(inside):
        return _of_one(inside)
    found = _of_dumps(inside)
    if not (found.proxies or found.access or found.objects):
        raise FileNotFoundError(errno.ENOENT, "it holds no file that is known", str(folder))
    return found


def _below(folder: Path) -> Path:
    for _ in range(3):
        members = [it for it in folder.iterdir() if not it.name.startswith(".")]
        if len(members) != 1 or not members[0].is_dir():
            break
        folder = members[0]
    return folder


def _of_one(folder: Path) -> Layout:
    return Layout(
        "bundle",
        _named(folder, COMMON),
        {folder.name: _named(folder, ADMIN)},
        {"": _access(folder)},
        _existing(folder, ("k8s.json",)),
    )


def _named(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    return {it: folder / it for it in names if (folder / it).is_file()}


def _existing(folder: Path, names: Sequence[str]) -> list[Path]:
    return [folder / it for it in names if (folder / it).is_file()]


def _access(folder: Path) -> list[Path]:
    first = ("access.eg.jsonl", "access.guide.jsonl", "access.default.log")
    others = sorted(it for it in folder.glob("access*") if it.name not in first and it.is_file())
    return [*_existing(folder, first), *others]


def _manifest(path: Path) -> tuple[Mapping[str, Any] | None, list[str]]:
    try:
        found = json.loads(path.read_bytes())
    except FileNotFoundError:
        return None, []
    except (OSError, ValueError, RecursionError):
        return None, ["is cut or no JSON"]
    if not isinstance(found, dict) or found.get("schema") != SCHEMA:
        return None, [f"is not of the schema {SCHEMA}"]
    return found, []


def _of_ours(folder: Path, manifest: Mapping[str, Any] | None, problems: list[str]) -> Layout:
    places = (manifest or {}).get("proxies")
    named = {
        str(where): name
        for name, where in (places.items() if isinstance(places, dict) else ())
        if isinstance(where, str)
    }
    proxies, access = {}, {"": _access(folder)}
    here = _named(folder, ADMIN)
    if here or access[""]:
        proxies[named.get(".", folder.name)] = here
    for it in sorted(_folders(folder / PROXIES)):
        name = named.get(f"{PROXIES}/{it.name}", it.name)
        proxies[name], access[name] = _named(it, ADMIN), _access(it)
    logs = {
        f"{place.name}/{it.name.removesuffix('.log').replace('.previous', '/previous')}": it
        for place in sorted(_folders(folder / CONTROLLER))
        for it in sorted(place.glob("*.log"))
    }
    return Layout(
        "support bundle",
        _named(folder, (*COMMON, "served.json", "names.json")),
        proxies,
        access,
        _existing(folder, ("k8s.json",)),
        logs,
        manifest,
        problems,
    )


def _folders(folder: Path) -> list[Path]:
    return [it for it in folder.iterdir() if it.is_dir()] if folder.is_dir() else []


def _of_egctl(folder: Path) -> Layout:
    """
    ``config-dumps/<namespace>/<pod>.json``, ``prometheus-metrics/<namespace>/<pod>.prom``,
    ``cluster-resources/pods/logs/<namespace>/<pod>/<container>.log``, and lists of objects as YAML
    below ``cluster-resources``.
    """
    proxies: dict[str, dict[str, Path]] = {}
    for ending, folder_name, file in (
        (".json", "config-dumps", "config_dump.json"),
        (".prom", "prometheus-metrics", "stats_prometheus.txt"),
    ):
        for it in sorted((folder / folder_name).glob(f"*/*{ending}")):
            proxies.setdefault(f"Pod {it.parent.name}/{it.stem}", {})[file] = it
    access: dict[str, Sequence[Path]] = {}
    logs: dict[str, Path] = {}
    for it in sorted((folder / "cluster-resources" / "pods" / "logs").glob("*/*/*.log")):
        namespace, pod, container = it.parts[-3], it.parts[-2], it.stem
        title = f"Pod {namespace}/{pod}"
        if container == "envoy":
            proxies.setdefault(title, {})["envoy.log"] = it
            access[title] = [it]
        elif container.removesuffix("-previous") == "envoy-gateway":
            logs[f"{namespace}/{pod}" + "/previous" * container.endswith("-previous")] = it
    without_config = {name for name, it in proxies.items() if set(it) == {"stats_prometheus.txt"}}
    objects = [
        it
        for it in sorted((folder / "cluster-resources").rglob("*"))
        if it.suffix in (".yaml", ".json") and not it.name.endswith("-errors.json")
    ]
    errors = sorted(it for it in folder.rglob("error*.log") if it.is_file() and it.stat().st_size)
    return Layout(
        "egctl collect",
        {},
        {name: it for name, it in proxies.items() if name not in without_config},
        access,
        objects[:MOST_FILES],
        logs,
        None,
        [f"{it.relative_to(folder)} says what egctl could not read" for it in errors],
    )


def _of_dumps(folder: Path) -> Layout:
    """Files of any name, such as those of ``cilium-dbg envoy admin`` or ``istioctl``."""
    found: dict[str, Path] = {}
    access: list[Path] = []
    objects: list[Path] = []
    for it in sorted(one for one in folder.iterdir() if one.is_file())[:MOST_FILES]:
        name = taken_for(_begin(it))
        if name == "access":
            access.append(it)
        elif name == "k8s.json":
            objects.append(it)
        elif name is not None:
            found.setdefault(name, it)
    proxies = {folder.name: found} if found else {}
    return Layout("dumps", {}, proxies, {"": access} if access else {}, objects)


def _begin(path: Path) -> str:
    with path.open("rb") as file:
        return file.read(LOOK).decode("utf-8", "replace")


def taken_for(begin: str) -> str | None:
    """
    Which file of a bundle this is the begin of, such as "config_dump.json"; "access" of an access
    log, None of none.
    """
    key = _KEY.match(begin)
    if key is not None and key[1] in _KEYS:
        return _KEYS[key[1]]
    if _ACCESS.search(begin):
        return "access"
    for pattern, name in (
        (_CLUSTERS, "clusters.txt"),
        (_PROMETHEUS, "stats_prometheus.txt"),
        (_STATS, "stats.txt"),
        (_OBJECTS, "k8s.json"),
    ):
        if pattern.search(begin):
            return name
    if key is not None and '"hot_restart_version"' in begin:
        return "server_info.json"
    return None


def objects(text: str) -> tuple[list[Mapping[str, Any]], int]:
    """
    Objects of a file as ``kubectl get -o yaml`` or egctl write it: Lists, lists, or single ones;
    and how many things in it are none. Raises ValueError, in one line, where it is no YAML.
    """
    import yaml

    if nesting.too_deep(text):
        raise ValueError(nesting.TOO_DEEP)
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    left = [MOST_VALUES]
    found: list[Mapping[str, Any]] = []
    wrong = 0
    try:
        for it in yaml.load_all(text, loader):
            for one in _items(it):
                if _is_object(one):
                    found.append(_as_json(one, left))
                else:
                    wrong += 1
    except (yaml.YAMLError, ValueError, RecursionError, TypeError, AttributeError) as error:
        raise ValueError(" ".join(str(error).split())[:200] or type(error).__name__) from error
    return found, wrong


def _items(document: Any) -> list[Any]:
    if document is None:
        return []
    if isinstance(document, list):
        return document
    if isinstance(document, dict) and isinstance(document.get("items"), list):
        kind, version = document.get("kind"), document.get("apiVersion")
        named = str(kind or "").removesuffix("List")
        typed = {"apiVersion": version, "kind": named} if named else {}
        return [{**typed, **it} if isinstance(it, dict) else it for it in document["items"]]
    return [document]


def _is_object(it: Any) -> bool:
    return (
        isinstance(it, dict)
        and isinstance(it.get("kind"), str)
        and isinstance(it.get("metadata"), dict)
    )


def _as_json(thing: Any, left: list[int]) -> Any:
    """YAML knows times, and keys that are no texts; JSON has texts. + left: values that may come"""
    left[0] -= 1
    if left[0] < 0:
        raise ValueError(f"more than {MOST_VALUES} values: aliases of aliases")
    if isinstance(thing, dict):
        return {str(key): _as_json(it, left) for key, it in thing.items()}
    if isinstance(thing, list):
        return [_as_json(it, left) for it in thing]
    if thing is None or isinstance(thing, str | int | float):
        return thing
    return thing.isoformat().replace("+00:00", "Z") if hasattr(thing, "isoformat") else str(thing)
