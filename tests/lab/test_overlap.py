"""
Two listeners with one wildcard certificate, on a real proxy: what an HTTP/2 client meets, what is
found from the objects of the cluster, and that the cure which is proposed ends it. Beside them a
Gateway with the same certificate and an address of its own, of which nothing is said.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from tasks.checks import overlap as checks
from tasks.operations import coalescing, cures
from tasks.plans import chains
from tasks.plans.listeners import Listener, of_gateways
from tasks.plans.overlap import Answers, Overlap, Pair, overlaps
from tasks.plans.x509 import Certificate
from tests import authorities
from tests.lab.fleet import NEW, Fleet, opened
from tests.lab.running import until

pytestmark = pytest.mark.lab

SPACE = "overlap"
A, B, C = (f"{it}.overlap.test" for it in "abc")
GATEWAY = {"group": "gateway.networking.k8s.io", "kind": "Gateway", "name": "both"}


#: Of somebody who wants HTTP/2 all the same.
POLICY: dict[str, Any] = {
    "apiVersion": "gateway.envoyproxy.io/v1alpha1",
    "kind": "ClientTrafficPolicy",
    "metadata": {"name": "both", "namespace": SPACE},
    "spec": {"targetRefs": [GATEWAY], "tls": {"alpnProtocols": ["h2", "http/1.1"]}},
}


@dataclass(frozen=True)
class Cluster:
    """One cluster of the lab, read and changed by kubectl."""

    fleet: Fleet
    name: str

    def kubectl(self, *arguments: str, things: list[dict[str, Any]] | None = None) -> str:
        listed = {"apiVersion": "v1", "kind": "List", "items": things}
        text = json.dumps(listed) if things else None
        space = () if "-n" in arguments else ("-n", SPACE)
        return self.fleet.lab.kubectl("--context", self.name, *space, *arguments, text=text)

    def objects(self, kind: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(self.kubectl("get", kind, "-o", "json"))["items"]
        return found

    def found(self) -> tuple[list[Overlap], dict[Listener, list[Certificate]]]:
        """What the audit makes of the objects that are there."""
        every = of_gateways(
            self.name,
            self.objects("gateway"),
            routes=self.objects("httproute"),
            policies=self.objects("clienttrafficpolicy"),
        )
        held = {}
        for it in self.objects("secret"):
            pem = base64.b64decode(it["data"]["tls.crt"])
            held[it["metadata"]["name"]] = list(chains.read(pem, None).certificates)
        served = {it: held[it.secrets[0].name] for it in every}
        return overlaps(every, served), served


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    fleet = opened(tmp_path_factory.mktemp("overlap"))
    first = Cluster(fleet, fleet.names[0])
    at = ("--data", f'envoy_gateway_version="{fleet.version(first.name) or NEW}"')
    ended = fleet.pyinfra("install", "-y", "--limit", first.name, *at)
    assert ended.code == 0, ended.text
    gateway_class = fleet.kubectl(first.name, "get", "gatewayclass", "-o", "name").strip()
    first.kubectl("apply", "-f", "-", things=[*objects(gateway_class.rpartition("/")[2])])
    yield first
    first.kubectl("delete", "gateway", "--all")
    fleet.kubectl(first.name, "delete", "namespace", SPACE)


def objects(gateway_class: str) -> Iterator[dict[str, Any]]:
    yield {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}}
    begin = (datetime.now(UTC) - authorities.NOW).days - 1
    made = authorities.issued("overlap", ["*.overlap.test"], begin=begin, end=begin + 30)
    parts = {"tls.crt": made.pem, "tls.key": made.key_pem()}
    yield {
        "apiVersion": "v1",
        "kind": "Secret",
        "type": "kubernetes.io/tls",
        "metadata": {"name": "wildcard", "namespace": SPACE},
        "data": {key: base64.b64encode(it).decode() for key, it in parts.items()},
    }
    for name, hosts in (("both", (A, B)), ("apart", (C,))):
        listeners = [listener(it) for it in hosts]
        yield thing("Gateway", name, {"gatewayClassName": gateway_class, "listeners": listeners})
        for host in hosts:
            yield from answering(host, name)


def thing(kind: str, name: str, spec: dict[str, Any]) -> dict[str, Any]:
    own = kind == "HTTPRouteFilter"
    group = "gateway.envoyproxy.io/v1alpha1" if own else "gateway.networking.k8s.io/v1"
    meta = {"name": name, "namespace": SPACE}
    return {"apiVersion": group, "kind": kind, "metadata": meta, "spec": spec}


def listener(host: str) -> dict[str, Any]:
    refs = [{"name": "wildcard"}]
    tls = {"mode": "Terminate", "certificateRefs": refs}
    return {"name": host[0], "port": 443, "protocol": "HTTPS", "hostname": host, "tls": tls}


def answering(host: str, gateway: str) -> Iterator[dict[str, Any]]:
    """A route of one listener that answers by itself."""
    body = {"type": "Inline", "inline": host}
    yield thing("HTTPRouteFilter", host[0], {"directResponse": {"statusCode": 200, "body": body}})
    ref = {"group": "gateway.envoyproxy.io", "kind": "HTTPRouteFilter", "name": host[0]}
    rule = {"filters": [{"type": "ExtensionRef", "extensionRef": ref}]}
    parent = {"name": gateway, "sectionName": host[0]}
    yield thing("HTTPRoute", host[0], {"parentRefs": [parent], "rules": [rule]})


def address(cluster: Cluster) -> str:
    """Of the Gateway with both listeners, "" where it has none yet."""
    for it in cluster.objects("gateway"):
        if it["metadata"]["name"] == "both" and it.get("status", {}).get("addresses"):
            return str(it["status"]["addresses"][0]["value"])
    return ""


def meets(cluster: Cluster, wanted: Answers) -> None:
    """Wait until a client meets this that asks for a, and then for b as browsers do."""
    both = [Listener(cluster.name, "", "", it[0], 443, it, (), "", ()) for it in (A, B)]
    pair = Pair(both[0], A, both[1], B, "*.overlap.test")
    seen: list[Answers] = []

    def as_wanted() -> bool:
        where = address(cluster)
        seen[:] = [coalescing.ask(pair, where)] if where else []
        return seen == [wanted]

    try:
        until("the answers", as_wanted)
    except AssertionError as error:
        raise AssertionError(f"{error}: {seen}, not {wanted}") from error


def proposed(cluster: Cluster, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[Path]:
    """The manifests that are written for what is found: one listener for all, and 421."""
    monkeypatch.chdir(folder)
    gateways, routes = ({cluster.name: cluster.objects(kind)} for kind in ("gateway", "httproute"))
    (names,) = cures.write(*cluster.found(), gateways, routes).values()
    assert names == ("merged-overlap-both-443-a.yaml", "misdirected-overlap-both-443-a.yaml")
    return [folder / "rendered" / cluster.name / "overlap" / it for it in names]


def test_envoy_gateway_falls_back_to_http_1_1(cluster: Cluster) -> None:
    meets(cluster, Answers("http/1.1", True, 200, None, 200))
    (finding,) = checks.findings(cluster.found()[0])
    assert (finding.code, finding.where.text) == (
        "GW651",
        f"{cluster.name}: Gateway overlap/both, port 443 of overlap/both",
    )


@pytest.mark.nightly  # the controller is started twice
def test_421_is_met_and_told(
    cluster: Cluster, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster.kubectl("apply", "-f", "-", things=[POLICY])
    meets(cluster, Answers("h2", True, 200, 404, 200))
    _, misdirected = proposed(cluster, tmp_path, monkeypatch)
    try:
        configured(cluster, "extensionApis: {}", "extensionApis: {enableEnvoyPatchPolicy: true}")
        cluster.kubectl("apply", "-f", str(misdirected))
        meets(cluster, Answers("h2", True, 200, 421, 200))
        found, _ = cluster.found()
        (finding,) = checks.findings(found, coalescing.ask_all(found))
        assert (finding.code, finding.severity) == ("GW652", "info")
    finally:
        cluster.kubectl("delete", "envoypatchpolicy", "--all")
        configured(cluster, "extensionApis: {enableEnvoyPatchPolicy: true}", "extensionApis: {}")


def configured(cluster: Cluster, before: str, after: str) -> None:
    """Change the controller's configuration, and start it with that."""
    place = ("-n", "envoy-gateway-system")
    live = json.loads(
        cluster.kubectl(*place, "get", "configmap", "envoy-gateway-config", "-o", "json")
    )
    live["data"] = {key: it.replace(before, after) for key, it in live["data"].items()}
    cluster.kubectl(*place, "replace", "-f", "-", things=[live])
    cluster.kubectl(*place, "rollout", "restart", "deployment/envoy-gateway")
    cluster.kubectl(*place, "rollout", "status", "deployment/envoy-gateway", "--timeout=240s")


