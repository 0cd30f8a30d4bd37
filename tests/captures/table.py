"""Every fault that is captured, with its healthy look-alike and what is true of it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from zlib import crc32

from tasks.diagnosis.causes import AnsweredBy, Cause
from tests.captures.casts import cast, crowded
from tests.captures.world import Shape, Truth, World

Make = Callable[[World, bool], None]
BOTH: tuple[Shape, ...] = ("envoy-gateway", "plain-envoy")
GATEWAY: tuple[Shape, ...] = ("envoy-gateway",)
PLAIN: tuple[Shape, ...] = ("plain-envoy",)

#: What looks like a cause and is none of it.
CONFUSED: dict[Cause, tuple[str, ...]] = {
    "all_endpoints_ejected": ("health_check_failing", "zero_endpoints", "backend_5xx"),
    "backend_400": ("rejected_underscore_header", "no_virtual_host_match"),
    "backend_401": ("jwt_denied", "ext_authz_denied"),
    "backend_403": ("rbac_denied", "ext_authz_denied", "jwt_denied"),
    "backend_404": ("no_virtual_host_match", "no_route_in_virtual_host", "zero_endpoints"),
    "backend_429": ("rate_limited", "circuit_breaker_overflow"),
    "backend_5xx": ("no_healthy_endpoints", "upstream_connection_refused", "upstream_timeout"),
    "certificate_expired": ("sni_no_filter_chain", "upstream_tls_failure"),
    "circuit_breaker_overflow": ("no_healthy_endpoints", "zero_endpoints", "backend_5xx"),
    "client_disconnected": ("upstream_timeout", "upstream_closed_connection"),
    "cluster_not_found": ("no_route_in_virtual_host", "zero_endpoints", "backend_5xx"),
    "envoy_internal_error": ("backend_5xx", "ext_authz_error"),
    "ext_authz_denied": ("rbac_denied", "jwt_denied", "backend_403", "ext_authz_error"),
    "ext_authz_error": ("rbac_denied", "jwt_denied", "backend_403", "ext_authz_denied"),
    "fault_injected": ("backend_5xx", "no_healthy_endpoints", "upstream_timeout"),
    "grpc_backend_error": ("upstream_connection_refused", "ok"),
    "h2_connection_reuse": ("no_virtual_host_match", "backend_404", "zero_endpoints"),
    "health_check_failing": ("zero_endpoints", "all_endpoints_ejected", "backend_5xx"),
    "host_port_mismatch": ("backend_404", "no_route_in_virtual_host"),
    "intended_direct_response": ("backend_404", "no_route_in_virtual_host", "zero_endpoints"),
    "invalid_backend_ref": ("backend_5xx", "intended_direct_response", "envoy_internal_error"),
    "jwt_denied": ("ext_authz_denied", "rbac_denied", "backend_401"),
    "misdirected_request_421": ("no_virtual_host_match", "intended_direct_response"),
    "no_healthy_endpoints": ("zero_endpoints", "all_endpoints_ejected", "backend_5xx"),
    "no_ready_endpoints_direct_response": ("backend_5xx", "intended_direct_response"),
    "no_route_in_virtual_host": ("no_virtual_host_match", "backend_404", "zero_endpoints"),
    "no_virtual_host_match": ("no_route_in_virtual_host", "backend_404", "zero_endpoints"),
    "panic_routing": ("traffic_fails", "zero_endpoints"),
    "path_rewrite_mismatch": ("no_route_in_virtual_host", "no_virtual_host_match"),
    "plaintext_to_tls_listener": ("sni_no_filter_chain", "certificate_expired"),
    "rate_limited": ("backend_429", "circuit_breaker_overflow"),
    "rbac_denied": ("ext_authz_denied", "jwt_denied", "backend_403"),
    "redirect_loop": ("intended_direct_response", "no_virtual_host_match"),
    "rejected_underscore_header": ("backend_400",),
    "route_not_attached": ("backend_404", "zero_endpoints"),
    "sni_no_filter_chain": ("certificate_expired", "no_virtual_host_match"),
    "upstream_closed_connection": ("upstream_timeout", "backend_5xx"),
    "upstream_connect_timeout": ("upstream_timeout", "zero_endpoints"),
    "upstream_connection_refused": ("no_healthy_endpoints", "zero_endpoints", "backend_5xx"),
    "upstream_protocol_error": ("backend_5xx", "upstream_connection_refused"),
    "upstream_timeout": ("upstream_connect_timeout", "upstream_connection_refused"),
    "upstream_tls_failure": ("upstream_connection_refused", "certificate_expired"),
    "zero_endpoints": ("health_check_failing", "no_virtual_host_match", "backend_5xx"),
}


@dataclass(frozen=True)
class Fault:
    """+ make: changes a world; + alike: whether its healthy twin is captured too"""

    name: str
    make: Make
    truth: Truth
    shapes: tuple[Shape, ...]
    alike: bool


@dataclass(frozen=True)
class Take:
    """One capture to be made: + name: such as "jwt_expired", "ok_jwt_expired_plain"."""

    name: str
    fault: Fault
    shape: Shape
    faulty: bool

    @property
    def kept(self) -> bool:
        """
        Whether the repository keeps it, which has no room for all: the first fault of each cause
        in both shapes, with its twin in one; of each other fault itself, and of most one more.
        """
        fault, turn = self.fault, crc32(self.fault.name.encode())
        if len(fault.shapes) == 1 or not fault.alike:
            return True
        gateway = self.shape == "envoy-gateway"
        if fault is next(it for it in FAULTS.values() if it.truth.cause == fault.truth.cause):
            return self.faulty or self.shape == BOTH[turn % 2]
        if gateway and self.faulty:
            return True
        return (gateway, self.faulty) == ((True, False), (False, True), None)[turn % 3]

    def world(self) -> World:
        world = cast(self.fault.name, self.shape)
        truth = self.fault.truth
        must_not = CONFUSED.get(truth.cause, ())
        if self.faulty:
            world.truth = replace(truth, must_not=[*truth.must_not, *must_not], more={**truth.more})
        else:
            why = f"control for {truth.cause}: nothing is wrong"
            world.truth = Truth(why=why, must_not=[truth.cause])
        self.fault.make(world, self.faulty)
        crowded(self.fault.name, world, self.faulty and truth.cause != "ok")
        if world.plain and self.faulty and world.truth.obj is not None:
            world.truth.obj = plain_object(world)
            world.truth.also_objects = []
        return world


def plain_object(world: World) -> tuple[str, str | None, str]:
    """What is at fault in a configuration without Kubernetes."""
    if world.plain_object is not None:
        kind, name = world.plain_object
        return kind, None, name
    assert world.truth.obj is not None
    kind, _, name = world.truth.obj
    if kind in ("Service", "BackendTLSPolicy"):
        return "Cluster", None, name if kind == "Service" else world.main.name
    section = world.listeners[0].name.replace("-", "_")
    if kind in ("Gateway", "Secret", "ClientTrafficPolicy"):
        return "Listener", None, f"listener_{section}"
    return "RouteConfiguration", None, f"route_{section}"


FAULTS: dict[str, Fault] = {}


def fault(
    cause: Cause,
    status: int | None,
    flags: str,
    details: str | None,
    why: str,
    *,
    by: AnsweredBy = "envoy",
    shapes: tuple[Shape, ...] = BOTH,
    alike: bool = True,
    also: Sequence[str] = (),
    needs: Sequence[str] = ("access_log",),
    index: int = -1,
    **more: object,
) -> Callable[[Make], Make]:
    """Register a function that makes a world faulty, or as alike as can be and healthy."""

    def registered(make: Make) -> Make:
        truth = Truth(
            cause=cause,
            answered_by=by,
            status=status,
            flags=flags,
            details=details,
            why=why,
            also=also,
            needs=needs,
            index=index,
            more=dict(more),
        )
        FAULTS[make.__name__] = Fault(make.__name__, make, truth, shapes, alike)
        return make

    return registered


def takes() -> list[Take]:
    """All captures, by cause and then by fault."""
    from tests.captures import faults

    faults.load()
    made = []
    for it in sorted(FAULTS.values(), key=lambda one: one.truth.cause):
        for shape in it.shapes:
            ending = "_plain" if shape == "plain-envoy" else ""
            made.append(Take(f"{it.name}{ending}", it, shape, True))
            if it.alike:
                made.append(Take(f"ok_{it.name}{ending}", it, shape, False))
    return made
