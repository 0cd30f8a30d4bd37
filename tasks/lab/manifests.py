"""Applying the lab's own manifests, the files in ``manifests/``."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tasks.lab.api import Api, Object

FOLDER = Path(__file__).parent / "manifests"

# kind -> where the API server keeps it
PATHS = {
    "ClusterRole": "/apis/rbac.authorization.k8s.io/v1/clusterroles",
    "ClusterRoleBinding": "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings",
    "ConfigMap": "/api/v1/namespaces/{namespace}/configmaps",
    "CustomResourceDefinition": "/apis/apiextensions.k8s.io/v1/customresourcedefinitions",
    "Deployment": "/apis/apps/v1/namespaces/{namespace}/deployments",
    "Namespace": "/api/v1/namespaces",
    "Secret": "/api/v1/namespaces/{namespace}/secrets",
    "ServiceAccount": "/api/v1/namespaces/{namespace}/serviceaccounts",
    "Service": "/api/v1/namespaces/{namespace}/services",
}


def load(file: str, **values: str) -> list[Object]:
    """The objects of a file; ``${name}`` in it is replaced by the value of that name."""
    import string

    import yaml

    text = string.Template((FOLDER / file).read_text()).substitute(values)
    return [one for one in yaml.safe_load_all(text) if one]


def path_of(manifest: Mapping[str, Any]) -> str:
    """Where the API server keeps this object."""
    metadata = manifest["metadata"]
    folder = PATHS[manifest["kind"]].format(namespace=metadata.get("namespace", "default"))
    return f"{folder}/{metadata['name']}"


def apply(api: Api, manifests: list[Object]) -> None:
    """Server-side apply, in the order given."""
    for manifest in manifests:
        api.apply(path_of(manifest), manifest)
