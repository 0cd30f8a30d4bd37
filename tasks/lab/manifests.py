"""Applying the lab's own manifests, the files in ``manifests/``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.lab.api import Api, ApiError, Object
from tasks.lab.progress import wait_for

FOLDER = Path(__file__).parent / "manifests"

_RBAC = "/apis/rbac.authorization.k8s.io/v1"
_OPERATOR = "/apis/monitoring.coreos.com/v1/namespaces/{namespace}"

# kind -> where the API server keeps it
PATHS = {
    "APIService": "/apis/apiregistration.k8s.io/v1/apiservices",
    "Alertmanager": f"{_OPERATOR}/alertmanagers",
    "ClusterRole": f"{_RBAC}/clusterroles",
    "ClusterRoleBinding": f"{_RBAC}/clusterrolebindings",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Namespace": "/api/v1/namespaces",
    "Prometheus": f"{_OPERATOR}/prometheuses",
    "RoleBinding": f"{_RBAC}/namespaces/{{namespace}}/rolebindings",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Service": "/api/v1/namespaces/{namespace}/services",
    "ServiceMonitor": f"{_OPERATOR}/servicemonitors",
}
DEFINITION = {"kind": "CustomResourceDefinition"}


def load(file: str, **values: str) -> list[Object]:
    """The objects of a file; ``${name}`` in it is replaced by the value of that name."""
    import string

    import yaml

    text = string.Template((FOLDER / file).read_text()).substitute(values)
    return [one for one in yaml.safe_load_all(text) if one]


def parsed(file: Path) -> list[Object]:
    """The objects of a file of many; the quick parser, where there is one, for CRDs are long."""
    import yaml

    class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
        """Reads a bare ``=`` as text, as all others do: the operator's CRDs have one."""

    Loader.add_constructor("tag:yaml.org,2002:value", Loader.construct_scalar)
    return [one for one in yaml.load_all(file.read_text(), Loader) if one]


def path_of(manifest: Mapping[str, Any]) -> str:
    """Where the API server keeps this object."""
    metadata = manifest["metadata"]
    folder = PATHS[manifest["kind"]].format(namespace=metadata.get("namespace", "default"))
    return f"{folder}/{metadata['name']}"


def apply(api: Api, manifests: list[Object]) -> None:
    """Server-side apply, in the order given."""
    for manifest in manifests:
        api.apply(path_of(manifest), manifest)


def delete(api: Api, path: str) -> None:
    """Delete an object and, in the background, what belongs to it; fine where it is not there."""
    try:
        api.request("DELETE", f"{path}?propagationPolicy=Background")
    except ApiError as error:
        if error.status != 404:
            raise


def is_there(api: Api, path: str) -> bool:
    """Whether there is such an object; true where the API server could not tell."""
    try:
        api.get(path)
    except ApiError as error:
        return error.status != 404
    return True


def served(api: Api, group: str) -> bool:
    """Whether a group and version, such as "/apis/cert-manager.io/v1", has kinds by now."""
    try:
        return len(api.get(group)["resources"]) > 0
    except ApiError:
        return False


def delete_definitions(api: Api, group: str, why_not: str) -> None:
    """
    Delete all CRDs of a group and of those below it, and with them every object of theirs.

    + why_not: what to look at where they do not go
    """
    listed = api.get(PATHS["CustomResourceDefinition"])["items"]
    ours = [
        path_of(DEFINITION | it) for it in listed if f".{it['spec']['group']}".endswith(f".{group}")
    ]
    for path in ours:
        delete(api, path)
    wait_for(
        f"{api.cluster.name}: no CRD of {group}",
        lambda: not any(is_there(api, path) for path in ours),
        90,
        why_not,
    )
