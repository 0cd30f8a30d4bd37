"""Everything of a kind, whatever happens between two pages."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from pyinfra.api.exceptions import DeployError

from tasks.connectors.api import Api
from tasks.operations import emptying
from tasks.plans.resources import Resource
from tests.api_server import Answer, ApiServer, status

ROUTES = Resource("gateway.networking.k8s.io", "v1", "httproutes", "HTTPRoute", True)
PATH = ROUTES.path()
FIRST, SECOND = f"{PATH}?limit=500", f"{PATH}?limit=500&continue=more"


@pytest.fixture
def api(api_server: ApiServer) -> Iterator[Api]:
    kubeconfig = {**api_server.kubeconfig("weu-1"), "current-context": "weu-1"}
    found = Api(kubeconfig, 5.0)
    yield found
    found.close()


def page(*names: str, more: str = "") -> Answer:
    items = [{"metadata": {"name": it, "namespace": "shop"}} for it in names]
    return Answer(body={"metadata": {"continue": more}, "items": items or None})


def listed(api: Api) -> list[str]:
    return [it.title for it in emptying._listed(api, ROUTES)]


def test_all_pages_of_a_list(api: Api, api_server: ApiServer) -> None:
    api_server.answer("GET", FIRST, page("a", "b", more="more"))
    api_server.answer("GET", SECOND, page("c"))
    assert listed(api) == [f"HTTPRoute shop/{it}" for it in "abc"]
    assert {it.headers["accept"].partition(";")[2] for it in api_server.asked} == {
        "as=PartialObjectMetadataList;g=meta.k8s.io;v=v1"
    }


def test_a_list_that_grew_too_old_begins_anew(api: Api, api_server: ApiServer) -> None:
    api_server.answer("GET", FIRST, page("a", more="more"), page("a", "b"))
    api_server.answer("GET", SECOND, status(410, "expired"))
    assert listed(api) == ["HTTPRoute shop/a", "HTTPRoute shop/b"]


@pytest.mark.parametrize("code", [404, 405])
def test_a_kind_that_is_gone_has_no_objects(api: Api, api_server: ApiServer, code: int) -> None:
    api_server.answer("GET", FIRST, status(code, "no"))
    assert listed(api) == []


def test_a_kind_of_kubernetes_itself_is_never_gone(api: Api, api_server: ApiServer) -> None:
    pods = Resource("", "v1", "pods", "Pod", True)
    api_server.answer("GET", pods.path(), status(404, "the server could not find it"))
    with pytest.raises(DeployError) as refused:
        emptying._listed(api, pods)
    assert str(refused.value) == "GET /api/v1/pods: 404 the server could not find it"


def test_an_empty_list_is_null(api: Api, api_server: ApiServer) -> None:
    api_server.answer("GET", FIRST, page())
    assert listed(api) == []


def test_a_kind_that_cannot_be_read_is_no_absence(api: Api, api_server: ApiServer) -> None:
    api_server.answer("GET", FIRST, status(403, "forbidden"))
    with pytest.raises(DeployError) as refused:
        listed(api)
    assert str(refused.value) == f"GET {PATH}: 403 forbidden"
