"""
Where the load balancer sends what arrives for an address: endpoints, and the rules of nftables.

The rules are the load balancer's own, in the node's network namespace. kube-proxy stays out of it,
because Services get their address with ``ipMode: Proxy``.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

SERVICE_NAME = "kubernetes.io/service-name"


class Frontend(NamedTuple):
    """What clients connect to."""

    address: str
    protocol: str
    port: int


class Target(NamedTuple):
    """A Pod and its port."""

    address: str
    port: int


def ready(
    service: Mapping[str, Any], address: str, slices: Iterable[Mapping[str, Any]]
) -> dict[Frontend, set[Target]]:
    """The ready endpoints behind each port of a Service; a port without any is there, and empty."""
    own = [
        one
        for one in slices
        if one["metadata"]["namespace"] == service["metadata"]["namespace"]
        and one["metadata"].get("labels", {}).get(SERVICE_NAME) == service["metadata"]["name"]
        and one["addressType"] == "IPv4"
    ]
    found: dict[Frontend, set[Target]] = {}
    for port in service["spec"].get("ports") or []:
        frontend = Frontend(address, port.get("protocol", "TCP").lower(), port["port"])
        found[frontend] = {
            Target(endpoint["addresses"][0], number)
            for one in own
            for number in _numbers(one, port.get("name", ""))
            for endpoint in one.get("endpoints") or []
            if endpoint.get("conditions", {}).get("ready") is not False
        }
    return found


def _numbers(one: Mapping[str, Any], name: str) -> list[int]:
    ports = one.get("ports") or []
    return [port["port"] for port in ports if (port.get("name") or "") == name and port.get("port")]


class Verdict(NamedTuple):
    """Whether clients of these ranges may connect; without ranges: whoever is left."""

    sources: tuple[str, ...]
    allows: bool


class Leaving:
    """
    Which endpoints still get traffic: the ready ones, and for some seconds those that were. Azure's
    load balancer notices a leaving endpoint by failed probes; kube-proxy would at once.
    """

    def __init__(self) -> None:
        self._left: dict[Frontend, dict[Target, float | None]] = {}

    def targets(
        self, now_ready: Mapping[Frontend, set[Target]], now: float, seconds: float
    ) -> dict[Frontend, list[Target]]:
        """The targets of each frontend at ``now``, with those that left ``seconds`` ago."""
        left: dict[Frontend, dict[Target, float | None]] = {}
        for frontend, targets in now_ready.items():
            seen: dict[Target, float | None] = dict.fromkeys(targets)
            for target, since in self._left.get(frontend, {}).items():
                since = now if since is None else since
                if target not in seen and now - since < seconds:
                    seen[target] = since
            left[frontend] = seen
        self._left = left
        return {frontend: sorted(seen) for frontend, seen in left.items()}


def rules(
    forwards: Mapping[Frontend, list[Target]],
    block: str,
    verdicts: Mapping[Frontend, Sequence[Verdict]] | None = None,
) -> str:
    """
    The load balancer's whole table. What arrives for an address of ours and is not sent on to an
    endpoint is refused. New connections only are decided here; a running one stays where it is.

    + block: such as "10.200.18.0/24", or a set: "{ 10.200.18.0/24, 10.200.252.4 }"
    + verdicts: who may connect from outside the node; without any for a frontend: everyone
    """
    lines = [
        f"ip daddr {front.address} {front.protocol} dport {front.port} dnat to {_choice(targets)}"
        for front, targets in sorted(forwards.items())
        if targets
    ]
    forward = "\n    ".join(lines)
    guard = _guard(verdicts) if verdicts else ""
    return f"""\
table ip envoyfleet {{}}
delete table ip envoyfleet
table ip envoyfleet {{{guard}
  chain forward {{
    {forward}
  }}
  chain refuse {{
    ip daddr {block} meta l4proto tcp reject with tcp reset
    ip daddr {block} reject
  }}
  chain arriving {{ type nat hook prerouting priority -110; jump forward; }}
  chain leaving {{ type nat hook output priority -110; jump forward; }}
  chain arrived {{ type filter hook prerouting priority -90; jump refuse; }}
  chain left {{ type filter hook output priority 0; jump refuse; }}
}}
"""


def _guard(verdicts: Mapping[Frontend, Sequence[Verdict]]) -> str:
    lines = [
        f"ip daddr {front.address} {front.protocol} dport {front.port} {_verdict(one)}"
        for front, found in sorted(verdicts.items())
        for one in found
    ]
    guard = "\n    ".join(lines)
    return f"""
  chain guard {{
    {guard}
  }}
  chain guarded {{
    type filter hook prerouting priority -120; iifname "eth0" ct state new jump guard;
  }}"""


def _verdict(one: Verdict) -> str:
    sources = f"ip saddr {{ {', '.join(one.sources)} }} " if one.sources else ""
    return f"{sources}{'accept' if one.allows else 'drop'}"


def _choice(targets: list[Target]) -> str:
    if len(targets) == 1:
        return f"{targets[0].address}:{targets[0].port}"
    entries = ", ".join(f"{n} : {one.address} . {one.port}" for n, one in enumerate(targets))
    return f"numgen random mod {len(targets)} map {{ {entries} }}"
