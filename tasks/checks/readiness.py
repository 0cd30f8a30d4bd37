"""Whether a run could begin on a cluster: programs, lock, sign-in, versions and rights."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from tasks.checks.findings import Finding, Where
from tasks.plans.versions import kubernetes_problem


@dataclass(frozen=True)
class Readiness:
    """
    What doctor saw of one cluster.

    + helm: its version, such as "v4.1.4", or None where it does not run
    + pinned: the digest in the lock, or None
    + lock_problem: why the lock cannot be read, or None
    + lock_command: what pins the chart, such as "python -m tasks.fleet.charts lock ..."
    + plugin: the program that signs in, such as "kubelogin", and whether it is there; None without
      one
    + denied: rights that this identity lacks, such as "patch gateways.gateway.networking.k8s.io"
    """

    helm: str | None
    helm_binary: str
    chart: str
    version: str
    lock: str
    pinned: str | None
    lock_problem: str | None
    lock_command: str
    plugin: tuple[str, bool] | None
    kubernetes: str
    denied: Sequence[str]


def readiness_findings(cluster: str, seen: Readiness) -> Iterator[Finding]:
    """Everything that would stop a run on this cluster, or make its end unsupported."""
    here = Where(cluster)
    if seen.helm is None:
        yield Finding(
            "GW501",
            "error",
            here,
            f"{seen.helm_binary} does not run",
            "install Helm 3.17 or newer, or set helm in the inventory",
        )
    if seen.lock_problem:
        yield Finding(
            "GW502", "error", Where(cluster, seen.lock), seen.lock_problem, "correct the file"
        )
    elif seen.pinned is None:
        yield Finding(
            "GW502",
            "error",
            Where(cluster, seen.lock),
            f"does not pin {seen.chart} {seen.version}",
            f"look at the chart, then pin it with {seen.lock_command}",
        )
    if seen.plugin and not seen.plugin[1]:
        yield Finding(
            "GW503",
            "error",
            here,
            f"the kubeconfig signs in with {seen.plugin[0]}, which is not installed",
            f"install {seen.plugin[0]}, or convert the kubeconfig",
        )
    problem = kubernetes_problem(seen.version, seen.kubernetes)
    if problem:
        yield Finding(
            "GW504", "error", here, problem, "upgrade Kubernetes, or choose another release"
        )
    for right in seen.denied:
        yield Finding(
            "GW505",
            "error",
            here,
            f"this identity may not {right}",
            "ask for a role that allows it",
        )
