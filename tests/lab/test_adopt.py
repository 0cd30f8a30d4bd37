"""
A cluster that was made by hand comes into the inventory: nothing is lost on the way, and nothing of
it is touched until its objects are handed over, which no client notices.
"""

from __future__ import annotations

import json
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tasks.lab import state
from tasks.lab.api import Api
from tasks.plans.adoption import manifest
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API
from tasks.plans.references import to
from tests.lab.applying import apply
from tests.lab.fleet import Fleet, opened, traffic
from tests.lab.running import until
from tests.objects import objects

pytestmark = pytest.mark.lab

Object = dict[str, Any]
HAND = Path(__file__).parent / "handmade.yaml"
MADE = [it for it in yaml.safe_load_all(HAND.read_text()) if "/" in it["apiVersion"]]
#: Nobody serves its classes, so the objects of every field are looked at and served by none.
NOBODY = "lab.test/nobody"
PROXIES = "gateway.envoyproxy.io/owning-gateway-name=hand"


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Fleet]:
    """Envoy Gateway, and beside it what somebody made by hand."""
    found = opened(tmp_path_factory.mktemp("adopt"))
    cluster = ("--context", found.names[0])
    ended = found.pyinfra("install", "-y", "--limit", found.names[0])
    assert ended.code == 0, ended.text
    try:
        found.lab.kubectl(*cluster, "apply", "-f", str(HAND))
        until("the Gateway to serve", lambda: "True" in programmed(found))
        yield found
    finally:
        found.lab.kubectl(*cluster, "delete", "-f", str(HAND), "--ignore-not-found", check=False)


def programmed(fleet: Fleet) -> str:
    path = "{.status.conditions[?(@.type=='Programmed')].status}"
    return fleet.kubectl(
        fleet.names[0], "get", "gateway", "hand", "-n", "hand", "-o", f"jsonpath={path}"
    )


def adopt(fleet: Fleet, *more: str, code: int = 0) -> Object:
    """What ``deploys/adopt.py`` says of the cluster; its folder is written anew."""
    shutil.rmtree(fleet.folder / "adopted", ignore_errors=True)
    asked = ("--limit", fleet.names[0], "--data", "output=json", *more)
    ended = fleet.pyinfra("adopt", *asked)
    assert ended.code == code, ended.text
    document: Object = json.loads(ended.out)
    return document


def adopted(fleet: Fleet) -> list[str]:
    """The keys that were written, as arguments of a run."""
    file = fleet.folder / "adopted" / fleet.names[0] / "inventory.py"
    said = {"gateways": [], "routes": [], **runpy.run_path(str(file))["adopted"]}
    return [word for key, it in said.items() for word in ("--data", f"{key}={json.dumps(it)}")]


def now(fleet: Fleet) -> dict[str, Object]:
    """By title, everything that was made by hand, as the cluster has it."""
    places = [(it["kind"].lower(), it["metadata"]) for it in MADE]
    found = {}
    for kind, meta in places:
        place = ("-n", meta["namespace"]) if "namespace" in meta else ()
        how = (*place, "--show-managed-fields", "-o", "json")
        answer = fleet.kubectl(fleet.names[0], "get", kind, meta["name"], *how)
        found[f"{kind}/{meta['name']}"] = json.loads(answer)
    return found


def proxies(fleet: Fleet) -> list[str]:
    place = ("pods", "-A", "-l", PROXIES, "-o", "jsonpath={.items[*].metadata.uid}")
    return fleet.kubectl(fleet.names[0], "get", *place).split()


def test_what_was_made_by_hand_renders_to_the_same(fleet: Fleet) -> None:
    before = now(fleet)
    [cluster] = adopt(fleet)["clusters"]
    kinds = {it["kind"] for it in MADE}
    assert len(kinds) >= 15
    assert cluster["equal"] == cluster["objects"]
    assert {it.partition(" ")[0] for it in cluster["in_files"]} == kinds
    # What the lab's own inventory made is said by keys.
    assert [it for it in cluster["in_keys"] if "public" in it or "demo" in it] == [
        "ClientTrafficPolicy edge/public",
        "Gateway edge/public",
        "HTTPRoute demo/blue",
        "HTTPRoute demo/green",
        "TCPRoute demo/echo",
    ]
    assert {key: it["metadata"]["resourceVersion"] for key, it in now(fleet).items()} == {
        key: it["metadata"]["resourceVersion"] for key, it in before.items()
    }
    again = fleet.pyinfra("adopt", "--limit", fleet.names[0])
    assert again.code == 1
    assert f"adopted/{fleet.names[0]} is there already: move it away" in again.text


