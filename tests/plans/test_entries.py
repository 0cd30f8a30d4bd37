"""Entries of an inventory that ask Azure for clusters: how they read, and whom they mean."""

from __future__ import annotations

import pytest

from tasks.plans import entries
from tasks.plans.aks import ManagedCluster
from tasks.plans.entries import Entry, Filter, Subscription


def cluster(
    name: str, group: str = "weu", location: str = "westeurope", **tags: str
) -> ManagedCluster:
    place = f"/subscriptions/S/resourceGroups/{group}"
    id_ = f"{place}/providers/Microsoft.ContainerService/managedClusters/{name}"
    return ManagedCluster(id_, name, location, f"MC_{name}", tags=tags)


FLEET = [
    cluster("weu-1", environment="Production"),
    cluster("weu-2", environment="staging"),
    cluster("neu-1", "neu", "northeurope", environment="production", Team="edge"),
]


READ = [
    pytest.param("lab", Entry("lab"), id="a subscription"),
    pytest.param("lab/weu/", Entry("lab", "weu"), id="a group"),
    pytest.param("lab/weu/weu-1", Entry("lab", "weu", "weu-1"), id="a cluster"),
    pytest.param("My%20Lab%2FEU", Entry("My Lab/EU"), id="signs that would mean something"),
    pytest.param(
        "lab?tag.Environment=Prod*&location!=northeurope&prefix=A-",
        Entry(
            "lab",
            filters=(Filter("tag.environment", "prod*"), Filter("location", "northeurope", True)),
            prefix="A-",
        ),
        id="filters",
    ),
]


@pytest.mark.parametrize(("text", "entry"), READ)
def test_reads_an_entry(text: str, entry: Entry) -> None:
    assert entries.entry(text) == entry


HOW = "write @aks/<subscription>, or /<group> and /<cluster> behind it"
WRONG = [
    pytest.param("", HOW, id="nothing"),
    pytest.param("a//b", HOW, id="an empty part"),
    pytest.param("a/b/c/d", HOW, id="too many parts"),
    pytest.param("?location=x", HOW, id="no subscription"),
    pytest.param(
        "a?location", "'location' is no filter: write such as location=westeurope", id="no value"
    ),
    pytest.param("a?", None, id="an empty query is none"),
    pytest.param("a?loction=x", "no filter loction: did you mean location?", id="misspelt"),
    pytest.param(
        "a?x=y", "no filter x: there are name, location, fleet, prefix, tag.<name>", id="unknown"
    ),
    pytest.param("a?fleet=x", "'fleet=x': a fleet is <group>/<fleet>", id="a fleet without group"),
]


@pytest.mark.parametrize(("text", "line"), WRONG)
def test_says_what_is_wrong_with_an_entry(text: str, line: str | None) -> None:
    if line is None:
        entries.entry(text)
        return
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole line is compared
        entries.entry(text)
    assert str(error.value) == line


CHOSEN = [
    pytest.param("s", ["weu-1", "weu-2", "neu-1"], id="all"),
    pytest.param("s/WEU", ["weu-1", "weu-2"], id="a group, without case"),
    pytest.param("s/weu/Weu-2", ["weu-2"], id="a cluster, without case"),
    pytest.param("s?tag.environment=production", ["weu-1", "neu-1"], id="a tag, without case"),
    pytest.param("s?tag.environment!=production", ["weu-2"], id="but"),
    pytest.param("s?tag.team=*", ["neu-1"], id="a tag that is there"),
    pytest.param("s?tag.team!=*", ["weu-1", "weu-2"], id="a tag that is not"),
    pytest.param("s?name=weu-1&name=neu-*", ["weu-1", "neu-1"], id="one of two"),
    pytest.param("s?location=northeurope&tag.environment=prod*", ["neu-1"], id="both of two"),
    pytest.param("s?fleet=Europe/All", ["weu-2", "neu-1"], id="members of a fleet"),
]


@pytest.mark.parametrize(("text", "names"), CHOSEN)
def test_chooses_clusters(text: str, names: list[str]) -> None:
    members = {"europe/all": {FLEET[1].key, FLEET[2].key}}
    found = entries.chosen(entries.entry(text), FLEET, members)
    assert [it.name for it in found] == names


NOBODY = [
    pytest.param(
        "s/nue",
        "no AKS cluster is in resource group nue: they are in neu, weu",
        id="a group without clusters",
    ),
    pytest.param(
        "s/weu/weu-3", "no AKS cluster weu-3 is in weu: did you mean weu-2?", id="unknown cluster"
    ),
    pytest.param(
        "s/weu/shop",
        "no AKS cluster shop is in weu: there are weu-1, weu-2",
        id="a cluster like no other",
    ),
    pytest.param(
        "s?location=mars", "no AKS cluster passes these filters, of 3: correct them", id="filters"
    ),
]


@pytest.mark.parametrize(("text", "line"), NOBODY)
def test_an_entry_that_means_nobody_is_wrong(text: str, line: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole line is compared
        entries.chosen(entries.entry(text), FLEET, {})
    assert str(error.value) == line


KNOWN = [
    Subscription("1111", "Shop EU", "T"),
    Subscription("2222", "Shop US", "T"),
    Subscription("3333", "shop us", "T"),
    Subscription("4444", "Data", "T"),
]


def test_a_subscription_has_an_id_and_a_name_without_case() -> None:
    assert entries.named("shop eu", KNOWN) == KNOWN[0]
    assert entries.named("3333", KNOWN) == KNOWN[2]


UNKNOWN = [
    pytest.param(
        "shop us", "'shop us' is the name of 2222 and 3333: write the id of one of them", id="two"
    ),
    pytest.param(
        "Shop UE",
        "this identity sees no subscription 'Shop UE', but shop us, Shop EU: correct it, or give "
        "the identity a role there",
        id="misspelt",
    ),
]


@pytest.mark.parametrize(("text", "line"), UNKNOWN)
def test_says_which_subscriptions_there_are(text: str, line: str) -> None:
    with pytest.raises(ValueError) as error:  # noqa: PT011  # the whole line is compared
        entries.named(text, KNOWN)
    assert str(error.value) == line


def test_an_identity_that_sees_nothing_needs_a_role() -> None:
    with pytest.raises(ValueError, match=r"^this identity sees no subscription: az role"):
        entries.named("lab", [])
