"""What a backup of a cluster holds, what it leaves out, and what a restore needs besides."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tasks.plans.helm import Release
from tasks.plans.objects import MANAGER, cleaned
from tasks.plans.public_ips import EXISTING, FROM_PREFIX
from tasks.plans.references import CERT_MANAGER, GROUPS, Reference, references, to
from tasks.plans.resources import Resource

Object = Mapping[str, Any]
#: One unit: a new one beside older ones is signed by another CA (Envoy Gateway 1.9 source,
#: internal/provider/kubernetes/secrets.go).
CONTROL_PLANE = ("envoy", "envoy-gateway", "envoy-oidc-hmac", "envoy-rate-limit")
CONFIGURATION = "envoy-gateway-config"
MONITORING = ("monitoring.coreos.com", "azmonitoring.coreos.com")
MONITORS = ("PodMonitor", "ServiceMonitor", "PrometheusRule")
OURS = f"app.kubernetes.io/managed-by={MANAGER}"
#: Policy and binding, by the chart's own name and by ours, see fleet.charts.
SAFE_UPGRADES = ("safe-upgrades.gateway.networking.k8s.io", "safe-upgrades.envoyfleet.dev")
#: What Kubernetes and Helm make themselves.
_TYPES = {
    "helm.sh/release.v1": "a record of Helm, which makes it anew",
    "kubernetes.io/service-account-token": "a token that another cluster does not know",
}
_OWNER = "gateway.envoyproxy.io/owning-gateway"
_PREFIX = "gateway.networking.k8s.io"
#: Owners of Secrets that have them from elsewhere, and the labels of those that set no owner
#: (docs of External Secrets, Sealed Secrets and of the Secrets Store CSI driver).
_VAULTS = ("ExternalSecret", "SealedSecret", "SecretProviderClass", "SecretProviderClassPodStatus")
_VAULT_LABELS = {
    "reconcile.external-secrets.io/managed": "External Secrets",
    "secrets-store.csi.k8s.io/managed": "the Secrets Store CSI driver",
}


def preferred(served: Iterable[Resource], groups: Sequence[str] = GROUPS) -> list[Resource]:
    """
    Every kind of these groups that can be listed, in the version that the server prefers: a kind
    that came with newer CRDs is kept too.
    """
    found: dict[tuple[str, str], Resource] = {}
    for it in served:
        if it.group in groups and "list" in it.verbs:
            found.setdefault((it.group, it.kind), it)
    return [found[it] for it in sorted(found)]


def definitions(served: Iterable[Resource]) -> list[str]:
    """The names of the CRDs of the groups, such as "gateways.gateway.networking.k8s.io"."""
    return sorted({f"{it.plural}.{it.group}" for it in served if it.group in GROUPS})


def controls(namespace: str) -> list[Reference]:
    """What the controller itself lives on, in its own namespace."""
    secrets = [Reference("", "Secret", namespace, name) for name in CONTROL_PLANE]
    return [*secrets, Reference("", "ConfigMap", namespace, CONFIGURATION)]


def configured(config: Any, namespace: str) -> list[Reference]:
    """What the controller's own configuration refers to, such as the certificates of a Redis."""
    thing = {
        "apiVersion": "gateway.envoyproxy.io/v1alpha1",
        "kind": "EnvoyGateway",
        "metadata": {"name": CONFIGURATION, "namespace": namespace},
        "spec": config if isinstance(config, Mapping) else {},
    }
    return references(thing)


def why_left_out(thing: Object) -> str | None:
    """Why an object is not kept, or None where it is."""
    meta = thing["metadata"]
    for it in meta.get("ownerReferences") or ():
        if it["kind"] in ("Gateway", "GatewayClass"):
            return f"made by Envoy Gateway for {it['kind']} {it['name']}"
    if (meta.get("labels") or {}).get("app.kubernetes.io/managed-by") == "envoy-gateway":
        return "made by Envoy Gateway"
    return _TYPES.get(str(thing.get("type"))) if thing["kind"] == "Secret" else None


def content(thing: Object) -> bytes:
    """
    The file of an object: as it is, without what the server owns, so that it can be applied
    elsewhere.
    """
    kept = cleaned(thing) or {}
    if thing["kind"] == "Namespace":
        kept.pop("spec", None)  # its finalizers are the server's
    return json.dumps(kept, sort_keys=True, separators=(",", ":")).encode()


def definition(crd: Object) -> dict[str, Any]:
    """
    What the manifest says of a CRD: {"name": ..., "served": ["v1"], "stored": ["v1"], "bundle":
    "v1.6.1", "channel": "experimental"}.
    """
    notes = crd["metadata"].get("annotations") or {}
    return {
        "name": crd["metadata"]["name"],
        "served": [it["name"] for it in crd["spec"]["versions"] if it["served"]],
        "stored": list((crd.get("status") or {}).get("storedVersions") or ()),
        "bundle": notes.get(f"{_PREFIX}/bundle-version"),
        "channel": notes.get(f"{_PREFIX}/channel"),
    }


