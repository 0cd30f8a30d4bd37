"""What is wrong though the request was answered."""

from __future__ import annotations

from tasks.diagnosis.case import Case
from tasks.diagnosis.config import Endpoint
from tasks.diagnosis.diagnosis import Found
from tasks.diagnosis.owners import service_of


def panic_routing(case: Case) -> Found | None:
    """Requests go to endpoints that are known to be bad, for too few are good."""
    points = case.endpoints
    if not points:
        return None
    down = [it for it in points if not it.healthy]
    if all(it.health == "DRAINING" for it in down) or not _below(case, points, down):
        return None  # Pods that end serve to their last request: that is a roll-out
    panic = case.stat("lb_healthy_panic")
    if panic == 0:
        return None
    service = service_of(case)
    return case.found(
        "panic_routing",
        service,
        "spec",
        f"{len(down)} of {len(points)} endpoints of {service.text} are unhealthy: Envoy panics and "
        "sends to all of them, healthy or not.",
        "mend the health check (spec.healthCheck.active of the BackendTrafficPolicy) or the Pods; "
        "until then requests go to whatever answers",
        *[f"/clusters: {it.address} {'/'.join(it.failed) or it.health}" for it in down[:4]],
        f"stats: lb_healthy_panic {panic:.0f}" if panic else "",
        severity="warning",
    )


def _below(case: Case, points: tuple[Endpoint, ...], down: list[Endpoint]) -> bool:
    """Whether fewer are healthy than the panic threshold, 50 % where none is set."""
    threshold = case.of_cluster("common_lb_config", "healthy_panic_threshold")
    limit = 50.0
    if isinstance(threshold, dict):  # {} is 0, as JSON of protocol buffers leaves zeros out
        value = threshold.get("value", 0)
        limit = float(value) if isinstance(value, int | float) else 50.0
    return 100.0 * (len(points) - len(down)) / len(points) < limit
