"""
Public IPs of the fleet: from what the inventory wants of each Gateway to the resource of Azure that
has the address, who holds it, the names that lead to it, and what answers there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from pyinfra import host, logger, state

from tasks import certificates, gateways
from tasks.checks import public_ips as checks
from tasks.checks.findings import Finding
from tasks.facts import azure, dns
from tasks.facts.azure import ProviderId, ServiceEvents
from tasks.facts.kube import KubeObjects
from tasks.fleet import audits
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import FactFailed, Steps, fact, fleet_operation, session
from tasks.fleet.inventory import Cluster, Gateway, together
from tasks.fleet.recorder import ClusterResult
from tasks.operations import handshakes, probe
from tasks.plans import envoy_services, listeners, proxies, public_ips
from tasks.plans.aks import ManagedCluster
from tasks.plans.arm import KINDS, KindName
from tasks.plans.evidence import Address
from tasks.plans.kinds import ENVOY_GATEWAY, GATEWAY_API
from tasks.plans.listeners import Listener
from tasks.plans.preflight import Reason, warning
from tasks.plans.probes import Request, concrete
from tasks.plans.public_ips import Answered, Claim, Landscape, Wanted

Object = Mapping[str, Any]
Every = Callable[[str, str], list[dict[str, Any]]]
SCHEMA = "envoyfleet.public_ips/1"
#: How names of API servers of AKS end (AKS docs, "Outbound network and FQDN rules", of each cloud).
API_SERVERS = (".azmk8s.io", ".containerservice.azure.us", ".azk8s.cn")
#: What is read of Azure before a change: all but where names lead.
BEFORE_A_CHANGE = tuple(it for it in KINDS if it != "dnszones")
COLUMNS = ("cluster", "gateway", "address", "public IP", "held by", "lives with", "DNS", "findings")

#: By cluster: what it claims, and the subscription it is said to be in.
_claims: dict[str, list[Claim]] = {}
_places: dict[str, str] = {}


def of_the_fleet() -> None:
    """
    Deploy code: read every cluster, and Azure once; print one table at the end, exit 3 where
    something is wrong.
    """
    run = fleet_run.audit()
    run.finish_audit = _print
    read(name="Public IPs", data=fleet_run.cluster())


@fleet_operation()
def read(data: Cluster) -> Steps:
    """
    All about one cluster, and what its subscriptions have. Reads only: at most eight requests to
    the API server, one for each Service without an address, and one to each listener.
    """
    yield from ()
    every = certificates.objects()
    found, listening = claims(data, every), listeners_of(data, every)
    behind = {it.title: _behind(it, listening) for it in found}
    names = {title: _names(those) for title, those in behind.items()}
    asked = {name for those in names.values() for name in those}
    azure.landscape(_subscriptions(found), names=asked)  # for _print, which then need not wait
    answers = dns.resolved([str(concrete(it)) for it in asked], data.resolvers)
    _claims[host.name] = [
        replace(
            it,
            hosts={name: answers[str(concrete(name))] for name in names[it.title]},
            answers=_asked(it, behind[it.title]) if data.probe.enabled else (),
        )
        for it in found
    ]


def claims(data: Cluster, every: Every) -> list[Claim]:
    """
    What the Gateways of this cluster claim, those of our controller whose Service is of type
    LoadBalancer; no name is resolved, and no address is asked. Two requests beside those of
    ``every``, and one for each Service without an address.

    + every: ``certificates.objects``, or the like
    """
    classes, own = gateways.of_our_controller(
        data, every(GATEWAY_API, "GatewayClass"), every(GATEWAY_API, "Gateway")
    )
    shared: dict[str, list[Object]] = defaultdict(list)
    settings = every(ENVOY_GATEWAY, "EnvoyProxy")
    merged = listeners.merged(classes, settings)
    for it in own:
        of_class = it["spec"]["gatewayClassName"]
        shared[of_class if of_class in merged else _name(it)].append(it)
    if not shared:
        return []
    services, unread = _services(data)
    aks = cluster_of_azure()
    found = []
    for workload, those in shared.items():
        said = envoy_services.settings(those[-1], classes, settings, workload in merged)
        service = services.get(workload)
        kind = service["spec"].get("type") if service else said.type
        if kind == "LoadBalancer":
            claim = Claim(
                host.name,
                those,
                service,
                aks,
                wanted(data, those),
                said.annotations,
                proxy=said.written,
                unread=unread,
            )
            found.append(replace(claim, events=_events(claim)))
    return found


def reasons(data: Cluster, every: Every) -> list[Reason]:
    """
    What speaks against changing this cluster: an error of a Gateway that the inventory knows stops
    it unless that is accepted. One of another Gateway or of one to come, and what could not be
    read, is a warning. Names are not resolved, and no address is asked.
    """
    found = _claims[host.name] = claims(data, every)
    found = [*found, *_to_come(host.name, data)]
    landscape = azure.landscape(_subscriptions(found), BEFORE_A_CHANGE)
    own = {f"{it.namespace}/{it.name}" for it in data.gateways}
    said: dict[Reason, None] = {}
    for claim in found:
        ours = any(_name(it) in own for it in claim.gateways)
        for it in checks.findings(claim, landscape, fleet_run.now()):
            text = f"{it.code} {it.where.object or 'public IPs'}: {it.what}: {it.fix}"
            if it.severity == "error":
                said[Reason(text, "sick", stops=ours)] = None
            elif it.code == "GW700":
                said[warning(text)] = None
    return list(said)


def of_lost(name: str) -> list[Address]:
    """
    What Azure has for the addresses that the inventory wants for a cluster, which is not asked: it
    may be lost. None of a cluster whose data does not say which one of AKS it is.
    """
    data = fleet_run.current().clusters.get(name)
    if data is None:
        return []
    aks = azure.of_host(state.inventory.get_host(name).data.get("aks_id"))
    if aks is None:
        return []
    wants = _wants(data)
    kinds: tuple[KindName, ...] = ("managedClusters", "publicIPAddresses", "locks")
    places = {aks.subscription, *(it.subscription for it in wants.values() if it.subscription)}
    landscape = azure.landscape(places, kinds)
    found = []
    for gateway, it in wants.items():
        ip = public_ips.row(Claim(name, (), None, aks, it), landscape)["public_ip"] or {}
        title = f"{ip['group']}/{ip['name']}" if ip else None
        address = ip.get("address") or it.address
        found.append(Address(gateway, address, title, ip.get("lifecycle")))
    return found


def listeners_of(data: Cluster, every: Every) -> list[Listener]:
    """
    The listeners of our controller, but for UDP. ListenerSets and TLSRoutes are read only where
    Gateways let some in.
    """
    classes, own = gateways.of_our_controller(
        data, every(GATEWAY_API, "GatewayClass"), every(GATEWAY_API, "Gateway")
    )
    sets = every(GATEWAY_API, "ListenerSet") if any(_lets_sets_in(it) for it in own) else []
    spoken = {one["protocol"] for it in (*own, *sets) for one in it["spec"].get("listeners") or ()}
    kinds = {kind for it in spoken for kind in listeners.ROUTES.get(it, ())}
    routes = [it for kind in sorted(kinds) for it in every(GATEWAY_API, kind)]
    merged = listeners.merged(classes, every(ENVOY_GATEWAY, "EnvoyProxy"))
    return listeners.of_gateways(
        host.name, own, (), merged, sets, routes, protocols=tuple(listeners.ROUTES)
    )


def _lets_sets_in(gateway: Object) -> bool:
    """Gateway API 1.5 spec, Gateway.spec.allowedListeners: without it none."""
    allowed = gateway["spec"].get("allowedListeners") or {}
    return bool((allowed.get("namespaces") or {}).get("from", "None") != "None")


def _behind(claim: Claim, every: Iterable[Listener]) -> list[Listener]:
    """The listeners that a claim's Service leads to."""
    own = proxies.owner(claim.service) if claim.service is not None else None
    return [it for it in every if it.workload == own]


