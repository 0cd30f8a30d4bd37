"""One request to one API server: what is repeated, what is not, and what an operator is told."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from tasks.connectors.api import ATTEMPTS, ENDLESS, Api, ApiError, anew
from tasks.connectors.command import APPLY, METADATA_ONLY, Call
from tests.api_server import Answer, ApiServer, status

PATH = "/api/v1/namespaces/demo/services"


def call(method: str = "GET", body: Any = None, **query: str) -> Call:
    return Call(method, PATH, query, body, "application/json", None, frozenset())


def api_of(server: ApiServer, timeout: float = 10) -> Api:
    config = server.kubeconfig("weu-1")
    return Api({**config, "current-context": "weu-1"}, timeout)


def test_sends_method_query_body_and_token(api_server: ApiServer) -> None:
    api_server.answer("PATCH", PATH, Answer(body={"kind": "Service"}))
    apply = Call("PATCH", PATH, {"fieldManager": "us"}, {"a": 1}, APPLY, None, frozenset())
    assert api_of(api_server).text(apply) == '{"kind": "Service"}'
    [asked] = api_server.asked
    assert (asked.method, asked.path, asked.body) == ("PATCH", f"{PATH}?fieldManager=us", {"a": 1})
    assert asked.headers["authorization"] == "Bearer t0p-s3cret"
    assert asked.headers["content-type"] == APPLY


def test_asks_for_metadata_alone(api_server: ApiServer) -> None:
    api_server.answer("GET", PATH, Answer())
    api_of(api_server).text(Call("GET", PATH, {}, None, "", METADATA_ONLY, frozenset()))
    assert api_server.asked[0].headers["accept"] == METADATA_ONLY


@pytest.fixture
def pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The seconds that would have been slept."""
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    return slept


@pytest.mark.parametrize(
    ("method", "first", "pause"),
    [
        pytest.param("GET", status(429, "slow down", Retry_After="7"), 7.0, id="429 says when"),
        pytest.param("GET", status(429, "slow down"), 0.4, id="429"),
        pytest.param("PATCH", status(503, "etcd is away"), 0.4, id="503"),
        pytest.param("DELETE", Answer(hang_up=True), 0.4, id="connection closed"),
        pytest.param("GET", Answer(cut=True), 0.4, id="answer cut off"),
    ],
)
def test_repeats_what_may_be_repeated(
    api_server: ApiServer, pauses: list[float], method: str, first: Answer, pause: float
) -> None:
    api_server.answer(method, PATH, first, Answer(body={"ok": True}))
    assert api_of(api_server).text(call(method)) == '{"ok": true}'
    assert pauses == [pause]


@pytest.mark.parametrize(
    "answer",
    [
        pytest.param(status(500, "boom"), id="500"),
        pytest.param(status(503, "etcd is away"), id="503"),
        pytest.param(status(429, "too many requests"), id="429"),
        pytest.param(Answer(hang_up=True), id="connection closed"),
    ],
)
def test_never_repeats_a_post(api_server: ApiServer, answer: Answer) -> None:
    api_server.answer("POST", PATH, answer)
    with pytest.raises(ApiError):
        api_of(api_server).text(call("POST", {}))
    assert len(api_server.asked) == 1


@pytest.mark.parametrize("code", [400, 401, 403, 404, 409, 422, 500])
def test_does_not_repeat_what_will_not_change(api_server: ApiServer, code: int) -> None:
    api_server.answer("GET", PATH, status(code, "no"))
    with pytest.raises(ApiError):
        api_of(api_server).text(call())
    assert len(api_server.asked) == 1


