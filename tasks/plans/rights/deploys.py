"""
The rights of each deploy on a cluster: what its runs ask for, and what they need besides where
something rare happens, with the reason. docs/rights.md is made of this table, and so are the roles
that ``python -m tasks.rights`` prints; tests/lab/test_rights.py holds both against the audit log of
an API server.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import replace

from tasks.plans.permissions import Right
from tasks.plans.rights import parts
from tasks.plans.rights.places import Places

Part = Callable[[Places], list[Right]]


def sometimes(reason: str, *those: Part) -> Part:
    """Parts that few runs need."""

    def part(at: Places) -> list[Right]:
        return [replace(it, rare=reason) for one in those for it in one(at)]

    return part


def anywhere(*those: Part) -> Part:
    """Parts on a cluster that has no namespace yet to put a Role into."""

    def part(at: Places) -> list[Right]:
        return [replace(it, namespace=None) for one in those for it in one(at)]

    return part


DIFFERS = "an object of the inventory differs, or is not there yet"
UNWELL = "something is not well, or refers to one"
THERE = "Envoy Gateway is there already"
_ALL = (parts.connecting,)
_CHANGING = (*_ALL, parts.lease)
_WRITING = sometimes(DIFFERS, parts.objects, parts.remembering)
_RELEASE = (
    *_CHANGING,
    parts.controller,
    parts.around,
    parts.proving,
    parts.workloads,
    parts.alerts,
    parts.helm,
)
_BACKED_UP = (*_RELEASE, parts.reading, parts.records, parts.backup)
_COMPARING = (
    *_CHANGING,
    parts.reading,
    parts.backup,
    parts.records,
    parts.proving,
    parts.comparing,
    _WRITING,
)
_EMPTY = (
    *_CHANGING,
    parts.records,
    parts.controller,
    parts.definitions,
    parts.helm,
    parts.hooks,
    parts.new_release,
    parts.namespace,
    parts.restoring,
    sometimes("asked for before the first write, as of every restore", parts.around),
)

DEPLOYS: Mapping[str, tuple[Part, ...]] = {
    "status": (*_ALL, parts.table),
    "doctor": _ALL,
    "diagnose": (*_ALL, parts.evidence, sometimes(UNWELL, parts.details)),
    "support_bundle": (*_ALL, parts.evidence, parts.details, parts.records),
    "runbook": (
        *_ALL,
        parts.evidence,
        sometimes(UNWELL, parts.details),
        sometimes("a cure was approved", parts.lease, parts.curing),
    ),
    "certificates": (*_ALL, parts.served),
    "public_ips": (*_ALL, parts.addresses),
    "history": (*_ALL, parts.comparing, parts.records),
    "verify": (),
    "backup": (*_ALL, parts.backup, parts.lease_read),
    "crds": (
        *_CHANGING,
        parts.namespace,
        parts.definitions,
        parts.around,
        sometimes(THERE, parts.backup, parts.records),
    ),
    "install": (
        *_RELEASE,
        parts.hooks,
        parts.new_release,
        parts.namespace,
        parts.definitions,
        parts.objects,
        parts.objects_there,
        sometimes(
            THERE,
            parts.reading,
            parts.records,
            parts.backup,
            parts.remembering,
            parts.going_back,
        ),
    ),
    "upgrade": (
        *_BACKED_UP,
        parts.hooks,
        parts.definitions,
        parts.going_back,
        sometimes("the new chart has an object that the old one had not", parts.new_release),
        _WRITING,
        sometimes(parts.FAILED, parts.bringing_back),
    ),
    "rollback": (
        *_BACKED_UP,
        parts.going_back,
        sometimes("objects of the chart are gone", parts.hooks, parts.new_release),
        sometimes("objects of the inventory were changed with it", parts.bringing_back),
    ),
    "gateways": (
        *_COMPARING,
        sometimes(parts.LEFT, parts.pruning),
        sometimes(parts.FAILED, parts.bringing_back),
    ),
    "adopt": (*_ALL, parts.kinds, sometimes("take is true", *_COMPARING)),
    "dynamic_routing": (*_COMPARING, parts.resolving),
    "restore": (
        *_BACKED_UP,
        sometimes("the controller is not there", parts.hooks, parts.new_release, parts.namespace),
        sometimes("CRDs are not there, or older", parts.definitions),
        parts.restoring,
    ),
    "drill": (anywhere(*_EMPTY), parts.emptying),
    "rehearse": (
        anywhere(*_EMPTY, parts.proving, parts.workloads, parts.going_back),
        parts.emptying,
    ),
    "rotate_certificates": (*_CHANGING, parts.handshakes, parts.renewing),
    "rotate_control_plane": (*_CHANGING, parts.alerts, parts.authority),
    "issuers": (*_CHANGING, parts.handshakes, parts.issuing),
    "monitoring": (*_CHANGING, parts.monitors),
    "reserve_public_ip": (*_COMPARING, parts.addresses),
}


#: Verbs that nobody asks with: who holds all rights of a role may write it without them.
UNASKED = ("escalate", "bind")
FORWARDED = "pods/portforward"


def before_writing(at: Places, moving: Collection[str] = ()) -> list[Right]:
    """
    What an upgrade must be allowed before its first write: what every run needs, the objects of the
    inventory, and the way back.

    + moving: resources whose objects are stored anew
    """
    every = [it for it in of("upgrade", at) if not it.rare]
    asked = [
        *[it for it in every if it.verb not in UNASKED and it.resource != FORWARDED],
        *parts.objects(at),
        *parts.going_back(at),
        *[Right("patch", it) for it in (parts.CRDS_STATUS, *moving)],
    ]
    return list(dict.fromkeys(asked))


def to_ask_proxies(at: Places) -> list[Right]:
    """What a run can do without: proxies are then not probed one by one."""
    return [it for it in parts.proving(at) if it.resource == FORWARDED]


def of(deploy: str, at: Places) -> list[Right]:
    """
    What one deploy does, and nothing more; each right once. One that is needed always comes before
    the rare ones.
    """
    every = [right for part in DEPLOYS[deploy] for right in part(at)]
    return list(dict.fromkeys(sorted(every, key=lambda it: bool(it.rare))))
