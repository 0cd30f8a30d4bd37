"""
What deploys/issuers.py refuses and what it leaves as it is, through the real command line, on
clusters that a stand-in API server answers for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from tests.api_server import Answer, ApiServer
from tests.command_line import CommandLine
from tests.fleet.test_run import Case, prepared

GATEWAYS = "/apis/gateway.networking.k8s.io/v1"
CERT_MANAGER = "/apis/cert-manager.io/v1"
DEPLOYMENTS = "/apis/apps/v1/deployments"
ISSUER = {"name": "le", "http01": {"gateway": "edge/public"}}
ENTRY = {
    "namespace": "edge",
    "secret": "shop-tls",
    "source": "cert-manager",
    "issuer": "ClusterIssuer le",
}
DATA = {
    "envoy_gateway_version": "1.9.1",
    "ring": 0,
    "issuers": [ISSUER],
    "certificates": [ENTRY],
}


def served(*groups: tuple[str, str, Sequence[str]]) -> dict[str, Any]:
    """Aggregated discovery of such as ("cert-manager.io", "v1", ["certificates"])."""
    return {
        "items": [
            {
                "metadata": {"name": group},
                "versions": [{"version": version, "resources": [{"resource": it} for it in those]}],
            }
            for group, version, those in groups
        ]
    }


def listed(kind: str, *things: Mapping[str, Any], api: str = "v1") -> dict[str, Any]:
    return {"apiVersion": api, "kind": f"{kind}List", "items": list(things)}


def thing(name: str, namespace: str | None = "edge", **more: Any) -> dict[str, Any]:
    return {"metadata": {"name": name, "namespace": namespace}, **more}


ALL = served(
    ("cert-manager.io", "v1", ["certificates", "clusterissuers"]),
    ("gateway.networking.k8s.io", "v1", ["gatewayclasses", "gateways", "httproutes"]),
)
LISTENERS = [
    {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "shop.example.com"},
    {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "hostname": "shop.example.com",
        "tls": {"certificateRefs": [{"name": "shop-tls"}]},
    },
]
OURS = thing(
    "envoy", None, spec={"controllerName": "gateway.envoyproxy.io/gatewayclass-controller"}
)
GOOD: dict[str, Any] = {
    "/apis": ALL,
    DEPLOYMENTS: listed("Deployment", api="apps/v1"),
    f"{GATEWAYS}/gatewayclasses": listed("GatewayClass", OURS),
    f"{GATEWAYS}/gateways": listed(
        "Gateway", thing("public", spec={"gatewayClassName": "envoy", "listeners": LISTENERS})
    ),
    f"{GATEWAYS}/httproutes": listed("HTTPRoute"),
    "/api/v1/namespaces": listed("Namespace"),
    "/api/v1/namespaces/edge/secrets": listed("Secret"),
    f"{CERT_MANAGER}/certificates": listed("Certificate"),
}


def controller(*arguments: str) -> dict[str, Any]:
    spec = {
        "containers": [{"args": list(arguments)}],
        "volumes": [{"name": "config", "configMap": {"name": "cert-manager"}}],
    }
    template = {"metadata": {}, "spec": spec}
    return thing("cert-manager", "cert-manager", spec={"template": template})


def configured(text: str) -> dict[str, Any]:
    return {
        DEPLOYMENTS: listed("Deployment", controller("--config=/c"), api="apps/v1"),
        "/api/v1/namespaces/cert-manager/configmaps/cert-manager": {"data": {"config.yaml": text}},
    }


OFF = (
    "Deployment cert-manager/cert-manager: cert-manager does not use the Gateway API: start it "
    "with --enable-gateway-api (chart: config.enableGatewayAPI), for http01"
)


@dataclass(frozen=True)
class Target:
    """+ says: of its row; + here: answers in place of GOOD's"""

    says: str
    here: Mapping[str, Any] = field(default_factory=dict)
    data: Mapping[str, Any] = field(default_factory=dict)


