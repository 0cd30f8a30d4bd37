"""Certificates of cert-manager: asked for anew, and waited for."""

from __future__ import annotations

from functools import partial
from typing import Any

from pyinfra import state
from pyinfra.api.exceptions import DeployError, OperationError

from tasks.connectors.api import ApiError
from tasks.connectors.command import Call
from tasks.facts.kube import KubeObject, KubeObjects
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import fact, session
from tasks.fleet.inventory import Cluster
from tasks.operations.kube import wait_until
from tasks.plans import cert_manager, kinds
from tasks.plans.cert_manager import Attempts, Object

API = f"{kinds.CERT_MANAGER}/v1"
MERGE_PATCH = "application/merge-patch+json"
#: How often a Certificate is read again because cert-manager wrote to it in between.
TRIES = 5


def renewed(data: Cluster, namespace: str, certificate_name: str, timeout: float) -> None:
    """
    Make cert-manager issue a Certificate anew, as ``cmctl renew`` does (condition Issuing in its
    status), and wait until it has a new revision and is Ready. One that cert-manager is at work on
    already is waited for. Does nothing while a run is only planned.

    + timeout: seconds

    Raises DeployError, in one line with what the ACME server said, where none comes.
    """
    if not state.is_executing:
        return
    before = asked(namespace, certificate_name)
    seen: list[Object] = [before]

    def missing() -> list[str]:
        seen[0] = _read(namespace, certificate_name)
        if cert_manager.failed(seen[0], before):
            raise DeployError(_failure(namespace, seen[0]))
        if cert_manager.revision(seen[0]) > cert_manager.revision(before):
            late = cert_manager.not_ready(seen[0])
            return [late] if late else []
        return [_failure(namespace, seen[0])]

    try:
        wait_until(missing, timeout)
    except OperationError as error:
        raise DeployError(str(error)) from error
    fleet_run.journal(
        "cert-manager renewed",
        certificate=f"{namespace}/{certificate_name}",
        revision=cert_manager.revision(seen[0]),
    )


def attempts(namespace: str | None = None) -> Attempts:
    """What cert-manager made on the way to certificates. Three requests."""
    listed = partial(fact, KubeObjects, namespace=namespace)
    return Attempts(
        listed(api_version=API, kind="CertificateRequest"),
        listed(api_version=f"{kinds.ACME}/v1", kind="Order"),
        listed(api_version=f"{kinds.ACME}/v1", kind="Challenge"),
    )


def certificates() -> list[dict[str, Any]]:
    """All Certificates of this cluster. One request."""
    return fact(KubeObjects, api_version=API, kind="Certificate")


def place(certificate: Object) -> tuple[str, str]:
    """Namespace and name."""
    meta = certificate["metadata"]
    return meta["namespace"], meta["name"]


def asked(namespace: str, name: str) -> Object:
    """
    Ask for a Certificate anew; as it was before. Raises DeployError where the API server refuses.
    """
    path = kinds.path(API, "Certificate", namespace, name)
    for _ in range(TRIES):
        found = _read(namespace, name)
        if cert_manager.is_issuing(found):
            return found
        body = cert_manager.marked(found, f"{fleet_run.now():%Y-%m-%dT%H:%M:%SZ}")
        call = Call("PATCH", f"{path}/status", {}, body, MERGE_PATCH, None, frozenset())
        try:
            session().text(call)
        except ApiError as error:
            if error.status == 409:
                continue
            raise DeployError(f"Certificate {namespace}/{name}: not asked for anew: {error}") from (
                error
            )
        return found
    raise DeployError(
        f"Certificate {namespace}/{name}: somebody changes it again and again: run again"
    )


def _read(namespace: str, name: str) -> Object:
    found = fact(
        KubeObject, api_version=API, kind="Certificate", resource=name, namespace=namespace
    )
    if found is None:
        raise DeployError(
            f"Certificate {namespace}/{name} does not exist: run deploys/issuers.py first"
        )
    return found


def _failure(namespace: str, certificate: Object) -> str:
    """What keeps it, in the words of whatever is deepest."""
    title = kinds.title(certificate)
    why = cert_manager.cause(certificate, attempts(namespace))
    return f"{title}: {why}" if why else f"{title}: no new revision yet"
