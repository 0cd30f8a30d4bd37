"""Objects that are stored anew, against an API server that pages, forgets and refuses."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from pyinfra.api.exceptions import OperationError

from tasks import crds
from tasks.connectors.api import Api
from tests.api_server import Answer, ApiServer, status

ROOT = "/apis/gateway.networking.k8s.io/v1"
CRD = {
    "metadata": {"name": "tcproutes.gateway.networking.k8s.io"},
    "spec": {
        "group": "gateway.networking.k8s.io",
        "names": {"plural": "tcproutes", "kind": "TCPRoute"},
        "versions": [{"name": "v1", "served": True, "storage": True}],
    },
}


@pytest.fixture
def api(api_server: ApiServer) -> Iterator[Api]:
    for name in ("one", "two"):
        api_server.answer("PATCH", path(name), Answer())
    config = {**api_server.kubeconfig("weu-1"), "current-context": "weu-1"}
    found = Api(config, timeout=20)
    yield found
    found.close()


def path(name: str) -> str:
    return f"{ROOT}/namespaces/demo/tcproutes/{name}"


def page(*names: str, then: str = "") -> Answer:
    things: Any = [{"metadata": {"name": it, "namespace": "demo"}} for it in names]
    return Answer(body={"metadata": {"continue": then}, "items": things or None})


def asked(api_server: ApiServer) -> list[str]:
    return [f"{it.method} {it.path}" for it in api_server.asked]


def test_every_object_of_every_page_gets_a_patch_that_says_nothing(
    api_server: ApiServer, api: Api
) -> None:
    api_server.answer("GET", f"{ROOT}/tcproutes", page("one", then="more"), page("two"))
    assert crds._rewritten(api, CRD) == 2
    assert asked(api_server) == [
        f"GET {ROOT}/tcproutes?limit=500",
        f"PATCH {path('one')}?fieldManager=envoyfleet",
        f"GET {ROOT}/tcproutes?limit=500&continue=more",
        f"PATCH {path('two')}?fieldManager=envoyfleet",
    ]
    assert [it.body for it in api_server.asked if it.method == "PATCH"] == [{}, {}]
    assert all("PartialObjectMetadata" in it.headers["accept"] for it in api_server.asked)


def test_no_objects(api_server: ApiServer, api: Api) -> None:
    api_server.answer("GET", f"{ROOT}/tcproutes", page())
    assert crds._rewritten(api, CRD) == 0


def test_an_object_that_is_gone_needs_nothing(api_server: ApiServer, api: Api) -> None:
    api_server.answer("GET", f"{ROOT}/tcproutes", page("one", "gone"))
    assert crds._rewritten(api, CRD) == 2


def test_a_list_that_grew_too_old_begins_anew(api_server: ApiServer, api: Api) -> None:
    answers = (page("one", then="more"), status(410, "too old"), page("one", "two"))
    api_server.answer("GET", f"{ROOT}/tcproutes", *answers)
    assert crds._rewritten(api, CRD) == 2


def test_an_object_that_is_refused_is_named(api_server: ApiServer, api: Api) -> None:
    api_server.answer("GET", f"{ROOT}/tcproutes", page("one", "two"))
    api_server.answer("PATCH", path("two"), status(422, "spec.rules: Too many"))
    with pytest.raises(OperationError) as refused:
        crds._rewritten(api, CRD)
    assert str(refused.value) == (
        "TCPRoute demo/two cannot be stored as v1: 422 spec.rules: Too many: correct or delete "
        "it, then run again"
    )


def test_a_list_that_is_refused_is_one_line(api_server: ApiServer, api: Api) -> None:
    api_server.answer("GET", f"{ROOT}/tcproutes", status(403, "may not list"))
    with pytest.raises(OperationError) as refused:
        crds._rewritten(api, CRD)
    assert str(refused.value) == (
        "CustomResourceDefinition tcproutes.gateway.networking.k8s.io: 403 may not list"
    )