TARGETS = {
    "no-cert-manager": Target(
        "cert-manager is not installed (no CRD certific",
        {"/apis": served(("apps", "v1", ["deployments"]))},
    ),
    "off": Target(OFF, configured("enableGatewayAPI: false")),
    "no-yaml": Target(OFF, configured("{")),
    "no-gateway": Target(
        "ClusterIssuer le: Gateway edge/public does not exist, or is another controller's: run "
        "deploys/install.py first, or correct http01.gateway",
        {f"{GATEWAYS}/gateways": listed("Gateway")},
        {"certificates": []},
    ),
    "unused": Target(
        "Secret edge/second: no listener with a host name uses it: set names",
        data={"certificates": [{**ENTRY, "secret": "second"}]},
    ),
    "of-others": Target(
        "Secret edge/shop-tls: Certificate edge/other keeps it, and two would undo each other: "
        "delete that, or take the certificate out of the inventory",
        {
            f"{CERT_MANAGER}/certificates": listed(
                "Certificate", thing("other", spec={"secretName": "shop-tls"})
            )
        },
    ),
    "other-name": Target(
        "ClusterIssuer le: a.example.com: no HTTP listener on port 80 of Gateway edge/public takes "
        "this name: widen its hostname, or add a listener",
        data={"certificates": [{**ENTRY, "names": ["a.example.com"]}]},
    ),
}


@dataclass(frozen=True)
class Ran:
    code: int
    text: str
    writes: Sequence[str]


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine) -> Iterator[Ran]:
    """One run over all of them."""
    folder = tmp_path_factory.mktemp("issuers") / "clone"
    folder.mkdir()
    with ApiServer().running() as server:
        entries = [(f"@kube/{name}", {**DATA, **it.data}) for name, it in TARGETS.items()]
        prepared(folder, Case("", [], inventory=f"clusters = {entries!r}"), server)
        for name, target in TARGETS.items():
            server.cluster(name)
            for path, body in {**GOOD, **target.here}.items():
                server.answer("GET", path, Answer(body=body), cluster=name)
        kubeconfig = server.write_kubeconfig(folder / "kubeconfig", *TARGETS)
        arguments = ["inventory/prod.py", "deploys/issuers.py", "-y", "--data", "max_failed=6"]
        outcome = command_line.run(folder, arguments, KUBECONFIG=str(kubeconfig))
        writes = [f"{it.cluster}: {it.method} {it.path}" for it in server.asked]
        yield Ran(
            outcome.code,
            "\n".join(outcome.lines),
            [it for it in writes if ": GET " not in it],
        )


@pytest.mark.parametrize("name", TARGETS)
def test_says_so_in_its_row(ran: Ran, name: str) -> None:
    [row] = [it for it in ran.text.splitlines() if it.startswith(f"{name} 0 ")]
    assert f"failed {TARGETS[name].says}" in row


def test_nothing_was_written(ran: Ran) -> None:
    assert (ran.code, list(ran.writes)) == (1, [])
    assert "Traceback" not in ran.text


@pytest.mark.parametrize(
    ("data", "line"),
    [
        pytest.param(
            {"certificates": [{**ENTRY, "names": ["*.example.com"]}]},
            "weu-1: Secret edge/shop-tls: ClusterIssuer le cannot prove *.example.com: a wildcard "
            "needs dns01, and it has http01 alone: add dns01 to the issuer, or write single names",
            id="a wildcard by http01",
        ),
        pytest.param(
            {"issuers": [{**ISSUER, "ca": "authority.pem"}]},
            "weu-1: issuer le: ca: authority.pem: No such file or directory",
            id="no such file",
        ),
        pytest.param(
            {"issuers": [{**ISSUER, "ca": "config.py"}]},
            "weu-1: issuer le: ca: config.py holds no PEM certificate",
            id="no certificate in it",
        ),
    ],
)
def test_refused_before_any_cluster_is_touched(
    data: dict[str, Any],
    line: str,
    command_line: CommandLine,
    api_server: ApiServer,
    tmp_path: Path,
) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    api_server.cluster("weu-1")
    inventory = f"clusters = [('@kube/weu-1', {DATA | data!r})]"
    kubeconfig = prepared(folder, Case("", [], inventory=inventory), api_server)
    arguments = ["inventory/prod.py", "deploys/issuers.py", "-y"]
    outcome = command_line.run(folder, arguments, KUBECONFIG=str(kubeconfig))
    assert outcome.code == 2
    assert outcome.lines[0] == line
    assert all(it.path in ("/version", "/api/v1/namespaces/kube-system") for it in api_server.asked)