def test_takes_whatever_somebody_behind_the_api_server_answers(api_server: ApiServer) -> None:
    """Alertmanager's list of silences, and what it says when one has ended."""
    silences = "/api/v1/namespaces/watch/services/http:alertmanager:9093/proxy/api/v2/silences"
    api_server.answer("GET", silences, Answer(body=[]))
    asked = Call("GET", silences, {}, None, "application/json", None, frozenset())
    assert api_of(api_server).text(asked) == "[]"
    api_server.answer("GET", PATH, Answer(body=[]))
    with pytest.raises(ApiError, match="the answer is cut off, or no API server's"):
        api_of(api_server).text(call())


def test_gives_up_in_the_end(api_server: ApiServer, pauses: list[float]) -> None:
    api_server.answer("GET", PATH, status(503, "etcd is away"))
    with pytest.raises(ApiError, match=r"^503 etcd is away$"):
        api_of(api_server).text(call())
    assert len(api_server.asked) == ATTEMPTS
    assert pauses == [0.4, 0.8, 1.6]


def test_does_not_wait_longer_than_it_may(api_server: ApiServer, pauses: list[float]) -> None:
    api_server.answer("GET", PATH, status(429, "slow down", Retry_After="60"))
    with pytest.raises(ApiError, match=r"^429 slow down$"):
        api_of(api_server).text(call())
    assert pauses == []


MESSAGES = [
    pytest.param(
        status(409, 'conflict with "kubectl": .spec.replicas'),
        '409 conflict with "kubectl": .spec.replicas',
        id="the server's own words",
    ),
    pytest.param(
        status(401, "Unauthorized"),
        "401 the credentials were not accepted: sign in again, or fetch them anew",
        id="what to do about 401",
    ),
    pytest.param(Answer(404, "no page", ()), "404 Not Found", id="a body that is no Status"),
    pytest.param(Answer(500, {"message": None}), "500 Internal Server Error", id="no message"),
    pytest.param(
        status(429, "slow down", Retry_After="Wed, 21 Oct 2026 07:28:00 GMT"),
        "429 slow down",
        id="Retry-After is a date",
    ),
    pytest.param(
        Answer(hang_up=True),
        "RemoteDisconnected: Remote end closed connection without response",
        id="connection closed",
    ),
]


@pytest.mark.parametrize(("answer", "message"), MESSAGES)
def test_says_what_went_wrong(api_server: ApiServer, answer: Answer, message: str) -> None:
    api_server.answer("POST", PATH, answer)
    with pytest.raises(ApiError) as error:
        api_of(api_server).text(call("POST", {}))
    assert str(error.value) == message


def test_a_port_where_nobody_listens(api_server: ApiServer, pauses: list[float]) -> None:
    config = {**api_server.kubeconfig("weu-1"), "current-context": "weu-1"}
    config["clusters"] = [{"name": "weu-1", "cluster": {"server": "http://127.0.0.1:9"}}]
    with pytest.raises(ApiError) as error:
        Api(config, timeout=10).text(call())
    assert str(error.value) == "ConnectionRefusedError: Connection refused"
    assert error.value.status == 0
    assert len(pauses) == ATTEMPTS - 1


DRIPPING = """
from gevent import monkey
monkey.patch_all()
import json, sys
from tasks.connectors.api import Api, ApiError
config = json.loads(sys.argv[1])
try:
    Api({**config, "current-context": "weu-1"}, 1).json("GET", "/dripping")
except ApiError as error:
    print(error.status, error)
"""


def test_a_server_that_drips_is_left_in_time(api_server: ApiServer) -> None:
    api_server.answer("GET", "/dripping", Answer(body="x" * 1000, drip=0.1))
    done = subprocess.run(  # gevent's time limit needs its patches, which are for a whole process
        [sys.executable, "-c", DRIPPING, json.dumps(api_server.kubeconfig("weu-1"))],
        capture_output=True,
        text=True,
        timeout=50,  # all of it takes 100 s
        check=True,
    )
    assert done.stdout == "0 TimeoutError: no answer within 1 s\n"


