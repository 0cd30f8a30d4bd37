"""Silences at an address, which a stand-in answers for."""

from __future__ import annotations

import pytest
from pyinfra.api.exceptions import DeployError

from tasks.operations import alertmanager
from tests.api_server import Answer, ApiServer, status

BODY = {"comment": "run x of anna@jump-1 changes weu-1"}
SILENCE = "/api/v2/silence/1f2e"


def address(server: ApiServer) -> str:
    return f"http://127.0.0.1:{server.port}/weu-1"


def asked(server: ApiServer) -> list[str]:
    return [f"{it.method} {it.path}" for it in server.asked]


def test_a_silence_is_made(api_server: ApiServer) -> None:
    api_server.answer("POST", "/api/v2/silences", Answer(body={"silenceID": "1f2e"}))
    assert alertmanager.silenced(address(api_server), BODY) == "1f2e"
    assert api_server.asked[0].body == BODY


@pytest.mark.parametrize(
    ("found", "calls"),
    [
        pytest.param(
            Answer(body={"status": {"state": "active"}}),
            [f"GET {SILENCE}", f"DELETE {SILENCE}"],
            id="active",
        ),
        pytest.param(
            Answer(body={"status": {"state": "expired"}}), [f"GET {SILENCE}"], id="has ended"
        ),
        pytest.param(status(404, "not found"), [f"GET {SILENCE}"], id="is not there"),
    ],
)
def test_a_silence_is_lifted_where_it_still_holds(
    api_server: ApiServer, found: Answer, calls: list[str]
) -> None:
    api_server.answer("GET", SILENCE, found)
    api_server.answer("DELETE", SILENCE, Answer(body={}))
    alertmanager.lifted(address(api_server), "1f2e")
    assert asked(api_server) == calls


@pytest.mark.parametrize(
    ("answer", "why"),
    [
        pytest.param(status(500, "no"), "POST /api/v2/silences: 500", id="it refuses"),
        pytest.param(Answer(body={}), "the answer is not Alertmanager's", id="somebody else"),
        pytest.param(
            Answer(302, headers=(("Location", "https://login.example.com"),)),
            "POST /api/v2/silences: 302",
            id="a page to sign in at",
        ),
        pytest.param(Answer(hang_up=True), "cannot be reached (ConnectionError)", id="hangs up"),
    ],
)
def test_what_went_wrong_is_one_line(api_server: ApiServer, answer: Answer, why: str) -> None:
    api_server.answer("POST", "/api/v2/silences", answer)
    with pytest.raises(DeployError) as caught:
        alertmanager.silenced(address(api_server), BODY)
    assert why in str(caught.value)
    assert "\n" not in str(caught.value)