def release_entry(release: Release | None, values: bool) -> dict[str, Any] | None:
    """What the manifest says of the Helm release. + values: whether theirs may be in it"""
    if release is None:
        return None
    return {
        "release": release.name,
        "namespace": release.namespace,
        "chart": release.chart,
        "version": release.chart_version,
        "revision": release.revision,
        "values": dict(release.values) if values else None,
    }


def address_entries(objects: Iterable[Object], services: Iterable[Object]) -> list[dict[str, Any]]:
    """
    How each Gateway is reached: {"gateway": "edge/public", "addresses": ["20.1.2.3"], "service":
    "envoy-gateway-system/envoy-edge-public-1a2b3c4d", "annotations": {...}}; without a Service
    where Envoy Gateway has made none.
    """
    by_owner = {owner: it for it in services for owner in _owners(it)}
    found = []
    for gateway in objects:
        if gateway["kind"] != "Gateway":
            continue
        name = to(gateway)
        service = by_owner.get((name.namespace, name.name)) or by_owner.get(
            (None, gateway["spec"].get("gatewayClassName"))
        )
        meta = service["metadata"] if service else {}
        given = (gateway.get("status") or {}).get("addresses") or ()
        found.append(
            {
                "gateway": f"{name.namespace}/{name.name}",
                "addresses": [it["value"] for it in given if it.get("value")],
                "service": f"{meta['namespace']}/{meta['name']}" if meta else None,
                "annotations": dict(meta.get("annotations") or {}),
            }
        )
    return found


def _owners(service: Object) -> list[tuple[str | None, str]]:
    labels = service["metadata"].get("labels") or {}
    if labels.get(f"{_OWNER}-name"):
        return [(labels.get(f"{_OWNER}-namespace"), labels[f"{_OWNER}-name"])]
    merged = labels.get(f"{_OWNER}class")
    return [(None, merged)] if merged else []


def needs(objects: Sequence[Object], addresses: Iterable[Mapping[str, Any]]) -> list[str]:
    """What a restore of these objects needs that is not in the archive, a line each."""
    found = []
    for it in objects:
        if it["kind"] == "Secret":
            found += _from_a_vault(it)
        elif it["apiVersion"].startswith(f"{CERT_MANAGER}/") and it["kind"] != "Certificate":
            found.append(f"{to(it).title}: cert-manager, and what it signs with")
        elif it["kind"] == "Gateway":
            wanted = [one.get("value") for one in it["spec"].get("addresses") or ()]
            found += [
                f"{to(it).title}: the address {one}, which it asks for" for one in wanted if one
            ]
        for other in references(it):
            if other.group not in ("", *GROUPS, CERT_MANAGER):
                found.append(f"{other.title} ({other.group}): {to(it).title} refers to it")
    for about in addresses:
        notes = about["annotations"]
        found += [
            f"Gateway {about['gateway']}: {name.partition('/')[2]} {notes[name]}"
            for name in (*EXISTING, *FROM_PREFIX.values())
            if name in notes
        ]
    return list(dict.fromkeys(found))


def _from_a_vault(secret: Object) -> list[str]:
    meta = secret["metadata"]
    makers = [
        f"{it['kind']} {it['name']}"
        for it in meta.get("ownerReferences") or ()
        if it["kind"] in _VAULTS
    ] or [name for label, name in _VAULT_LABELS.items() if label in (meta.get("labels") or {})]
    again = "it is kept as it was, and made again from there"
    return [f"{to(secret).title}: made by {makers[0]}: {again}"] if makers else []


def kinds_of(paths: Iterable[str]) -> Counter[str]:
    """How many files of each kind, by their paths in the archive: {"Gateway": 3, "Secret": 7}."""
    return Counter(it.split("/")[1] for it in paths)


def tree_paths(paths: Iterable[str]) -> dict[str, str]:
    """
    Where the readable tree has the files of an archive: {"core/Service/demo/blue.json":
    "Service/demo/blue.yaml"}. CRDs are none of it, they come with the chart; kinds of one name in
    two groups have the group behind it.
    """
    found: dict[str, tuple[str, str, str]] = {}
    groups: dict[str, set[str]] = {}
    for path in paths:
        group, kind, rest = path.split("/", 2)
        groups.setdefault(kind, set()).add(group)
        if kind != "CustomResourceDefinition":
            found[path] = (group, kind, f"{rest.removesuffix('.json')}.yaml")
    return {
        path: f"{kind}.{group}/{rest}" if len(groups[kind]) > 1 else f"{kind}/{rest}"
        for path, (group, kind, rest) in found.items()
    }
