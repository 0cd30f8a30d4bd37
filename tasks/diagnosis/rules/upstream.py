"""Between Envoy and a backend: connecting, TLS, protocol, time."""

from __future__ import annotations

import json
from dataclasses import dataclass

from tasks.diagnosis.case import Case
from tasks.diagnosis.diagnosis import Found, Ref
from tasks.diagnosis.objects import at, listed, ref
from tasks.diagnosis.owners import (
    cluster_of,
    policy_of,
    route_of,
    service_of,
)

RESET = ("upstream_reset_before_response_started", "upstream_reset_after_response_started")


def reset(case: Case) -> Found | None:
    """A connection to a backend that did not come about, or broke."""
    details, failure = case.details, (case.entry.failure or "") if case.entry is not None else ""
    if case.entry is None and case.broken:
        return _closed(case)
    if not details.startswith(RESET):
        return None
    words = f"{details} {failure}".replace(" ", "_").lower()
    if "tls_error" in words or "ssl" in words or "certificate" in words:
        return _tls(case)
    if "connection_timeout" in words:
        return _connect_timeout(case)
    if "connection_refused" in words:
        return _refused(case)
    if details.startswith(RESET[1]) and "protocol_error" in words:
        return _closed(case)
    if "protocol_error" in words or "UPE" in case.flags:
        return _protocol(case)
    if "connection_termination" in words or "remote_reset" in words or "remote_refused" in words:
        return _closed(case)
    if "connection_failure" in words:
        return _unnamed(case)
    if "http/2" in words or "http2" in words or "codec" in words:
        return _protocol(case)
    return None


def _unnamed(case: Case) -> Found:
    """A connection failed, and nothing says why."""
    speaks_tls = case.cluster is not None and case.cluster.tls
    verify = case.stat("ssl.fail_verify_error") or case.stat("ssl.connection_error")
    if verify or ((speaks_tls or _tls_policy(case)) and _mistaken(case) is None):
        return _tls(case)
    if case.stat("upstream_cx_connect_timeout"):
        return _connect_timeout(case)
    words = f"{case.details} {case.entry.failure if case.entry is not None else ''}".lower()
    if "no_route" in words or "unreachable" in words or "timed_out" in words:
        return _connect_timeout(case)
    return _refused(case)


def _asked(case: Case) -> str:
    known = ", ".join(it.address for it in case.endpoints or ())
    return case.upstream_host or known or case.cluster_name


@dataclass(frozen=True)
class _Mistaken:
    """A port that no container of the Pod has: + pod; + asked, ports: such as "3001", ("3000",)"""

    pod: Ref
    asked: str
    ports: tuple[str, ...]

    @property
    def text(self) -> str:
        return f"{self.pod.text} has containerPort {', '.join(self.ports)}, asked was {self.asked}"


def _mistaken(case: Case) -> _Mistaken | None:
    """As far as the spec of the Pod says: a container may listen where it says nothing."""
    asked = [case.upstream_host] if case.upstream_host else None
    for address in asked or [it.address for it in case.endpoints or ()]:
        port = address.rpartition(":")[2]
        for pod in case.objects.pods_at(address):
            ports = [
                str(it.get("containerPort"))
                for one in listed(at(pod, "spec", "containers"))
                for it in listed(one.get("ports"))
            ]
            if ports and port not in ports:
                return _Mistaken(ref(pod), port, tuple(ports))
    return None


def _place(case: Case, service: Ref, wrong: _Mistaken | None) -> int | None:
    """Which of the Service's ports leads there; None where that is not sure."""
    ports = listed(at(case.objects.get(service), "spec", "ports"))
    asked = [str(it.get("targetPort", it.get("port"))) for it in ports]
    return asked.index(wrong.asked) if wrong is not None and wrong.asked in asked else None


def _refused(case: Case) -> Found:
    service = service_of(case)
    wrong = _mistaken(case)
    place = _place(case, service, wrong)
    fix = "let the endpoint have the port that the backend listens on"
    if service.kind == "Service":
        fix = (
            f"kubectl -n {service.namespace} get service {service.name} -o yaml: targetPort must "
            "be the port that the container listens on"
        )
    if wrong is not None and place is not None and len(wrong.ports) == 1:
        change = {
            "op": "replace",
            "path": f"/spec/ports/{place}/targetPort",
            "value": int(wrong.ports[0]) if wrong.ports[0].isdigit() else wrong.ports[0],
        }
        fix = (
            f"kubectl -n {service.namespace} patch service {service.name} --type=json "
            f"-p='{json.dumps([change])}'"
        )
    return case.found(
        "upstream_connection_refused",
        service,
        f"spec.ports[{'' if place is None else place}].targetPort",
        f"{_asked(case)} of {service.text} refuses connections: "
        f"{wrong.text if wrong is not None else 'nothing listens on that port'}.",
        fix,
        wrong.text if wrong is not None else "",
        answered_by="envoy",
    )


