"""Which rights each deploy needs, and which of them few of its runs do."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from tasks.plans.permissions import Right
from tasks.plans.rights import deploys, page
from tasks.plans.rights.places import Places

ROOT = Path(__file__).resolve().parents[2]
GATEWAYS = "gateways.gateway.networking.k8s.io"
AT = Places(
    "eg",
    "eg",
    proxies=("eg",),
    gateways=("edge",),
    written=((GATEWAYS, "edge"),),
    secrets={"edge": ("tls",)},
)
#: Those that write, even where nothing rare happens, on a cluster.
WRITING = {
    *(
        "install",
        "upgrade",
        "rollback",
        "crds",
        "restore",
        "drill",
        "rehearse",
        "issuers",
        "monitoring",
    ),
    *("rotate_certificates", "rotate_control_plane"),
    # the Lease alone, where nothing differs
    *("gateways", "dynamic_routing", "reserve_public_ip"),
}
ASKING = ("get", "list", "watch")


def test_every_deploy_has_its_rights() -> None:
    assert sorted(deploys.DEPLOYS) == sorted(it.stem for it in (ROOT / "deploys").glob("*.py"))


@pytest.mark.parametrize("deploy", list(deploys.DEPLOYS))
def test_each_right_stands_once(deploy: str) -> None:
    rights = deploys.of(deploy, AT)
    assert len(set(rights)) == len(rights)


@pytest.mark.parametrize("deploy", list(deploys.DEPLOYS))
def test_what_reads_needs_no_right_to_write(deploy: str) -> None:
    writes = [
        it
        for it in deploys.of(deploy, AT)
        if it.verb not in ASKING and it.resource != deploys.FORWARDED and not it.rare
    ]
    assert bool(writes) == (deploy in WRITING)


def test_what_is_needed_and_rare_counts_as_needed() -> None:
    secrets = Right("get", "secrets", "eg")
    found = next(it for it in deploys.of("upgrade", AT) if it == secrets)
    assert found.rare == ""


def test_objects_are_written_where_they_are() -> None:
    written = [it for it in deploys.of("install", AT) if it.resource == GATEWAYS]
    assert [(it.verb, it.namespace) for it in written] == [
        ("list", None),
        ("create", "edge"),
        ("patch", "edge"),
    ]


def test_escalation_is_for_the_roles_of_the_chart_alone() -> None:
    found = [it for it in deploys.of("upgrade", AT) if it.verb in deploys.UNASKED]
    assert {it.resource.partition(".")[0] for it in found} == {"roles", "clusterroles"}
    assert all(name.startswith("eg-gateway-helm-") for it in found for name in it.names)


def test_secrets_of_a_rotation_are_named() -> None:
    found = {it for it in deploys.of("rotate_certificates", AT) if it.resource == "secrets"}
    assert found == {Right(it, "secrets", "edge", ("tls",)) for it in ("get", "patch", "create")}


def test_before_the_first_write_the_way_back_is_asked_for_too() -> None:
    asked = deploys.before_writing(AT, ["tcproutes.gateway.networking.k8s.io"])
    assert Right("delete", "pods", "eg") in asked
    assert Right("create", GATEWAYS, "edge") in asked
    assert Right("delete", GATEWAYS, "edge") not in asked
    assert Right("patch", "tcproutes.gateway.networking.k8s.io") in asked
    assert {it.verb for it in asked}.isdisjoint(deploys.UNASKED)
    assert deploys.FORWARDED not in {it.resource for it in asked}
    assert len(set(asked)) == len(asked)


def test_proxies_beside_their_gateways_are_listed_everywhere() -> None:
    beside = Places("eg", "eg", proxies=("edge",), gateways=("edge",), beside=True)
    rights = deploys.of("rotate_certificates", beside)
    assert Right("list", "pods") in rights
    assert deploys.to_ask_proxies(beside) == [
        Right("get", "pods/portforward", "edge"),
        Right("create", "pods/portforward", "edge"),
    ]


def test_the_page_is_the_table() -> None:
    text = (ROOT / "docs/rights.md").read_text()
    assert text.endswith(page.tables()), "python -m tasks.rights --page writes its end"


@pytest.mark.parametrize("deploy", ["upgrade", "restore", "drill"])
def test_what_preflight_asks_for_is_among_the_rights_of_who_asks(deploy: str) -> None:
    at = AT if deploy == "upgrade" else replace(AT, written=())
    given = deploys.of(deploy, at)
    lacking = [it.text for it in deploys.before_writing(at) if not is_given(it, given)]
    assert lacking == []


def is_given(wanted: Right, given: list[Right]) -> bool:
    return any(
        it.verb == wanted.verb
        and it.resource in (wanted.resource, "*.*")
        and it.namespace in (None, wanted.namespace)
        and (not it.names or it.names == wanted.names)
        for it in given
    )
