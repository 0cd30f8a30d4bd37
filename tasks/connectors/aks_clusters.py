"""The AKS clusters of subscriptions: listed once a run, chosen by entries, asked again at gates."""

from __future__ import annotations

import sys
from collections.abc import Collection
from functools import cache

from tasks.connectors.arm import ArmError, session
from tasks.plans import aks, entries
from tasks.plans.aks import ManagedCluster
from tasks.plans.arm import FLEET_MEMBERS, SUBSCRIPTIONS, group_id, list_of, parse
from tasks.plans.entries import Entry, Subscription

#: Seconds for which a list says whether Azure changes a cluster.
FRESH = 60.0


def managed(subscription: str) -> list[ManagedCluster]:
    """The AKS clusters of a subscription, listed once a run. Raises ArmError."""
    listed = session().listed(*list_of(subscription, "managedClusters"))
    return [aks.managed_cluster(it) for it in listed]


def states(ids: Collection[str]) -> dict[str, str]:
    """
    The provisioningState of AKS clusters by id, not older than FRESH seconds; where Azure does not
    answer, as the run listed them, and a line says so.
    """
    by_id: dict[str, str] = {}
    for subscription in sorted({parse(it).subscription.lower() for it in ids}):
        path, version = list_of(subscription, "managedClusters")
        try:
            listed = session().relisted(path, version, FRESH)
        except ArmError as error:
            print(f"whether Azure changes clusters is as old as this run: {error}", file=sys.stderr)
            listed = session().listed(path, version)
        by_id |= {it.id: it.state for it in map(aks.managed_cluster, listed)}
    return {it: by_id[it] for it in ids if it in by_id}


def found(wanted: Entry) -> tuple[Subscription, list[ManagedCluster]]:
    """
    The clusters that an entry asks for and that run, with their subscription; a line for each that
    is stopped. Raises ValueError and ArmError, in one line.
    """
    known = session().listed("/subscriptions", SUBSCRIPTIONS.api_version)
    subscription = _subscription(wanted.subscription, entries.subscriptions(known))
    listed = managed(subscription.id)
    members = {it: _members(subscription.id, it) for it in wanted.fleets}
    chosen = entries.chosen(wanted, listed, members)
    running = [it for it in chosen if not aks.stopped(it)]
    for line in filter(None, map(aks.stopped, chosen)):
        _say(line)
    if not running:
        raise ValueError("all of its clusters are stopped: az aks start, or correct the entry")
    return subscription, running


def _subscription(text: str, known: list[Subscription]) -> Subscription:
    """One that is not listed is asked for, where it is an id: Azure says why it is not."""
    try:
        return entries.named(text, known)
    except ValueError:
        if not entries.is_id(text):
            raise
        managed(text)
        raise


def _members(subscription: str, fleet: str) -> frozenset[str]:
    """Ids of the clusters of "<group>/<fleet>", in lower case."""
    group, _, name = fleet.partition("/")
    kind, _, below = FLEET_MEMBERS.type.rpartition("/")
    path = f"{group_id(subscription, group)}/providers/{kind}/{name}/{below}"
    listed = session().listed(path, FLEET_MEMBERS.api_version)
    ids = ((it.get("properties") or {}).get("clusterResourceId") or "" for it in listed)
    return frozenset(it.lower() for it in ids)


@cache
def _say(line: str) -> None:
    """Once a run: pyinfra asks twice for each entry."""
    print(line, file=sys.stderr, flush=True)
