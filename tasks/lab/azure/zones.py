"""DNS zones and their record sets (Azure REST API reference, DNS)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tasks.lab.azure import ids
from tasks.lab.azure.catalogue import RECORDS
from tasks.lab.azure.rules import Resource, Rules, properties, with_properties

if TYPE_CHECKING:
    from tasks.lab.azure.state import Azure

ZONE = "Microsoft.Network/dnszones"
SERVERS = ["ns1-01.azure-dns.com.", "ns2-01.azure-dns.net."]


def put_zone(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    """With the records that every zone begins with."""
    if old is None:
        servers = [{"nsdname": it} for it in SERVERS]
        azure.put(f"{resource['id']}/NS/@", {"properties": {"TTL": 172800, "NSRecords": servers}})
        azure.put(f"{resource['id']}/SOA/@", {"properties": {"TTL": 3600, "SOARecord": _START}})
    return with_properties(
        {"location": "global", **resource},
        provisioningState=None,
        maxNumberOfRecordSets=10000,
        nameServers=SERVERS,
        zoneType="Public",
    )


_START = {
    "host": SERVERS[0],
    "email": "azuredns-hostmaster.microsoft.com",
    "serialNumber": 1,
    "refreshTime": 3600,
    "retryTime": 300,
    "expireTime": 2419200,
    "minimumTTL": 300,
}


def view_zone(azure: Azure, resource: Resource) -> Resource:
    return with_properties(resource, numberOfRecordSets=len(records(azure, resource["id"])))


def records(azure: Azure, zone: str) -> list[Resource]:
    """All record sets of a zone."""
    return [it for kind in RECORDS for it in azure.of(f"{ZONE}/{kind}", zone)]


def put_record(azure: Azure, resource: Resource, old: Resource | None) -> Resource:
    zone = ids.target(resource["id"]).names[0]
    name = "" if resource["name"] == "@" else f"{resource['name']}."
    said = properties(resource)
    return with_properties(
        resource,
        TTL=said.get("TTL", 3600),
        fqdn=f"{name}{zone}.",
        targetResource=said.get("targetResource") or {},
    )


ZONES = Rules(put=put_zone, view=view_zone)
RECORD_SETS = Rules(put=put_record)
