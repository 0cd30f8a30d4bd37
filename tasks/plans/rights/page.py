"""The tables of docs/rights.md."""

from __future__ import annotations

from collections.abc import Iterable

from tasks.plans.permissions import Right
from tasks.plans.rights.deploys import DEPLOYS, of
from tasks.plans.rights.places import Places

#: Words in the place of what an inventory says.
_OBJECTS = "*its objects*"
_AT = Places(
    "*controller*",
    "eg",
    proxies=("*proxies*",),
    gateways=("*Gateways*",),
    written=((_OBJECTS, "*theirs*"),),
    secrets={"*certificates*": ("*theirs*",)},
    asked=("*certificates*",),
    granting=("*certificates*",),
    monitoring="*monitoring*",
)


def tables() -> str:
    """A section a deploy: what every run needs, then what few do, with the reason."""
    return "\n".join(_section(it) for it in DEPLOYS)


def _section(deploy: str) -> str:
    rows = _rows(of(deploy, _AT))
    if not rows:
        return f"## {deploy}\nNone: it asks no cluster.\n"
    head = "| resources | verbs | in | objects | only where |\n| --- | --- | --- | --- | --- |"
    return "\n".join([f"## {deploy}", head, *rows, ""])


def _rows(rights: Iterable[Right]) -> list[str]:
    """What is allowed in the same way stands together."""
    verbs: dict[tuple[str, str | None, tuple[str, ...], str], list[str]] = {}
    for it in rights:
        verbs.setdefault((it.resource, it.namespace, it.names, it.rare), []).append(it.verb)
    together: dict[tuple[str | None, tuple[str, ...], str, str], list[str]] = {}
    for (resource, place, names, rare), words in verbs.items():
        together.setdefault((place, names, rare, " ".join(words)), []).append(resource)
    return [
        f"| {_by_group(resources)} | {words} | {place or ''} | {', '.join(names)} | {rare} |"
        for (place, names, rare, words), resources in together.items()
    ]


def _by_group(resources: Iterable[str]) -> str:
    """Such as "gateways, httproutes (gateway.networking.k8s.io)"; core ones stand alone."""
    groups: dict[str, list[str]] = {}
    for it in resources:
        name, _, group = it.partition(".")
        groups.setdefault(group, []).append(name)
    return "; ".join(
        ", ".join(names) + (f" ({group})" if group else "") for group, names in groups.items()
    )
