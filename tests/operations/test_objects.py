"""Many objects at once: listed in pages, written in batches of which every write is tried."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.api.exceptions import OperationError
from pyinfra.context import ctx_host

from tasks.connectors.api import Api
from tasks.operations import objects
from tasks.plans.resources import Resource
from tests.api_server import Answer, ApiServer, status

ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", True)
SECRETS = Resource("", "v1", "secrets", "Secret", True)
PATH = "/apis/gateway.networking.k8s.io/v1/httproutes"
ONE = f"/apis/{ROUTES.api_version}/namespaces/shop/httproutes/cart"
CART: dict[str, Any] = {
    "apiVersion": ROUTES.api_version,
    "kind": "HTTPRoute",
    "metadata": {"name": "cart", "namespace": "shop"},
    "spec": {"hostnames": ["a"]},
}


@contextmanager
def cluster(server: ApiServer) -> Iterator[Api]:
    """The cluster that operations find behind the current host."""
    api = Api({**server.kubeconfig("weu-1"), "current-context": "weu-1"}, 10)
    here = SimpleNamespace(connector=SimpleNamespace(api=api, last_error="of before"))
    with ctx_host.use(here):
        yield api


def page(*names: str, rest: str | None = None) -> Answer:
    items = [{"metadata": {"name": it}} for it in names]
    meta = {"continue": rest} if rest else {}
    version = ROUTES.api_version
    body = {"apiVersion": version, "kind": "HTTPRouteList", "metadata": meta, "items": items}
    return Answer(body=body)


def names(server: ApiServer, *places: tuple[Resource, str | None]) -> list[str]:
    with cluster(server):
        return [it["metadata"]["name"] for it in objects.listed(places)]


def test_all_pages_of_a_list(api_server: ApiServer) -> None:
    api_server.answer("GET", PATH, page("a", rest="more"), page("b"))
    assert names(api_server, (ROUTES, None), (ROUTES, None)) == ["a", "b"]
    asked = [it.path.partition("?")[2] for it in api_server.asked]
    assert asked == ["limit=500", "limit=500&continue=more"]


def test_a_list_that_grew_too_old_is_read_once_more(api_server: ApiServer) -> None:
    gone = status(410, "The provided continue parameter is too old")
    api_server.answer("GET", PATH, page("a", rest="more"), gone, page("a", "b"))
    assert names(api_server, (ROUTES, None)) == ["a", "b"]


def test_what_is_not_served_has_no_objects(api_server: ApiServer) -> None:
    assert names(api_server, (ROUTES, None)) == []


def test_records_of_helm_stay_on_the_server(api_server: ApiServer) -> None:
    names(api_server, (SECRETS, "shop"))
    [asked] = api_server.asked
    assert asked.path == (
        "/api/v1/namespaces/shop/secrets?limit=500&fieldSelector=type%21%3Dhelm.sh/release.v1"
    )


def test_a_list_that_cannot_be_read_is_no_empty_one(api_server: ApiServer) -> None:
    api_server.answer("GET", PATH, status(403, "httproutes is forbidden"))
    with pytest.raises(OperationError) as raised:
        names(api_server, (ROUTES, None))
    assert str(raised.value) == (
        f"the objects that are there cannot be read: GET {PATH}: 403 httproutes is forbidden"
    )


def test_a_batch_tries_every_write_and_names_what_was_refused(api_server: ApiServer) -> None:
    api_server.answer("PATCH", ONE, status(422, "spec.hostnames is wrong"))
    secret = "/api/v1/namespaces/shop/secrets/tls"
    api_server.answer("PATCH", secret, status(422, "Invalid value: dDBwLXMzY3JldA=="))
    good = f"{ONE}-2"
    api_server.answer("PATCH", good, Answer(body=CART))
    refused: list[str] = []
    with cluster(api_server) as api:
        writes = [
            ("HTTPRoute shop/cart", lambda api: objects.applied(api, ONE, CART)),
            ("Secret shop/tls", lambda api: objects.applied(api, secret, CART)),
            ("HTTPRoute shop/cart-2", lambda api: objects.applied(api, good, CART)),
        ]
        host = SimpleNamespace(connector=SimpleNamespace(api=api, last_error="of before"))
        assert objects.Batch(writes, refused).execute(None, host, {})[0]
    assert host.connector.last_error is None
    assert sorted(refused) == [
        "HTTPRoute shop/cart: refused by the API server: 422 spec.hostnames is wrong",
        "Secret shop/tls: refused by the API server: status 422",
    ]
    assert len(api_server.asked) == 3


def test_apply_takes_fields_over(api_server: ApiServer) -> None:
    api_server.answer("PATCH", ONE, Answer(body=CART))
    with cluster(api_server) as api:
        assert objects.applied(api, ONE, CART) == CART
    [asked] = api_server.asked
    assert asked.path == f"{ONE}?fieldManager=envoyfleet&force=true&fieldValidation=Warn"
    assert asked.headers["content-type"] == "application/apply-patch+yaml"


def test_replace_keeps_finalizers_and_tries_again_where_somebody_was_faster(
    api_server: ApiServer,
) -> None:
    def live(version: str) -> dict[str, Any]:
        meta = {"resourceVersion": version, "finalizers": ["theirs"], "labels": {"a": "b"}}
        return {**CART, "metadata": {**CART["metadata"], **meta}, "status": {}}

    api_server.answer("PUT", ONE, status(409, "modified"), Answer(body=CART))
    api_server.answer("GET", ONE, Answer(body=live("2")))
    with cluster(api_server) as api:
        objects.replaced(api, ONE, CART, live("1"))
    puts = [it.body["metadata"] for it in api_server.asked if it.method == "PUT"]
    assert puts == [
        {**CART["metadata"], "resourceVersion": it, "finalizers": ["theirs"]} for it in ("1", "2")
    ]


def test_what_is_gone_already_is_deleted(api_server: ApiServer) -> None:
    with cluster(api_server) as api:
        objects.deleted(api, ONE)
    assert [it.method for it in api_server.asked] == ["DELETE"]
