"""
What a restore makes of each object of an archive on one cluster: create, change or leave; in which
order, and what of it stays behind.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from fnmatch import fnmatchcase
from typing import Any, Literal

from tasks.plans.comparison import NAMESPACE_NAME, SERVICE_OWN, differences
from tasks.plans.kinds import title
from tasks.plans.objects import cleaned
from tasks.plans.references import GROUPS, Reference, references, to

Object = Mapping[str, Any]
Schemas = Mapping[tuple[str, str], Mapping[str, Any]]
Verb = Literal["create", "change", "leave"]
KEYS = ("envoy", "envoy-gateway", "envoy-oidc-hmac", "envoy-rate-limit")


@dataclass(frozen=True)
class Step:
    """
    What becomes of one object.

    + wanted: as it is applied, for this cluster; + live: as it is there, None where it is not
    + why: of a change, who changed it since the backup; of what differs and is left, why
    """

    verb: Verb
    wanted: Object
    live: Object | None = None
    why: str = ""

    @property
    def title(self) -> str:
        """Such as "HTTPRoute shop/cart"."""
        return title(self.wanted)


@dataclass(frozen=True)
class Selection:
    """
    The objects of an archive that are restored.

    + needed: what they refer to, which the archive has and nobody named
    + unmatched: patterns that fit nothing
    """

    objects: Sequence[Object]
    needed: Sequence[Object] = ()
    unmatched: Sequence[str] = ()


def selected(objects: Sequence[Object], only: Sequence[str]) -> Selection:
    """+ only: patterns of titles, such as ["HTTPRoute shop/*", "* edge/*"]; empty takes all"""
    if not only:
        return Selection(objects)
    chosen = [it for it in objects if any(fnmatchcase(title(it), one) for one in only)]
    unmatched = [it for it in only if not any(fnmatchcase(title(one), it) for one in objects)]
    there, found = {to(it): it for it in objects}, {to(it) for it in chosen}
    needed = [there[it] for it in _reached(chosen, there) if it not in found]
    return Selection(chosen, needed, unmatched)


def _reached(things: Iterable[Object], there: Mapping[Reference, Object]) -> list[Reference]:
    """What these objects refer to, and what that refers to, as far as the archive has it."""
    found: dict[Reference, None] = {}
    left = list(things)
    while left:
        for it in references(left.pop()):
            if it in there and it not in found:
                found[it] = None
                left.append(there[it])
    return list(found)


def manifest(thing: Object, api_version: str, owners: Mapping[Reference, str]) -> dict[str, Any]:
    """
    An object of an archive as it is applied: without status, finalizers, and what the cluster that
    it was on gave it.

    + api_version: in which this cluster is given it
    + owners: uids, here, of what may own it; other owners are dropped (see ``orphaned``)
    """
    said = {key: it for key, it in (cleaned(thing) or {}).items() if key != "status"}
    meta = {
        key: it
        for key, it in said["metadata"].items()
        if key in ("name", "namespace", "labels", "annotations") and it
    }
    held = [
        {**it, "uid": owners[owner]}
        for it in thing["metadata"].get("ownerReferences") or ()
        if (owner := owner_of(thing, it, owners)) is not None
    ]
    if held:
        meta["ownerReferences"] = held
    found = {**said, "apiVersion": api_version, "metadata": meta}
    if thing["kind"] == "Namespace":
        found.pop("spec", None)
        labels = {k: v for k, v in meta.pop("labels", {}).items() if k != NAMESPACE_NAME}
        if labels:
            meta["labels"] = labels
    if thing["kind"] == "Service" and thing["apiVersion"] == "v1":
        found["spec"] = _service(thing["spec"])
    return found


def _service(spec: Object) -> dict[str, Any]:
    headless = spec.get("clusterIP") == "None"
    own = {key: it for key, it in spec.items() if key not in SERVICE_OWN}
    ports = [{k: v for k, v in it.items() if k != "nodePort"} for it in spec.get("ports") or ()]
    kept = {"clusterIP": "None"} if headless else {}
    return {**own, **({"ports": ports} if ports else {}), **kept}


def owner_of(thing: Object, reference: Object, there: Iterable[Reference]) -> Reference | None:
    """
    Which of ``there`` an ownerReference means, or None: it names no namespace, for an owner is in
    that of what it owns, or in none.
    """
    group = str(reference["apiVersion"]).rpartition("/")[0]
    for namespace in (thing["metadata"].get("namespace"), None):
        found = Reference(group, reference["kind"], namespace, reference["name"])
        if found in there:
            return found
    return None


def orphaned(thing: Object, there: Iterable[Reference]) -> list[str]:
    """The owners of an object that are not ``there``, such as ["Certificate tls"]."""
    refs = thing["metadata"].get("ownerReferences") or ()
    return [f"{it['kind']} {it['name']}" for it in refs if owner_of(thing, it, there) is None]


def decided(
    wanted: Object,
    live: Object | None,
    taken: datetime,
    schema: Mapping[str, Any] | None = None,
    newer_certificates: str = "keep",
) -> Step:
    """
    What becomes of one object.

    + wanted: ``manifest``; + taken: when the backup was made
    + newer_certificates: "keep", or "replace"
    """
    if live is None:
        return Step("create", wanted)
    if not differences(wanted, live, schema):
        return Step("leave", wanted, live)
    if wanted["kind"] == "Service" and wanted["apiVersion"] == "v1":
        return Step("leave", wanted, live, "it belongs to its application: Services are only made")
    if wanted["kind"] == "Secret" and newer_certificates == "keep":
        newer = newer_certificate(wanted, live)
        if newer:
            return Step("leave", wanted, live, newer)
    return Step("change", wanted, live, changed_by(live, taken))


def shown(live: Object, wanted: Object) -> tuple[dict[str, Any], dict[str, Any]]:
    """
    An object before and after a change, for its diff: without what stays whatever the archive says,
    its finalizers, and of a Namespace the labels and annotations of others.
    """
    meta = {k: v for k, v in live["metadata"].items() if k != "finalizers"}
    before, after = {**live, "metadata": meta}, dict(wanted)
    if wanted["kind"] == "Namespace":
        before.pop("spec", None)
        after["metadata"] = {
            **wanted["metadata"],
            **{
                key: {**(meta.get(key) or {}), **(wanted["metadata"].get(key) or {})}
                for key in ("labels", "annotations")
                if meta.get(key) or wanted["metadata"].get(key)
            },
        }
    return before, after


def newer_certificate(archived: Object, live: Object) -> str:
    """Why a TLS Secret of the cluster is kept, or ""."""
    ours, theirs = begins(archived), begins(live)
    if ours is None or theirs is None or theirs <= ours:
        return ""
    return (
        f"its certificate is newer ({theirs:%Y-%m-%d %H:%M}) than the archive's "
        f'({ours:%Y-%m-%d %H:%M}): it is kept, newer_certificates "replace" puts the older back'
    )


def begins(secret: Object) -> datetime | None:
    """When the first certificate in a Secret begins, None where there is none to read."""
    from cryptography.x509 import load_pem_x509_certificate

    try:
        pem = base64.b64decode((secret.get("data") or {})["tls.crt"])
        return load_pem_x509_certificate(pem).not_valid_before_utc
    except (KeyError, ValueError):
        return None


def fingerprint(secret: Object) -> str | None:
    """SHA-256 of the first certificate in a Secret, as a probe tells it; None without one."""
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.x509 import load_pem_x509_certificate

    try:
        pem = base64.b64decode((secret.get("data") or {})["tls.crt"])
        return load_pem_x509_certificate(pem).fingerprint(SHA256()).hex()
    except (KeyError, ValueError):
        return None


def changed_by(live: Object, taken: datetime) -> str:
    """
    Who wrote fields of an object since, such as "changed since by kubectl-edit (2026-11-21 20:12)".
    A field that was only taken away leaves no trace of who did it.
    """
    found = {
        str(it.get("manager")): datetime.fromisoformat(it["time"])
        for it in live["metadata"].get("managedFields") or ()
        if not it.get("subresource") and it.get("time")
    }
    since = [f"{who} ({at:%Y-%m-%d %H:%M})" for who, at in sorted(found.items()) if at > taken]
    return f"changed since by {', '.join(since)}" if since else "changed since, by whom is not told"


def batches(ordered: Sequence[Step]) -> list[list[Step]]:
    """
    Steps that can be taken at the same time, in order: a new batch begins with what refers to
    something in the one before it.
    """
    found: list[list[Step]] = [[]]
    there: set[Reference] = set()
    for it in ordered:
        if there.intersection(references(it.wanted)):
            found.append([])
            there = set()
        found[-1].append(it)
        there.add(to(it.wanted))
    return [it for it in found if it]


def others(live: Iterable[Object], archived: Iterable[Object], only: Sequence[str]) -> list[Object]:
    """
    What ``delete_others`` deletes: objects of the Gateway groups that the archive does not have;
    with ``only``, those of them that its patterns name. What is referred to goes last.
    """
    kept = {to(it) for it in archived}
    return [
        it
        for it in live
        if to(it) not in kept
        and it["apiVersion"].rpartition("/")[0] in GROUPS
        and (not only or any(fnmatchcase(title(it), one) for one in only))
    ]


def keys_state(archived: Sequence[Object], live: Sequence[Object]) -> str | None:
    """
    Why the four Secrets of the control plane are put back, or None: they are one unit, for a new
    one beside older ones is signed by another CA. Where the cluster has all of them from one CA,
    they stay, whatever the archive has. An archive with a part of them is of no use either.
    """
    if {it["metadata"]["name"] for it in archived} != set(KEYS):
        return None
    there = {it["metadata"]["name"] for it in live}
    missing = [it for it in KEYS if it not in there]
    if missing:
        return f"{', '.join(missing)} {'is' if len(missing) == 1 else 'are'} not there"
    authorities = {
        (it.get("data") or {})["ca.crt"] for it in live if "ca.crt" in it.get("data", {})
    }
    return "they are of several CAs" if len(authorities) > 1 else None


def older_than(pods: Iterable[Object], since: datetime | None) -> list[str]:
    """Names of the Pods that were started before ``since``."""
    if since is None:
        return []
    return [
        it["metadata"]["name"]
        for it in pods
        if not it["metadata"].get("deletionTimestamp")
        and datetime.fromisoformat(it["metadata"]["creationTimestamp"]) < since
    ]


def certificates_of(gateway: Object, listener: Object) -> list[tuple[str, str]]:
    """Namespace and name of the Secrets of one listener."""
    return [
        (it.get("namespace") or gateway["metadata"]["namespace"], it["name"])
        for it in (listener.get("tls") or {}).get("certificateRefs") or ()
        if it.get("kind", "Secret") == "Secret" and not it.get("group")
    ]


def is_final(line: str) -> bool:
    """
    Whether a condition says no and may stay so (see ``conditions.unmet``). One that is not reported
    is awaited, and so is an address, which a load balancer takes its time to give. That nobody
    takes an object up is the last word once everything else is.
    """
    refused = " is False: " in line or " is Unknown: " in line or ": not taken up by " in line
    return refused and not any(it in line for it in ("Address", "NoResources", "Pending"))


def applied_at(thing: Object, manager: str) -> datetime | None:
    """When ``manager`` last changed fields of an object by server-side apply, None where never."""
    for it in thing["metadata"].get("managedFields") or ():
        if it.get("manager") == manager and it.get("operation") == "Apply" and it.get("time"):
            return datetime.fromisoformat(it["time"])
    return None


def handshakes_fail(lines: Iterable[str]) -> bool:
    """Whether an HTTPS listener takes connections and completes no handshake."""
    signs = ("SSL", "EOF", "reset", "handshake")
    return any(" https://" in it and any(sign in it for sign in signs) for it in lines)
