"""How a Gateway asks for a public IP, and what it has of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tasks.plans import arm, public_ips
from tasks.plans.kinds import title
from tasks.plans.public_ips import Claim, Landscape

Object = Mapping[str, Any]


def asking_for(name: str, group: str | None) -> dict[str, str]:
    """
    The annotations of a Service that ask for a public IP.

    + group: its resource group, None for the cluster's node resource group
    """
    return {public_ips.NAME[False]: name, **({public_ips.GROUP: group} if group else {})}


def envoy_proxy(gateway: str) -> str:
    """The name of the EnvoyProxy that gives the Service of one Gateway its annotations."""
    return f"{gateway}-public-ip"


def own_proxies(gateway: str) -> str:
    """The name of the EnvoyProxy of a Gateway that has its own proxies and no public IP."""
    return f"{gateway}-proxies"


def others_proxy(gateway: Object) -> str | None:
    """
    The settings that a Gateway has from somebody else, such as "EnvoyProxy custom", or None where
    it has none but ours.
    """
    ref = (gateway["spec"].get("infrastructure") or {}).get("parametersRef")
    name = gateway["metadata"]["name"]
    if not ref or ref.get("name") in (envoy_proxy(name), own_proxies(name)):
        return None
    return f"{ref.get('kind')} {ref.get('name')}"


def moves(claim: Claim, address: str | None, there: Landscape) -> str | None:
    """
    What happens to the address that a Service has today where it is to get another one; None where
    it has none or keeps it.

    + address: that it gets, None where Azure is going to choose it
    """
    now = claim.addresses(False)
    if not now or claim.internal or address in now:
        return None
    has = public_ips.serving(claim, there)
    name = f" (public IP {public_ips.group_of(has)}/{public_ips.named(has)})" if has else ""
    return (
        f"{claim.title} is reached at {', '.join(now)}{name} and gets "
        f"{address or 'another address'}: the former one ends at once, and clients follow when DNS "
        "does: to keep it, see docs/reserve_public_ip.md"
    )


def not_carried(gateway: str, address: str, claim: Claim | None) -> list[str]:
    """
    What a Gateway still lacks of its address, a line.

    + gateway: such as "Gateway edge/public"; + claim: None where it is not there
    """
    mine = [it for it in (claim.gateways if claim else ()) if title(it) == gateway]
    if claim is None or not mine:
        return [f"{gateway} is not there any more"]
    if claim.service is None:
        return [f"{gateway}: no Service yet"]
    has = claim.addresses(False)
    if address not in has:
        said = f": {claim.events[0]}" if claim.events else ""
        return [f"{gateway}: its Service has {', '.join(has) or 'no address'}, not {address}{said}"]
    shown = [arm.text(it, "value") for it in arm.objects(mine[0], "status", "addresses")]
    if address not in shown:
        return [f"{gateway}: its status has {', '.join(shown) or 'no address'}, not {address}"]
    return []