def test_says_that_a_plugin_is_not_there_or_did_not_sign_in(
    api_server: ApiServer, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    """The client alone would go on as nobody, and be told that system:anonymous may not."""

    def refused(command: str) -> str:
        config = api_server.kubeconfig("weu-1")
        beta = "client.authentication.k8s.io/v1"
        config["users"][0]["user"] = {"exec": {"apiVersion": beta, "command": command}}
        with pytest.raises(ApiError) as refused:
            Api({**config, "current-context": "weu-1"}, 10)
        return str(refused.value)

    assert refused("no-such-kubelogin") == (
        "the kubeconfig signs in with no-such-kubelogin, which is not installed: install it, or "
        "convert the kubeconfig"
    )
    plugin = tmp_path / "kubelogin"
    plugin.write_text("#!/bin/sh\necho 'Error: run az login' >&2\nexit 1\n")
    plugin.chmod(0o755)
    assert refused(str(plugin)) == (
        f"{plugin} did not sign in: exec: process returned 1. Error: run az login"
    )
    assert (api_server.asked, capfd.readouterr()) == ([], ("", ""))


def page(*names: str, then: str = "") -> Answer:
    items = [{"metadata": {"name": it}} for it in names]
    return Answer(body={"metadata": {"continue": then}, "items": items or None})


def listed(server: ApiServer, *answers: Answer) -> list[str]:
    """The names in all pages of a list."""
    server.answer("GET", PATH, *answers)
    api = api_of(server)
    return anew(
        lambda: [it["metadata"]["name"] for page in api.pages(PATH) for it in page["items"]]
    )


FORGOTTEN = status(410, "The provided continue parameter is too old")
PARTS = [page("a", then="1"), page(then="2"), page("b")]


@pytest.mark.parametrize(
    ("answers", "names", "asked"),
    [
        pytest.param([page()], [], [""], id="an empty list is null"),
        pytest.param(PARTS, ["a", "b"], ["", "1", "2"], id="a page without an object between two"),
        pytest.param(
            [page("a", then="1"), FORGOTTEN, page("b", then="2"), page("c")],
            ["b", "c"],
            ["", "1", "", "2"],
            id="all of one moment",
        ),
    ],
)
def test_all_pages_of_a_list(
    api_server: ApiServer, answers: list[Answer], names: list[str], asked: list[str]
) -> None:
    assert listed(api_server, *answers) == names
    queries = [it.path.partition("?")[2] for it in api_server.asked]
    assert queries == [f"limit=500&continue={it}" if it else "limit=500" for it in asked]


NO_LIST = "no list of objects: is it an API server's answer?"


@pytest.mark.parametrize(
    ("answers", "message", "requests"),
    [
        pytest.param([page("a", then="1"), page("b", then="1")], ENDLESS, 2, id="the same again"),
        pytest.param(
            [page(then=it) for it in ("1", "2", "1")], ENDLESS, 3, id="two in turn for ever"
        ),
        pytest.param(
            [FORGOTTEN], "410 The provided continue parameter is too old", ATTEMPTS, id="always 410"
        ),
        pytest.param([status(403, "no")], "403 no", 1, id="forbidden"),
        pytest.param([Answer(body={"items": [{}]})], NO_LIST, 1, id="an item without metadata"),
        pytest.param([Answer(body={"items": {"a": 1}})], NO_LIST, 1, id="items that are no list"),
    ],
)
def test_pages_that_are_refused_or_never_end(
    api_server: ApiServer, answers: list[Answer], message: str, requests: int
) -> None:
    with pytest.raises(ApiError) as refused:
        listed(api_server, *answers)
    assert (str(refused.value), len(api_server.asked)) == (message, requests)


def test_pages_that_are_new_for_ever(
    api_server: ApiServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("tasks.connectors.api.MOST_PAGES", 3)
    with pytest.raises(ApiError, match="do not end"):
        listed(api_server, *(page("a", then=str(it)) for it in range(9)))
    assert len(api_server.asked) == 4
