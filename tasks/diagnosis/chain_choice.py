"""Which listener takes a connection, and which of its filter chains."""

from __future__ import annotations

import ipaddress
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tasks.diagnosis.asking import port_start, without_port
from tasks.diagnosis.config import Chain, Configuration, Listener
from tasks.diagnosis.config_listeners import is_a
from tasks.diagnosis.evidence import Request

#: Where nothing says which port it was: that of the scheme. Envoy Gateway adds 10,000 to what only
#: root may listen on.
PORTS, MOVED = {"http": 80, "https": 443}, 10_000
ANY = ("0.0.0.0", "::", "")
_Choice = Callable[[list[Chain]], list[Chain]]
#: Listeners that Envoy Gateway and Istio have for themselves, by the stat_prefix of their manager.
OWN = ("envoy-gateway-proxy-", "eg-stats-http", "eg-ready-http", "agent", "stats")


def is_own(listener: Listener) -> bool:
    """Whether no client of anybody's application comes here."""
    prefixes = [
        str(chain.manager.get("stat_prefix"))
        for chain in listener.every_chain
        if chain.manager is not None
    ]
    if listener.name.startswith("envoy-gateway-proxy-"):
        return True
    return bool(prefixes) and all(it in OWN for it in prefixes)


def listeners(
    configuration: Configuration, request: Request, port: int | None, local: str | None
) -> tuple[list[Listener], tuple[str, ...]]:
    """
    The listener, and what was taken for granted; several where nothing tells which it is, and none
    where there is none.
    """
    udp = request.version.startswith("3")
    active = [it for it in configuration.listeners if it.state == "active" and it.udp == udp]
    address, known = _place(local)
    known = known or port
    if known is not None:
        return _at(active, address, known)
    active = [it for it in active if not is_own(it)] or active
    for wanted in _wanted(request):
        found = [it for it in active if it.port == wanted]
        if found:
            return found[:1], ()
    return _by_scheme(active, request)


def _place(local: str | None) -> tuple[str, int | None]:
    """Of "10.0.0.7:10443" or "[fd00::7]:10443"."""
    start = port_start(local or "")
    if local is None or start is None or not local[start + 1 :].isdecimal():
        return "", None
    return local[:start].strip("[]"), int(local[start + 1 :])


def _at(
    listeners: Sequence[Listener], address: str, port: int
) -> tuple[list[Listener], tuple[str, ...]]:
    """The one of that address, else one that takes any, else one of that port."""
    here = [it for it in listeners if it.port == port or _has_place(it, address, port)]
    for wanted in ((address,), ANY):
        for it in here:
            if it.address in wanted or _has_place(it, address, port):
                return [it], ()
    if here:
        return here[:1], ()
    found = [it for it in listeners if _takes_over(it)]
    if not found:
        return [], (f"no listener at port {port}",)
    names = ", ".join(it.name for it in found)
    return found, (f"port {port} has no listener of its own: taken over by {names}",)


def _has_place(listener: Listener, address: str, port: int) -> bool:
    wanted = {f"{it}:{port}" for it in (address, "0.0.0.0", f"[{address}]", "[::]")}
    return any(it in wanted for it in listener.places)


def _takes_over(listener: Listener) -> bool:
    """Connections that were for another address come here, as Istio and Cilium have it."""
    filters = listener.raw.get("listener_filters")
    found = [it for it in filters if isinstance(it, dict)] if isinstance(filters, list) else []
    return any(
        is_a(it, "OriginalDst", "original_dst") or is_a(it, "BpfMetadata", "bpf_metadata")
        for it in found
    )


def _wanted(request: Request) -> Iterable[int]:
    """Ports that it may have come to, by its host and scheme."""
    start = port_start(request.host)
    written = request.host[start + 1 :] if start is not None else ""
    ports = [int(written)] if written.isdecimal() else []
    for port in [*ports, PORTS.get(request.scheme, 80)]:
        yield port
        if port < 1024:
            yield port + MOVED


def _by_scheme(
    listeners: Sequence[Listener], request: Request
) -> tuple[list[Listener], tuple[str, ...]]:
    tls = request.scheme == "https"
    found = [
        it
        for it in listeners
        if any(
            chain.tls == tls and (chain.manager is not None or chain.cluster)
            for chain in it.every_chain
        )
    ]
    if not found:
        return [], (f"no listener for {request.scheme}",)
    names = ", ".join(it.name for it in found)
    return found, ((f"the port is not known: it may be any of {names}",) if len(found) > 1 else ())


def server_name(request: Request) -> str | None:
    """In the handshake: None without TLS, "" where a client sends none."""
    if request.scheme != "https":
        return None
    name = request.sni if request.sni is not None else without_port(request.host)
    return "" if _is_address(name) else name.lower().removesuffix(".")