def _connect_timeout(case: Case) -> Found:
    service = service_of(case)
    return case.found(
        "upstream_connect_timeout",
        service,
        "spec.ports[].targetPort",
        f"{_asked(case)} of {service.text} does not answer a connection attempt: packets are "
        "dropped.",
        "look for a NetworkPolicy or firewall between proxy and Pod, a node that is gone, an "
        "address that is stale (controller down)",
        answered_by="envoy",
    )


def _tls(case: Case) -> Found:
    policy = _tls_policy(case)
    told = case.details.partition("TLS_error:")[2] or (case.entry.failure if case.entry else "")
    why = _readable(told or "") or "the handshake broke"
    it = policy or cluster_of(case)
    # "verify cert failed: SAN matcher" where the name is at fault, seen of Envoy 1.39.1.
    part = ".hostname" if "SAN matcher" in why and it.kind == "BackendTLSPolicy" else ""
    return case.found(
        "upstream_tls_failure",
        it,
        f"spec.validation{part}" if policy else "transport_socket",
        f"TLS with the backend {_asked(case)} fails: {why}.",
        "let caCertificateRefs name the CA that signed the backend's certificate, and hostname a "
        "name in it; a backend that speaks plain HTTP needs no BackendTLSPolicy",
        answered_by="envoy",
    )


def _readable(why: str) -> str:
    words = why.replace("TLS_error_end", "").strip("|:{}_ ")
    return words.rsplit("OPENSSL_internal:", 1)[-1].replace("_", " ").strip(" :}")


def _tls_policy(case: Case) -> Ref | None:
    found = policy_of(case, "BackendTLSPolicy")
    if found is not None:
        return found
    backends = [it for it in case.objects.of("Backend") if at(it, "spec", "tls") is not None]
    named = [ref(it) for it in backends]
    rule = case.objects.backends(case.rule) if case.rule is not None else ()
    return next((it for it in named if it in rule), None)


def _closed(case: Case) -> Found:
    service = service_of(case)
    late = " after its response had begun" if case.broken else " before it answered"
    return case.found(
        "upstream_closed_connection",
        service,
        "spec.selector" if service.kind == "Service" else "endpoints",
        f"{_asked(case)} of {service.text} closed the connection{late}.",
        f"{'' if service.kind != 'Service' else _pods(service)}look for crashes and restarts, "
        "keep-alive times shorter than Envoy's, a port that speaks another protocol",
        answered_by="envoy",
    )


def _pods(service: Ref) -> str:
    return (
        f"kubectl -n {service.namespace} get endpointslices -l "
        f"kubernetes.io/service-name={service.name} names the Pods: "
    )


def _protocol(case: Case) -> Found:
    service = service_of(case)
    return case.found(
        "upstream_protocol_error",
        service,
        "spec.ports[].appProtocol",
        f"What {_asked(case)} of {service.text} answered is no {_spoken(case)}: it speaks another "
        "protocol.",
        "name the right port; for HTTP/2 without TLS set appProtocol: kubernetes.io/h2c on the "
        "port of the Service, for HTTP/1.1 leave it out",
        answered_by="envoy",
    )


def _spoken(case: Case) -> str:
    return "HTTP/2" if "http2_protocol_options" in str(case.of_cluster()) else "HTTP"


def timeout(case: Case) -> Found | None:
    begins = (
        "response_timeout",
        "upstream_response_timeout",
        "upstream_per_try_timeout",
        "request_overall_timeout",
        "upstream_max_stream_duration",
        "max_duration_timeout",
        "stream_idle_timeout",
    )
    if not case.details.startswith(begins) and "UT" not in case.flags:
        return None
    it, field = _limiting(case)
    limit = case.of_route("route", "timeout")
    return case.found(
        "upstream_timeout",
        it,
        field,
        f"The backend {_asked(case)} took the request and did not answer within "
        f"{limit or 'the time of the route'}.",
        f"make the backend faster, or raise {field} of {it.text}",
        f"config_dump: timeout {limit}" if limit else "",
        answered_by="envoy",
    )


def _limiting(case: Case) -> tuple[Ref, str]:
    """The object and field that set the time which ran out."""
    tries = policy_of(case, "BackendTrafficPolicy", "retry")
    spec = at(case.objects.get(tries), "spec") if tries is not None else None
    per_try = at(spec, "retry", "perRetry", "timeout")
    if tries is not None and per_try and ("per_try" in case.details or "URX" in case.flags):
        return tries, "spec.retry.perRetry.timeout"
    rule = case.objects.rule(case.rule) if case.rule is not None else {}
    policy = policy_of(case, "BackendTrafficPolicy", "timeout")
    if policy is not None and "timeouts" not in rule:
        return policy, "spec.timeout"
    if case.rule is None:
        return route_of(case), "virtual_hosts[].routes[].route.timeout"
    return route_of(case), f"spec.rules[{case.rule.index}].timeouts"