def audited(cluster: Cluster) -> list[dict[str, Any]]:
    """What the audit of certificates says of overlaps on this cluster."""
    ended = cluster.fleet.pyinfra("certificates", "--limit", cluster.name, "--data", "output=json")
    findings = json.loads(ended.out)["findings"]
    return [it for it in findings if it["code"].startswith("GW65")]


def test_the_404_is_found_by_the_audit_and_cured_by_what_it_proposes(cluster: Cluster) -> None:
    cluster.kubectl("apply", "-f", "-", things=[POLICY])
    meets(cluster, Answers("h2", True, 200, 404, 200))
    (finding,) = audited(cluster)
    assert (finding["code"], finding["object"]) == ("GW650", "Gateway overlap/both")
    assert finding["what"] == (
        "2 listeners with one certificate for *.overlap.test: a request for b.overlap.test on an "
        "HTTP/2 connection for a.overlap.test comes to Gateway overlap/both, listener a: 404, the "
        "route is behind Gateway overlap/both, listener b (tried: 200, then 404; 200 on a "
        "connection of its own)"
    )
    merged = "merged-overlap-both-443-a.yaml"
    assert merged in finding["fix"]

    folder = cluster.fleet.folder / "rendered" / cluster.name / "overlap"
    cluster.kubectl("replace", "-f", str(folder / merged))
    meets(cluster, Answers("h2", True, 200, 200, 200))
    assert audited(cluster) == []