def _names(those: Iterable[Listener]) -> list[str]:
    """The names that clients ask: of routes, else of the listener itself."""
    found: dict[str, None] = {}
    for it in those:
        found |= dict.fromkeys(it.hosts or ([it.hostname] if it.hostname else ()))
    return list(found)


def _services(data: Cluster) -> tuple[dict[str, Object], list[str]]:
    """Those of the proxies, by what they were generated for; and why they could not be read."""
    try:
        found = fact(
            KubeObjects,
            api_version="v1",
            kind="Service",
            namespace=data.proxy_namespace,
            labels=proxies.LABELS,
        )
    except FactFailed as error:
        return {}, [f"Services: {error}"]
    return {proxies.owner(it): it for it in found}, []


def _events(claim: Claim) -> list[str]:
    if claim.service is None or claim.addresses():
        return []
    meta = claim.service["metadata"]
    try:
        return fact(ServiceEvents, namespace=meta["namespace"], service=meta["name"])
    except FactFailed:  # they explain something, and prove nothing
        return []


def known_to_be_of_azure() -> bool:
    """Whether the current host is a cluster of AKS, as far as that is known without a request."""
    server = urlsplit(str(session().client.configuration.host)).hostname or ""
    return bool(host.data.get("aks_id")) or server.endswith(API_SERVERS)


