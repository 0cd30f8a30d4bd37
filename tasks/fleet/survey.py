"""
What a backup keeps of one cluster, read in as few requests as there are. What cannot be read ends
it: a kind that is not readable must never look like one that is not there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks.connectors import documents
from tasks.connectors.api import Api, ApiError, anew
from tasks.facts.helm import HelmRecords, HelmRelease
from tasks.facts.kube import KubeObject, Resources, listed
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import fact, kubernetes_version, session
from tasks.fleet.inventory import Cluster
from tasks.plans import archive, backup, helm, kinds
from tasks.plans.references import CERT_MANAGER, GROUPS, Reference, references, to
from tasks.plans.resources import CORE, Resource

Object = dict[str, Any]
_CORE = {it.kind: it for it in CORE}
_CRDS = ("apiextensions.k8s.io/v1", "CustomResourceDefinition")
_POLICIES = "admissionregistration.k8s.io"
#: Lists at a time.
AT_ONCE = 8


@dataclass(frozen=True)
class Survey:
    """
    + files: by path in the archive; + about: what its manifest says besides; + secrets: titles of
      the Secrets that are referred to
    """

    files: dict[str, bytes]
    about: Mapping[str, Any]
    secrets: list[str]


def surveyed(data: Cluster, secrets: bool, values: bool) -> Survey:
    """
    Some 60 requests. + secrets: whether Secrets are read; + values: whether the values of Helm may
    be in the manifest

    Raises DeployError, in one line.
    """
    served, left_out = fact(Resources), dict[str, str]()
    own = _worth(_of_each(backup.preferred(served)), left_out)
    services = _all(_CORE["Service"])
    around, wanted = _around(data, served, own, services, left_out)
    referred = sorted(it.title for it in wanted if (it.group, it.kind) == ("", "Secret"))
    if secrets:
        around += _worth(_named("Secret", wanted), left_out)
    else:
        left_out |= dict.fromkeys(referred, "Secrets are left out of this backup")
    release, unreadable = _release(data, secrets)
    objects = own + around + _ours(served) + unreadable
    objects += _namespaces(objects)
    files, crds = _definitions(served)
    files |= {archive.path_of(it): backup.content(it) for it in objects}
    addresses = backup.address_entries(own, services)
    needs = backup.needs(objects, addresses)
    if not secrets:
        needs.insert(0, f"{len(referred)} Secrets: they are left out of this backup")
    about = {
        "cluster": host.name,
        "uid": _uid(),
        "run": fleet_run.current().id,
        "kubernetes": kubernetes_version(),
        "envoy_gateway": release.version if release else None,
        "served": _served(served),
        "crds": crds,
        "helm": backup.release_entry(release, values),
        "addresses": addresses,
        "needs": needs,
        "missing": _missing(wanted, objects, left_out),
        "left_out": [f"{title}: {left_out[title]}" for title in sorted(left_out)],
    }
    return Survey({it: files[it] for it in sorted(files)}, about, referred)


def _around(
    data: Cluster,
    served: list[Resource],
    own: list[Object],
    services: list[Object],
    left_out: dict[str, str],
) -> tuple[list[Object], set[Reference]]:
    """What ``own`` refers to, but for Secrets; and everything that is referred to by all of it."""
    proxies = data.proxy_namespace
    wanted = {one for it in own for one in references(it, proxies)}
    wanted.update(backup.controls(data.namespace))
    found = _worth([it for it in services if to(it) in wanted], left_out)
    maps = _named("ConfigMap", wanted)
    for it in maps:
        if (it["metadata"]["namespace"], it["metadata"]["name"]) == (
            data.namespace,
            backup.CONFIGURATION,
        ):
            wanted.update(backup.configured(_yaml(it), data.namespace))
    found += maps + _of_cert_manager(served, wanted)
    return found, wanted.union(one for it in found for one in references(it))


def _yaml(config: Mapping[str, Any]) -> Any:
    import yaml

    try:
        return documents.one((config.get("data") or {}).get("envoy-gateway.yaml") or "")
    except yaml.YAMLError as error:
        raise DeployError(f"no backup: ConfigMap {backup.CONFIGURATION} is no YAML") from error


def _of_cert_manager(served: list[Resource], wanted: set[Reference]) -> list[Object]:
    """The Certificates that make a Secret that is wanted, and who issues them."""
    resources = {it.kind: it for it in backup.preferred(served, (CERT_MANAGER,))}
    found = [
        it
        for it in (_all(resources["Certificate"]) if "Certificate" in resources else ())
        if Reference("", "Secret", it["metadata"]["namespace"], it["spec"].get("secretName", ""))
        in wanted
    ]
    issuers = {one for it in found for one in references(it)}
    for kind in ("ClusterIssuer", "Issuer"):
        if found and kind in resources:
            found += [it for it in _all(resources[kind]) if to(it) in issuers]
    return found


def _ours(served: list[Resource]) -> list[Object]:
    """Monitors and rules that envoyfleet has made, and the safe-upgrades policy."""
    monitors = [
        it for it in backup.preferred(served, backup.MONITORING) if it.kind in backup.MONITORS
    ]
    found = [it for one in monitors for it in _all(one, labelSelector=backup.OURS)]
    for it in backup.preferred(served, (_POLICIES,)):
        if it.kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"):
            for name in backup.SAFE_UPGRADES:
                policy = fact(KubeObject, api_version=it.api_version, kind=it.kind, resource=name)
                found += [policy] if policy else []
    return found


def _release(data: Cluster, secrets: bool) -> tuple[helm.Release | None, list[Object]]:
    """
    The newest revision that Helm finished and that can be read, and the records that cannot: a run
    that mends the release deletes those.
    """
    records = fact(HelmRecords, release=data.release, namespace=data.namespace)
    newest = helm.newest(records)
    finished, unreadable = helm.finished(records), []
    names = [str(newest["metadata"]["name"])] if newest else []
    for name in dict.fromkeys([*names, *finished]):
        try:
            release = fact(HelmRelease, record=name, namespace=data.namespace)
        except ValueError:
            if secrets:
                unreadable += _one("v1", "Secret", name, data.namespace)
            continue
        if release is not None and name in finished:
            return release, unreadable
    return None, unreadable


def _definitions(served: list[Resource]) -> tuple[dict[str, bytes], list[dict[str, Any]]]:
    """The CRDs of the groups, one after the other: one of them can have 1 MB, parsed ten."""
    files, entries = {}, []
    for name in backup.definitions(served):
        crd = _get(kinds.path(*_CRDS, name=name))
        files[archive.path_of(crd)] = backup.content(crd)
        entries.append(backup.definition(crd))
    return files, entries


def _namespaces(objects: Iterable[Object]) -> list[Object]:
    names = {it["metadata"].get("namespace") for it in objects}
    return [it for it in _all(_CORE["Namespace"]) if it["metadata"]["name"] in names]


def _served(served: Iterable[Resource]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = defaultdict(list)
    for it in served:
        if it.group in GROUPS:
            found[f"{it.plural}.{it.group}"].append(it.version)
    return {it: found[it] for it in sorted(found)}


def _missing(
    wanted: Iterable[Reference], objects: Iterable[Object], left_out: Mapping[str, str]
) -> list[str]:
    """What is referred to and is not there, of what a backup looks for."""
    there = {to(it) for it in objects}
    looked_for = ("", CERT_MANAGER, *GROUPS)
    titles = {it.title for it in wanted if it.group in looked_for and it not in there}
    return sorted(titles - set(left_out))


def _uid() -> str | None:
    system = fact(KubeObject, api_version="v1", kind="Namespace", resource="kube-system")
    return str(system["metadata"]["uid"]) if system else None


def _worth(objects: Iterable[Object], left_out: dict[str, str]) -> list[Object]:
    """Those that are kept; of the others it is written down why they are not."""
    found = []
    for it in objects:
        why = backup.why_left_out(it)
        if why:
            left_out[to(it).title] = why
        else:
            found.append(it)
    return found


def _named(kind: str, wanted: Iterable[Reference]) -> list[Object]:
    """
    The Secrets or ConfigMaps among ``wanted`` that exist: one LIST a namespace. The server leaves
    Helm's records out, which are most of what a namespace weighs.
    """
    mine = {it for it in wanted if (it.group, it.kind) == ("", kind) and it.namespace}
    query = {"fieldSelector": "type!=helm.sh/release.v1"} if kind == "Secret" else {}
    return [
        it
        for place in sorted({str(one.namespace) for one in mine})
        for it in _all(_CORE[kind], place, **query)
        if to(it) in mine
    ]


def _one(api_version: str, kind: str, name: str, namespace: str) -> list[Object]:
    found = fact(KubeObject, api_version=api_version, kind=kind, resource=name, namespace=namespace)
    return [found] if found else []


def _of_each(resources: Iterable[Resource]) -> list[Object]:
    """All objects of some kinds, several lists at a time. Raises DeployError."""
    from gevent.pool import Pool

    lists = Pool(AT_ONCE).map(partial(_listed, session()), [it.path() for it in resources])
    return [it for one in lists for it in one]


def _all(resource: Resource, namespace: str | None = None, **query: str) -> list[Object]:
    """All objects of a kind. Raises DeployError."""
    return _listed(session(), resource.path(namespace), **query)


def _listed(api: Api, path: str, **query: str) -> list[Object]:
    """As they were at one moment. Raises DeployError."""
    try:
        return anew(lambda: [it for page in api.pages(path, **query) for it in listed(page)])
    except ApiError as error:
        raise _unreadable(path, error) from error


def _get(path: str) -> Object:
    try:
        found: Object = session().json("GET", path)
    except ApiError as error:
        raise _unreadable(path, error) from error
    return found


def _unreadable(path: str, error: ApiError) -> DeployError:
    return DeployError(f"no backup: GET {path}: {error}: mend that, or switch backup off here")
