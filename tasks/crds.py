"""
The CustomResourceDefinitions of the Gateway API and of Envoy Gateway: always first, only forward.
"""

from __future__ import annotations

from pyinfra import host, state
from pyinfra.api.exceptions import DeployError

from tasks.facts.kube import KubeApplyPlan, KubeObjects, Manifest, apply_command
from tasks.fleet.charts import Chart
from tasks.fleet.guard import Steps, fact, fleet_operation
from tasks.operations.kube import show, wait_until
from tasks.plans import crds

API, KIND = "apiextensions.k8s.io/v1", "CustomResourceDefinition"


@fleet_operation()
def installed(chart: Chart, timeout: int = 120) -> Steps:
    """
    Bring the CRDs to those of ``chart``, by server-side apply (the EnvoyProxy CRD does not fit the
    annotation of ``kubectl apply``), and wait until the API server serves them. Helm never updates
    them, and a controller that meets older ones drops TCPRoutes in silence or crashes.

    All changed CRDs pass a dry run before the first is written: a refused one would leave a mixed
    bundle.
    """
    live = fact(KubeObjects, api_version=API, kind=KIND, metadata_only=True)
    changed = crds.changed(chart.crds, live)
    if not changed:
        host.noop(f"{len(chart.crds)} CRDs are those of {chart.name} {chart.version}")
        return
    older = crds.downgrades(changed, live)
    if older:
        raise DeployError(
            f"CRDs never go back: {'; '.join(older[:2])}: keep them, older controllers work with "
            "newer CRDs"
        )
    others = crds.kept_by_others(changed, live)
    if others:
        raise DeployError(
            f"{others[0]}{f' (and {len(others) - 1} more)' if len(others) > 1 else ''}: two "
            "managers would undo each other: let it bring the CRDs, or take them from it first"
        )
    known = {it["metadata"]["name"] for it in live}
    manifests = []
    for crd in changed:
        generation = 1
        if crd["metadata"]["name"] in known:
            planned = fact(KubeApplyPlan, manifest=Manifest(crd), force=True)
            generation = int((planned or {"metadata": {"generation": 1}})["metadata"]["generation"])
        manifests.append(Manifest(crds.stamped(crd, generation)))
    names = [it["metadata"]["name"] for it in manifests]
    show(f"Will bring {len(names)} CRDs to those of {chart.name} {chart.version}", names)
    for manifest in manifests:
        yield apply_command(manifest, force=True)
    if state.is_executing:

        def missing() -> list[str]:
            served = fact(KubeObjects, api_version=API, kind=KIND)
            return crds.not_established(names, served)

        wait_until(missing, timeout)