def cluster_of_azure() -> ManagedCluster | None:
    """
    Which AKS cluster the current host is: its data says so, else the provider id of a node, for
    one request. None where it is none, or where that cannot be read.
    """
    aks_id = host.data.get("aks_id")
    try:
        node = None if aks_id else fact(ProviderId)
    except FactFailed:
        return None
    named = azure.identity(aks_id, node)
    if named is not None:
        _places[host.name] = named.subscription
    return azure.of_host(aks_id, node)


def wanted(data: Cluster, those: Iterable[Object]) -> Wanted:
    """What the inventory says of the address of these Gateways, which share one."""
    named = {_name(it) for it in those}
    found = [wanted_by(it, data) for it in data.gateways if f"{it.namespace}/{it.name}" in named]
    return min(found, key=lambda it: it.address is None, default=Wanted())


def wanted_by(gateway: Gateway, data: Cluster) -> Wanted:
    """What the inventory says of the address of one; merged Gateways have one public IP."""
    ip = data.shared_public_ip or gateway.public_ip
    if ip is None:
        return Wanted(address=gateway.address)
    return Wanted(
        ip.name,
        ip.resource_group,
        ip.subscription,
        gateway.address,
        ip.prefix,
        ip.lock,
        tuple(ip.zones),
        ip.idle_timeout,
    )


def _wants(data: Cluster) -> dict[str, Wanted]:
    """By the name of each Gateway whose address the inventory says, such as "edge/public"."""
    every = {f"{it.namespace}/{it.name}": wanted_by(it, data) for it in data.gateways}
    return {name: it for name, it in every.items() if it != Wanted()}


def _name(thing: Object) -> str:
    return f"{thing['metadata']['namespace']}/{thing['metadata']['name']}"


def _subscriptions(those: Iterable[Claim]) -> set[str]:
    """Where the resources of these claims may be."""
    named = {it.wanted.subscription for it in those if it.wanted.subscription}
    return named | {_places[it.cluster] for it in those if it.cluster in _places}


def _asked(claim: Claim, behind: Iterable[Listener]) -> list[Answered]:
    """What answers at the addresses of a claim, for each listener behind it."""
    return [
        answer
        for address in claim.addresses()
        for answer in _answers(address, [replace(it, addresses=(address,)) for it in behind])
    ]


