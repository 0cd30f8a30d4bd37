"""A second node: what is its own, and what stays the cluster's."""

from pathlib import Path

import pytest

from tasks.lab import catalogue, manifests, metrics, network, ratelimit, users
from tasks.lab.catalogue import NAMES
from tasks.lab.state import Cluster, Lab, SecondNode

FIRST = Cluster("lab", 1, 200)
SECOND = SecondNode("lab", 1, 200)


def test_addresses_of_nodes_do_not_meet() -> None:
    nodes = [it for n in range(1, 16) for it in (Cluster("lab", n, 200), SecondNode("lab", n, 200))]
    for name in ("name", "namespace", "link", "node_address", "pod_range", "root"):
        assert len({getattr(it, name) for it in nodes}) == len(nodes), name
    assert max(len(it.link) for it in nodes) <= 15


def test_a_second_node_is_of_the_same_cluster() -> None:
    assert (SECOND.name, SECOND.server) == ("lab-1-2", FIRST.server)
    assert SECOND.home == FIRST.root
    assert SECOND.load_balancer_range == FIRST.load_balancer_range
    assert users.kubelet(SECOND).name == "system:node:lab-1-2"
    assert users.kubelet(SECOND) in users.users(FIRST)


def test_nodes_of_a_cluster() -> None:
    assert Lab("lab", 200).nodes_of(FIRST) == [FIRST]
    assert Lab("lab", 200, two_nodes=True).nodes_of(FIRST) == [FIRST, SECOND]


def test_namespaces_of_a_lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also those of second nodes, and of no lab whose name begins the same."""
    names = [FIRST.namespace, SECOND.namespace, "envoyfleet-lab2-1", "envoyfleet-lab-x"]
    for it in names:
        (tmp_path / it).touch()
    monkeypatch.setattr(network, "NAMESPACES", tmp_path)
    assert network.namespaces("lab") == [FIRST.namespace, SECOND.namespace]


def test_metrics_server_has_an_image_and_can_be_applied() -> None:
    program, image = metrics.parts()
    assert (program.name, image.name) == ("metrics-server", "image-metrics-server")
    others = catalogue.parts(tuple(catalogue.ENVOY))
    assert not {program.name, image.name} & {it.name for it in others}
    loaded = manifests.load("metrics-server.yaml", image=NAMES.metrics_server)
    assert all(manifests.path_of(it) for it in loaded)


def test_redis_and_the_rate_limit_service_have_images_and_can_be_applied() -> None:
    made = {it.name for it in ratelimit.parts()}
    assert made == {"ratelimit", "redis", "image-ratelimit", "image-redis"}
    assert not made & {it.name for it in catalogue.parts(tuple(catalogue.ENVOY))}
    loaded = manifests.load("redis.yaml", image=NAMES.redis)
    assert [manifests.path_of(it).rpartition("/")[2] for it in loaded] == ["shared", *2 * ["redis"]]
    name, namespace, _ = ratelimit.ADDRESS.split(".")
    assert (loaded[1]["metadata"]["name"], loaded[1]["metadata"]["namespace"]) == (name, namespace)
