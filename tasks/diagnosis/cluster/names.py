"""The name that is asked for, as the DNS servers of the inventory know it."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.diagnosis.cluster.known import Known, Ref, at, found, listed
from tasks.diagnosis.diagnosis import Found


def causes(known: Known) -> Iterator[Found]:
    for called, said in known.evidence.names.items():
        addresses, why = said.get("addresses") or (), said.get("why")
        if not addresses and not why:
            yield found(
                "name_not_resolved",
                Ref("Name", called),
                "",
                f"DNS has no address for {called}: no client gets as far as a Gateway",
                f"make a record for {called} that leads to the address of its Gateway "
                f"({', '.join(_own(known)) or 'it has none'})",
                [f"{called}: no A and no AAAA record"],
                by="client",
            )


def notes(known: Known) -> Iterator[str]:
    """A name that leads elsewhere may do so on purpose: something stands in front."""
    for called, said in known.evidence.names.items():
        addresses, own = said.get("addresses") or (), _own(known)
        if addresses and own and not set(addresses) & set(own):
            yield (
                f"{called} is {', '.join(addresses)} in DNS, no address of a Gateway here "
                f"({', '.join(own)}): clients come through something else, or to another cluster"
            )


def _own(known: Known) -> list[str]:
    return [
        str(it.get("value"))
        for gateway in known.gateways
        for it in listed(at(gateway, "status", "addresses"))
    ]