def _answers(address: str, behind: Sequence[Listener]) -> list[Answered]:
    found = [
        Answered(
            address,
            int(it.place.rpartition(":")[2]),
            it.sni or None,
            it.why,
            it.served.leaf.names if it.served.leaf else None,
        )
        for it in handshakes.at_addresses([it for it in behind if it.protocol == "HTTPS"])
    ]
    asked = [_request(address, it) for it in behind if it.protocol != "HTTPS"]
    for request, answer in probe.send_all(asked).items():
        why = answer if isinstance(answer, str) else None
        found.append(Answered(address, request.port, request.host or None, why))
    return found


def _request(address: str, listener: Listener) -> Request:
    """Any answer will do; what hands TLS through or speaks TCP has only to connect."""
    scheme = "http" if listener.protocol == "HTTP" else "tcp"
    name = next(iter(listener.hosts), listener.hostname)
    said = (concrete(name) or address) if scheme == "http" else ""
    return Request(listener.gateway, listener.name, scheme, address, listener.port, said)


def _print(results: list[ClusterResult]) -> None:
    run = fleet_run.current()
    those = [it for found in _claims.values() for it in found]
    names = {name for it in those for name in it.hosts}
    landscape = azure.landscape(_subscriptions(those), names=names)  # all of it was read before
    run.findings += _findings(those, landscape)
    rows = {
        name: {"gateways": [_row(it, landscape, run.findings) for it in found]}
        for name, found in _claims.items()
    }
    silent = [name for name in _claims if not run.clusters[name].probe.enabled]
    if silent:
        [line] = together({"no address was asked: probe.enabled is False": silent})
        logger.info(line)
    audits.show_lines(results, rows, SCHEMA, COLUMNS, _lines)


def _findings(those: Sequence[Claim], landscape: Landscape) -> Iterator[Finding]:
    clusters = fleet_run.current().clusters
    for it in those:
        yield from checks.findings(it, landscape, fleet_run.now())
    to_come = [it for name, data in clusters.items() for it in _to_come(name, data)]
    quiet = {
        place.lower() for name, place in _places.items() if not clusters[name].unused_public_ips
    }
    yield from checks.of_the_fleet([*those, *to_come], landscape, quiet)


def _to_come(name: str, data: Cluster) -> list[Claim]:
    """
    What the inventory wants for Gateways of a cluster that were not read: they are not there yet,
    or nobody asked this cluster. What another of its Gateways claims already is left out.
    """
    read = _claims.get(name, ())
    there = {_name(it) for claim in read for it in claim.gateways}
    claimed = {claim.wanted for claim in read}
    left = [it for key, it in _wants(data).items() if key not in there and it not in claimed]
    aks = next((it.aks for it in read if it.aks), None)
    if left and aks is None:
        aks = azure.of_host(state.inventory.get_host(name).data.get("aks_id"))
    return [Claim(name, (), None, aks, it) for it in left]


def _row(claim: Claim, landscape: Landscape, every: Iterable[Finding]) -> dict[str, Any]:
    """With the codes of what was found at the same place."""
    place = (claim.cluster, claim.title)
    codes = sorted({it.code for it in every if (it.where.cluster, it.where.object) == place})
    return {**public_ips.row(claim, landscape), "findings": codes}


def _lines(name: str, row: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """The cells of a cluster, a line for each address that is claimed."""
    if "unreachable" in row:
        return [(name, "-", "unreachable", *[""] * (len(COLUMNS) - 3))]
    return [(name, *_cells(it)) for it in row["gateways"]] or [(name, *[""] * (len(COLUMNS) - 1))]


def _cells(row: Mapping[str, Any]) -> tuple[str, ...]:
    ip, has = row["public_ip"], set(row["addresses"])
    led = sum(1 for it in row["dns"].values() if has & set(it))
    return (
        row["gateway"].removeprefix("Gateway "),
        ", ".join(row["addresses"]) + (" (internal)" if row["internal"] else ""),
        f"{ip['group']}/{ip['name']}" if ip else "",
        (ip["holder"] or "nobody") if ip else "",
        ip["lifecycle"] if ip else "",
        f"{led} of {len(row['dns'])}" if row["dns"] else "",
        ", ".join(row["findings"]),
    )
