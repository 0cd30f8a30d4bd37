"""
A cluster with Envoy Gateway on the stand-in API server: what a real one answers, cut down to what
is read.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Mapping, Sequence
from typing import Any

from tasks.plans.kinds import KINDS
from tests.api_server import Answer, ApiServer

Object = dict[str, Any]
NAMESPACE = "envoy-gateway-system"
CONTROLLER = "gateway.envoyproxy.io/gatewayclass-controller"
LEADER = "5b9825d2.gateway.envoyproxy.io"
REVIEWS = "/apis/authorization.k8s.io/v1"
ADMINISTRATOR = [{"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"]}]


def with_envoy_gateway(
    server: ApiServer,
    name: str,
    *,
    crds: Sequence[Mapping[str, Any]],
    release: Object,
    objects: Sequence[Object] = (),
    deployments: Sequence[Object] | None = None,
    lease: Object | None = None,
    rules: Sequence[Object] = ADMINISTRATOR,
    renewed: str = "2099-01-01T00:00:00.000000Z",
) -> None:
    """
    + crds: whole; + release: its newest record, see ``record``
    + objects: of the Gateway API and Envoy Gateway, and kubernetes.io/tls Secrets
    + lease: envoyfleet's own; + rules: of whoever asks; + renewed: when the controller last led
    """

    def answer(method: str, path: str, body: Any) -> None:
        server.answer(method, path, Answer(body=body), cluster=name)

    server.cluster(name)
    base = f"/api/v1/namespaces/{NAMESPACE}/secrets"
    record_name = release["metadata"]["name"]
    answer("GET", base, listed("v1", "Secret", [{"metadata": release["metadata"]}]))
    answer("GET", f"{base}/{record_name}", release)
    definitions = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
    metadata = [{"metadata": it["metadata"]} for it in crds]
    partial = {"apiVersion": "meta.k8s.io/v1", "kind": "PartialObjectMetadataList"}
    answer("GET", definitions, {**partial, "items": metadata})
    for it in crds:
        stored = [v["name"] for v in it["spec"]["versions"] if v["storage"]]
        whole = {"metadata": it["metadata"], "status": {"storedVersions": stored}}
        answer("GET", f"{definitions}/{it['metadata']['name']}", whole)
    answer("GET", "/apis", {"items": [_group(it) for it in crds]})
    for it in crds:
        _answer_lists(answer, it, objects)
    for namespace in {it["metadata"]["namespace"] for it in objects if it["kind"] == "Secret"}:
        secrets = [it for it in objects if it["metadata"].get("namespace") == namespace]
        secrets = [it for it in secrets if it["kind"] == "Secret"]
        answer("GET", f"/api/v1/namespaces/{namespace}/secrets", listed("v1", "Secret", secrets))
    workloads = [controller(), proxies()] if deployments is None else list(deployments)
    answer("GET", "/apis/apps/v1/deployments", listed("apps/v1", "Deployment", workloads))
    leases = f"/apis/coordination.k8s.io/v1/namespaces/{NAMESPACE}/leases"
    spec = {"holderIdentity": "envoy-gateway-1_2", "renewTime": renewed}
    answer("GET", f"{leases}/{LEADER}", {"metadata": {"name": LEADER}, "spec": spec})
    if lease is not None:
        answer("GET", f"{leases}/envoyfleet", lease)
    review = {"status": {"resourceRules": list(rules), "incomplete": False}}
    answer("POST", f"{REVIEWS}/selfsubjectrulesreviews", review)
    answer("POST", f"{REVIEWS}/selfsubjectaccessreviews", {"status": {"allowed": False}})


def _answer_lists(answer: Any, crd: Mapping[str, Any], objects: Sequence[Object]) -> None:
    group, kind = crd["spec"]["group"], crd["spec"]["names"]["kind"]
    things = [it for it in objects if it["kind"] == kind]
    for version in crd["spec"]["versions"]:
        if version["served"]:
            api = f"{group}/{version['name']}"
            path = f"/apis/{api}/{crd['spec']['names']['plural']}"
            answer("GET", path, listed(api, kind, things))


def _group(crd: Mapping[str, Any]) -> Object:
    versions = [
        {"version": it["name"], "resources": [{"resource": crd["spec"]["names"]["plural"]}]}
        for it in crd["spec"]["versions"]
        if it["served"]
    ]
    return {"metadata": {"name": crd["spec"]["group"]}, "versions": versions}


def listed(api_version: str, kind: str, items: Sequence[Object]) -> Object:
    return {"apiVersion": api_version, "kind": f"{kind}List", "metadata": {}, "items": list(items)}


def record(
    version: str,
    values: Mapping[str, Any],
    templates: Mapping[str, bytes],
    defaults: Mapping[str, Any],
    status: str = "deployed",
    changed: str = "2026-11-21T10:00:00.123456789Z",
) -> Object:
    """Revision 1 of release eg, as Helm keeps it."""
    document = {
        "name": "eg",
        "namespace": NAMESPACE,
        "version": 1,
        "info": {"status": status, "last_deployed": changed},
        "chart": {
            "metadata": {"name": "chart", "version": version, "appVersion": f"v{version}"},
            "templates": [
                {"name": name, "data": base64.b64encode(data).decode()}
                for name, data in templates.items()
            ],
            "values": defaults,
        },
        "config": values,
        "manifest": "",
    }
    packed = gzip.compress(json.dumps(document).encode())
    return {
        "metadata": {
            "name": "sh.helm.release.v1.eg.v1",
            "namespace": NAMESPACE,
            "resourceVersion": "1",
            "labels": {"owner": "helm", "name": "eg", "version": "1", "status": status},
        },
        "data": {"release": base64.b64encode(base64.b64encode(packed)).decode()},
    }


def crd(group: str, kind: str, schema: Any, *versions: str, **marks: Any) -> Object:
    """+ versions: all served, the first one stored; + marks: more metadata"""
    plural = KINDS[group, kind].plural
    return {
        "apiVersion": "apiextensions.k8s.io/v1",
        "kind": "CustomResourceDefinition",
        "metadata": {"name": f"{plural}.{group}", "generation": 1, **marks},
        "spec": {
            "group": group,
            "names": {"kind": kind, "plural": plural},
            "versions": [
                {
                    "name": it,
                    "served": True,
                    "storage": it == versions[0],
                    "schema": {"openAPIV3Schema": schema},
                }
                for it in versions
            ],
        },
    }


def _workload(name: str, labels: Mapping[str, str], replicas: int) -> Object:
    containers = [{"name": "main", "image": "docker.io/x/y:v1"}]
    return {
        "metadata": {"name": name, "namespace": NAMESPACE, "generation": 1, "labels": labels},
        "spec": {"replicas": replicas, "template": {"spec": {"containers": containers}}},
        "status": {
            "observedGeneration": 1,
            "replicas": replicas,
            "updatedReplicas": replicas,
            "availableReplicas": replicas,
        },
    }


def controller(release: str = "eg") -> Object:
    labels = {"app.kubernetes.io/name": "gateway-helm", "app.kubernetes.io/instance": release}
    return _workload("envoy-gateway", labels, 2)


def proxies(replicas: int = 2) -> Object:
    """Those of Gateway edge/public."""
    labels = {
        "app.kubernetes.io/name": "envoy",
        "app.kubernetes.io/component": "proxy",
        "gateway.envoyproxy.io/owning-gateway-namespace": "edge",
        "gateway.envoyproxy.io/owning-gateway-name": "public",
    }
    return _workload("envoy-edge-public-1", labels, replicas)


def _conditions(**status: str) -> list[Object]:
    return [
        {"type": key, "status": it, "reason": "Why", "message": "", "observedGeneration": 1}
        for key, it in status.items()
    ]


def gateway_class() -> Object:
    return {
        "kind": "GatewayClass",
        "metadata": {"name": "envoy", "generation": 1},
        "spec": {"controllerName": CONTROLLER},
        "status": {"conditions": _conditions(Accepted="True")},
    }


def gateway(name: str = "public", programmed: str = "True", secret: str = "tls") -> Object:
    listener = {
        "name": "https",
        "port": 443,
        "protocol": "HTTPS",
        "tls": {"certificateRefs": [{"kind": "Secret", "name": secret}]},
    }
    well = _conditions(Accepted="True", ResolvedRefs="True", Programmed="True")
    return {
        "kind": "Gateway",
        "metadata": {"name": name, "namespace": "edge", "generation": 1},
        "spec": {"gatewayClassName": "envoy", "listeners": [listener]},
        "status": {
            "conditions": _conditions(Accepted="True", Programmed=programmed),
            "listeners": [{"name": "https", "attachedRoutes": 1, "conditions": well}],
            "addresses": [{"value": "10.0.0.1"}],
        },
    }


def route(kind: str, name: str, rules: Sequence[Object]) -> Object:
    parent = {"name": "public", "namespace": "edge"}
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "demo", "generation": 1},
        "spec": {"parentRefs": [parent], "rules": list(rules)},
        "status": {
            "parents": [
                {
                    "controllerName": CONTROLLER,
                    "parentRef": parent,
                    "conditions": _conditions(Accepted="True", ResolvedRefs="True"),
                }
            ]
        },
    }


def policy(kind: str, name: str, spec: Object) -> Object:
    return {
        "kind": kind,
        "metadata": {"name": name, "namespace": "edge", "generation": 1},
        "spec": spec,
    }
