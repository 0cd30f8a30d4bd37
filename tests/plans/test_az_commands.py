"""Commands that an operator copies: every name quoted as a shell needs it."""

from __future__ import annotations

import shlex

from tasks.plans import az_commands
from tests.azure_situations import SUBSCRIPTION, group, network, public_ip, security


def test_names_are_quoted() -> None:
    command = az_commands.lock(public_ip(of="rg (west)"))
    assert "-g 'rg (west)'" in command
    assert shlex.split(command)[:4] == ["az", "lock", "create", "--name"]


def test_without_zones_none_are_named() -> None:
    assert "--zone" not in az_commands.create(group("g"), "a", "westus", ())


def test_a_record_of_ipv6_is_another_kind() -> None:
    zone = network("dnszones", "example.com", "dns")
    assert az_commands.record(zone, "@", "2603::5", ["2603::4"]) == (
        f"az network dns record-set aaaa add-record --subscription {SUBSCRIPTION} -g dns "
        f"-z example.com -n @ -a 2603::5 && az network dns record-set aaaa remove-record "
        f"--subscription {SUBSCRIPTION} -g dns -z example.com -n @ -a 2603::4"
    )


def test_what_lies_in_no_group_or_nowhere() -> None:
    assert az_commands.place(f"/subscriptions/{SUBSCRIPTION}/providers/A/b/c") == [
        "--subscription",
        SUBSCRIPTION,
    ]
    assert az_commands.place("nothing") == []
    assert "--nsg-name aks-agentpool-1-nsg" in az_commands.allow(
        security(), "a", 100, "Internet", "*", [80]
    )
