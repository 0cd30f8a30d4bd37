"""Ports of a Pod through an API server that speaks the port forward's own protocol."""

from __future__ import annotations

import pytest

from tasks.connectors.api import Api, ApiError
from tasks.connectors.forward import forwarded
from tests.port_forward import forwarding


def open_and_close(api: Api) -> None:
    with forwarded(api, "eg", "envoy-1", [80]):
        pass


def test_several_ports_over_one_request() -> None:
    with forwarding() as (api, heads):
        with forwarded(api, "eg", "envoy-1", [10080, 81, 10080]) as forward:
            for stream, text in ((forward.sockets[0], b"one"), (forward.sockets[2], b"two")):
                stream.sendall(text)
                assert stream.recv(10) == text.upper()
            assert forward.sockets[1].recv(10) == b""
            assert forward.refused == {1: "connection refused"}
        assert len(heads) == 1
    path = "/api/v1/namespaces/eg/pods/envoy-1/portforward?ports=10080&ports=81&ports=10080"
    assert heads[0].startswith(f"GET {path} ")
    assert "authorization: Bearer t0p-s3cret" in heads[0]


def test_an_answer_that_nobody_waits_for() -> None:
    with forwarding() as (api, _), forwarded(api, "eg", "envoy-1", [1, 2]) as forward:
        forward.sockets[0].sendall(b"x")
        forward.sockets[0].close()
        forward.sockets[1].sendall(b"y")
        assert forward.sockets[1].recv(1) == b"Y"


@pytest.mark.parametrize("status", [403, 404])
def test_refused(status: int) -> None:
    with forwarding(status=status) as (api, _):
        with pytest.raises(ApiError, match="pods is forbidden") as error:
            open_and_close(api)
        assert error.value.status == status


def test_nobody_there() -> None:
    with forwarding() as (api, _):
        pass
    with pytest.raises(ApiError, match="Connection refused") as error:
        open_and_close(api)
    assert error.value.status == 0