def test_handed_over_nothing_changes_and_no_client_notices(fleet: Fleet) -> None:
    adopt(fleet)
    cluster, keys, before, served_by = fleet.names[0], adopted(fleet), now(fleet), proxies(fleet)
    path = "{.status.addresses[0].value}"
    place = ("gateway", "hand", "-n", "hand", "-o", f"jsonpath={path}")
    address = fleet.kubectl(cluster, "get", *place)
    with traffic(address, "one.hand.lab.test") as seen:
        ended = fleet.pyinfra("adopt", "-y", "--limit", cluster, "--data", "take=true", *keys)
        assert ended.code == 0, ended.text
        checked = fleet.pyinfra("gateways", "--limit", cluster, "--data", "check=true", *keys)
        assert checked.code == 0, checked.text
    assert (seen.failures, proxies(fleet)) == ([], served_by)
    assert seen.sent > 50
    after = now(fleet)
    assert {key: manifest(it) for key, it in after.items()} == {
        key: manifest(it) for key, it in before.items()
    }
    assert {key: it["metadata"].get("generation") for key, it in after.items()} == {
        key: it["metadata"].get("generation") for key, it in before.items()
    }
    taken_again = fleet.pyinfra("adopt", "-y", "--limit", cluster, "--data", "take=true", *keys)
    assert taken_again.code == 0, taken_again.text
    applied = fleet.pyinfra("gateways", "-y", "--limit", cluster, *keys)
    assert applied.code == 0, applied.text
    # Neither wrote; the controller may have written a status meanwhile.
    managers = {key: _written(it) for key, it in now(fleet).items()}
    assert managers == {key: _written(it) for key, it in after.items()}


def _written(thing: Object) -> list[Any]:
    entries = thing["metadata"]["managedFields"]
    return [(it["manager"], it.get("time")) for it in entries if not it.get("subresource")]


def test_what_the_inventory_says_then_happens(fleet: Fleet) -> None:
    """The one who made it by hand is no manager of it any more, so nothing is in conflict."""
    file = fleet.folder / "adopted" / fleet.names[0] / "objects/hand/httproute-one.yaml"
    file.write_text(file.read_text().replace("value: made", "value: kept"))
    ended = fleet.pyinfra("gateways", "-y", "--limit", fleet.names[0], *adopted(fleet))
    assert ended.code == 0, ended.text
    route = now(fleet)["httproute/one"]
    [header] = route["spec"]["rules"][0]["filters"][0]["responseHeaderModifier"]["set"]
    assert header == {"name": "x-hand", "value": "kept"}


def test_every_field_of_every_kind_comes_back(fleet: Fleet) -> None:
    """Objects with each field of a spec that the CRDs know; nobody serves them."""
    api = Api(state.running(fleet.lab.name).member(fleet.names[0]))
    things = [
        it
        for it in objects("1.9.1")
        if it["kind"] == "Namespace" or to(it).group in (GATEWAY_API, ENVOY_GATEWAY)
    ]
    for it in things:
        if it["kind"] == "GatewayClass":
            it["spec"]["controllerName"] = NOBODY
    try:
        apply(api, things)
        # These objects would not serve, and the checks of what is wanted say so.
        document = adopt(fleet, "--data", f"controller_name={NOBODY}", code=3)
    finally:
        delete = ("delete", "--ignore-not-found", "gatewayclass/every-field")
        fleet.kubectl(fleet.names[0], *delete, check=False)
        for name in ("gates", "shop", "keys"):
            fleet.kubectl(fleet.names[0], "delete", "namespace", name, "--ignore-not-found")
    [cluster] = document["clusters"]
    assert cluster["equal"] == cluster["objects"]
    mine = {to(it).title for it in things if it["kind"] != "Namespace"}
    assert set(cluster["in_files"]) <= mine
    left = {it["object"]: it["what"] for it in document["findings"] if it["object"] in mine}
    assert set(cluster["in_files"]) | set(left) >= mine, left