def _is_address(name: str) -> bool:
    try:
        ipaddress.ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def chain(
    listener: Listener, request: Request, local: str | None
) -> tuple[Chain | None, tuple[str, ...]]:
    """
    The chain that takes it (Envoy, source/common/listener_manager/filter_chain_manager_impl.cc):
    one criterion after the other, the most exact answer of each stays, and there is no way back.
    """
    name = server_name(request)
    address, port = _place(local)
    notes = []
    left = list(listener.chains)
    if listener.raw.get("filter_chain_matcher"):
        notes.append(f"listener {listener.name}: its matcher tree is not followed")
    sees = listener.inspects_tls and name is not None
    choices: tuple[_Choice, ...] = (
        lambda it: _ports(it, port or listener.port),
        lambda it: _networks(it, "prefix_ranges", address),
        lambda it: _names(it, name if sees and name else ""),
        lambda it: _exact(it, "transport_protocol", ("tls" if sees else "raw_buffer",)),
        lambda it: _exact(it, "application_protocols", _protocols(listener, request)),
    )
    for choose in choices:
        left = choose(left)
    asks_source = ("direct_source_prefix_ranges", "source_prefix_ranges", "source_ports")
    if len(left) > 1 or any(it.match.get(key) for it in left for key in asks_source):
        notes.append(f"listener {listener.name}: its chains differ by where a client comes from")
    found = left[0] if left else listener.default
    return found, tuple(notes)


def _ports(left: list[Chain], port: int) -> list[Chain]:
    exact = [it for it in left if it.match.get("destination_port") == port]
    return exact or [it for it in left if not it.match.get("destination_port")]


def _networks(left: list[Chain], key: str, address: str) -> list[Chain]:
    """The longest network that the address is in, else those that take any."""
    best: dict[int, list[Chain]] = {}
    for it in left:
        ranges = it.match.get(key)
        if not isinstance(ranges, list) or not ranges:
            best.setdefault(-1, []).append(it)
            continue
        lengths = [length for one in ranges if (length := _length(one, address)) is not None]
        if lengths:
            best.setdefault(max(lengths), []).append(it)
    return best[max(best)] if best else []


def _length(network: Any, address: str) -> int | None:
    """Of a network that holds the address."""
    if not isinstance(network, dict) or not address:
        return None
    try:
        known = ipaddress.ip_network(
            f"{network.get('address_prefix')}/{network.get('prefix_len', 0)}", strict=False
        )
        return known.prefixlen if ipaddress.ip_address(address) in known else None
    except ValueError:
        return None


def covering(names: Sequence[str], name: str) -> str | None:
    """
    The server name that covers a name: the same, else the longest "*.suffix"; None where none does.
    """
    if name in names:
        return name
    fitting = [
        it for it in names if it.startswith("*.") and name.endswith(it[1:]) and name != it[1:]
    ]
    return max(fitting, key=len, default=None)


def _names(left: list[Chain], name: str) -> list[Chain]:
    """Those of the name that covers it best, else those that take any."""
    best: dict[int, list[Chain]] = {}
    for it in left:
        covers = covering(it.server_names, name) if name else None
        if covers is not None:
            best.setdefault(1000 if covers == name else len(covers), []).append(it)
        elif not it.server_names:
            best.setdefault(-1, []).append(it)
    return best[max(best)] if best else []


def _exact(left: list[Chain], key: str, wanted: Sequence[str]) -> list[Chain]:
    for one in wanted:
        found = [it for it in left if _asks(it, key, one)]
        if found:
            return found
    return [it for it in left if not it.match.get(key)]


def _asks(chain: Chain, key: str, wanted: str) -> bool:
    value = chain.match.get(key)
    return wanted in value if isinstance(value, list) else value == wanted


def _protocols(listener: Listener, request: Request) -> Sequence[str]:
    """What a client offers (ALPN), or the HTTP inspector finds without TLS."""
    two = request.version.startswith("2")
    if request.scheme == "https":
        offered = ("h2", "http/1.1") if two else ("http/1.1",)
        return offered if listener.inspects_tls else ()
    filters = listener.raw.get("listener_filters")
    found = filters if isinstance(filters, list) else []
    if any(isinstance(it, dict) and is_a(it, "HttpInspector", "http_inspector") for it in found):
        return ("h2c",) if two else ("http/1.1",)
    return ()


def refused(chain: Chain, request: Request) -> str:
    """Why a chain cannot make anything of the connection, "" where it can."""
    if chain.tls and request.scheme == "http":
        return f"filter chain {chain.name} wants TLS, and the request comes without"
    if not chain.tls and request.scheme == "https" and chain.manager is not None:
        return f"filter chain {chain.name} has no TLS, and the request comes with it"
    return ""
