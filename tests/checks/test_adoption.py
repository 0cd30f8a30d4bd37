"""What did not come into an inventory, and what came otherwise."""

from __future__ import annotations

from typing import Any

from tasks.checks.adoption import findings
from tasks.plans.references import Reference

Object = dict[str, Any]
EG = "gateway.envoyproxy.io"


def key(kind: str, name: str) -> Reference:
    return Reference(EG, kind, "edge", name)


def thing(it: Reference, **meta: Any) -> Object:
    about = {"name": it.name, "namespace": it.namespace, **meta}
    return {"apiVersion": f"{EG}/v1alpha1", "kind": it.kind, "metadata": about, "spec": {}}


def test_what_is_not_as_it_was_and_what_was_left() -> None:
    same, other, lost = (key("SecurityPolicy", it) for it in ("same", "other", "lost"))
    more, proxy = key("SecurityPolicy", "more"), key("EnvoyProxy", "own")
    live = {it: thing(it) for it in (same, other, lost, proxy)}
    container = {"image": "envoy:1"}
    kubernetes = {"envoyDeployment": {"container": container}}
    live[proxy]["spec"] = {"provider": {"kubernetes": kubernetes}}
    kept = thing(key("Backend", "kept"), labels={"app.kubernetes.io/managed-by": "Helm"})
    unused = thing(key("Backend", "unused"))
    found = findings("weu-1", live, [same, other, more, proxy], {same, proxy}, [kept, unused])
    fix = "compare it with its file, and correct that by hand"
    assert [it.text for it in found] == [
        "warning GW340 weu-1: SecurityPolicy edge/other: is rendered otherwise than it is: " + fix,
        "warning GW340 weu-1: SecurityPolicy edge/lost: is not rendered: " + fix,
        "warning GW343 weu-1: EnvoyProxy edge/own: names an image of Envoy, envoy:1: an upgrade "
        "would not replace it: take it out of the EnvoyProxy, and set images.envoy in the "
        "inventory",
        "warning GW340 weu-1: SecurityPolicy edge/more: is rendered, and the cluster does not have "
        "it: take it out of the inventory, or let deploys/gateways.py create it",
        "info GW341 weu-1: Backend edge/kept: a Helm release keeps it: leave it there, or take it "
        "out of there first, without having it deleted",
        "info GW342 weu-1: Backend edge/unused: no Gateway of this controller uses it: delete it, "
        "or leave it to whoever does",
    ]
