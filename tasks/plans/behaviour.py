"""
What a new release line does differently with objects and values that a cluster has.

A new release is new rows; each names its source. Fields that the new schema refuses or drops are
not listed here: ``schemas`` finds those.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from packaging.version import Version

from tasks.plans.kinds import title
from tasks.plans.preflight import Reason, listed

Object = Mapping[str, Any]
Values = Mapping[str, Any]
Meets = Callable[[Object, Values], bool]


@dataclass(frozen=True)
class Change:
    """
    One change of behaviour.

    + line: the release line that brings it, such as "1.9"
    + kinds: of objects that may meet it
    + meets: whether an object does, given the Helm values that will be in force
    + what: what happens then; + fix: what to do
    + stops: it breaks traffic or opens access; else it is a warning
    + source: where it is written
    """

    line: str
    kinds: tuple[str, ...]
    meets: Meets
    what: str
    fix: str
    stops: bool
    source: str


def met(
    installed: str, wanted: str, objects: Mapping[str, Sequence[Object]], values: Values
) -> list[Reason]:
    """
    The changes on the way from ``installed`` to ``wanted`` that objects of this cluster meet, one
    reason a change.

    + objects: by kind, such as {"SecurityPolicy": [...]}; + values: of the release that comes
    """
    found = []
    for change in CHANGES:
        if not _line(installed) < Version(change.line) <= _line(wanted):
            continue
        names = [
            title(it)
            for kind in change.kinds
            for it in objects.get(kind, ())
            if change.meets(it, values)
        ]
        if names:
            found.append(
                Reason(
                    f"since {change.line} {change.what}: {listed(names)}: {change.fix}",
                    "behaviour" if change.stops else None,
                    change.stops,
                )
            )
    return found


def _line(version: str) -> Version:
    release = Version(version).release
    return Version(f"{release[0]}.{release[1]}")


def _spec(thing: Object) -> Mapping[str, Any]:
    found: Mapping[str, Any] = thing.get("spec") or {}
    return found


def _any(thing: Object, values: Values) -> bool:
    return True


def _source_cidrs(thing: Object, values: Values) -> bool:
    rules = (_spec(thing).get("authorization") or {}).get("rules") or ()
    return any((it.get("principal") or {}).get("sourceCIDRs") for it in rules)


def _lua_switched_off(thing: Object, values: Values) -> bool:
    apis = _at(values, "config", "envoyGateway", "extensionApis") or {}
    return bool(_spec(thing).get("lua")) and not apis.get("enableLua")


def _no_client_ip_source(thing: Object, values: Values) -> bool:
    found = _spec(thing).get("clientIPDetection")
    if found is None:
        return False
    ways = ("xForwardedFor", "customHeader", "directSourceIP")
    return sum(it in found for it in ways) != 1


def _merges_at_gateway(thing: Object, values: Values) -> bool:
    spec = _spec(thing)
    targets = [
        *(spec.get("targetRefs") or ()),
        *(spec.get("targetSelectors") or ()),
        *([spec["targetRef"]] if spec.get("targetRef") else ()),
    ]
    return bool(spec.get("mergeType")) and any(
        it.get("kind") in ("Gateway", "ListenerSet") for it in targets
    )


def _extracts_api_keys(thing: Object, values: Values) -> bool:
    return bool((_spec(thing).get("apiKeyAuth") or {}).get("extractFrom"))


def _traces(thing: Object, values: Values) -> bool:
    return bool(_at(_spec(thing), "telemetry", "tracing"))


def _samples_a_fraction(thing: Object, values: Values) -> bool:
    return bool((_at(_spec(thing), "telemetry", "tracing") or {}).get("samplingFraction"))


def _waits_for_ever(thing: Object, values: Values) -> bool:
    return any(
        key.lower().endswith("timeout") and it in ("0s", "0") for key, it in _fields(_spec(thing))
    )


def _oidc_without_refresh(thing: Object, values: Values) -> bool:
    oidc = _spec(thing).get("oidc")
    return oidc is not None and "refreshToken" not in oidc


def _at(thing: Mapping[str, Any], *keys: str) -> Any:
    found: Any = thing
    for key in keys:
        found = found.get(key) if isinstance(found, Mapping) else None
    return found


def _fields(value: Any) -> Iterator[tuple[str, Any]]:
    if isinstance(value, Mapping):
        for key, below in value.items():
            yield key, below
            yield from _fields(below)
    elif isinstance(value, list):
        for it in value:
            yield from _fields(it)


_NOTES = "Envoy Gateway release notes, release-notes/v{}.0.yaml"
CHANGES: tuple[Change, ...] = (
    Change(
        "1.6",
        ("BackendTLSPolicy", "Backend"),
        _any,
        "names of upstream certificates are derived and verified without being asked for",
        "verify that backends' certificates carry the names that they are reached by",
        False,
        _NOTES.format("1.6"),
    ),
    Change(
        "1.6",
        ("SecurityPolicy",),
        _oidc_without_refresh,
        "OIDC uses refresh tokens unless told otherwise",
        "set oidc.refreshToken to what is wanted",
        False,
        _NOTES.format("1.6"),
    ),
    Change(
        "1.7",
        ("EnvoyPatchPolicy",),
        _any,
        "the custom_response filter comes first, and oauth2 has another stat prefix",
        "compare the patches with the configuration of a proxy of that release",
        False,
        _NOTES.format("1.7"),
    ),
    Change(
        "1.8",
        ("SecurityPolicy",),
        _source_cidrs,
        "principal.sourceCIDRs is gone without a release note, so that a restriction by address is "
        "dropped and access is open",
        "write principal.clientCIDRs instead",
        True,
        "Envoy Gateway 1.7 and 1.8 CRDs; envoyproxy/gateway#8471",
    ),
    Change(
        "1.8",
        ("EnvoyProxy",),
        _samples_a_fraction,
        "tracing.samplingFraction samples a hundred times more",
        "divide it by 100",
        False,
        _NOTES.format("1.8"),
    ),
    Change(
        "1.8",
        ("SecurityPolicy",),
        _waits_for_ever,
        "a timeout of 0s waits for ever",
        "write the timeout that is wanted",
        False,
        _NOTES.format("1.8"),
    ),
    Change(
        "1.8",
        ("EnvoyPatchPolicy",),
        _any,
        "OAuth2 filters have another layout",
        "compare the patches with the configuration of a proxy of that release",
        False,
        _NOTES.format("1.8"),
    ),
    Change(
        "1.9",
        ("EnvoyExtensionPolicy",),
        _lua_switched_off,
        "Lua is off unless config.envoyGateway.extensionApis.enableLua is true, and these policies "
        "stop working",
        "set it in templates/envoy-gateway/values.yaml.j2, or take lua out of them",
        True,
        _NOTES.format("1.9"),
    ),
    Change(
        "1.9",
        ("ClientTrafficPolicy",),
        _no_client_ip_source,
        "clientIPDetection must name exactly one of xForwardedFor, customHeader and "
        "directSourceIP, and the policy is refused",
        "name one, or take clientIPDetection out",
        True,
        _NOTES.format("1.9"),
    ),
    Change(
        "1.9",
        ("SecurityPolicy", "BackendTrafficPolicy", "EnvoyExtensionPolicy"),
        _merges_at_gateway,
        "mergeType is refused on policies that target a Gateway",
        "take mergeType out of them",
        True,
        _NOTES.format("1.9"),
    ),
    Change(
        "1.9",
        ("SecurityPolicy",),
        _extracts_api_keys,
        "apiKeyAuth.extractFrom is checked more strictly",
        "look at the policy's conditions on a cluster that was upgraded",
        False,
        _NOTES.format("1.9"),
    ),
    Change(
        "1.9",
        ("EnvoyProxy",),
        _traces,
        "tracing of what clients ask for is sampled at 0 % unless set",
        "set the client sampling that is wanted",
        False,
        _NOTES.format("1.9"),
    ),
    Change(
        "1.9",
        ("EnvoyPatchPolicy",),
        _any,
        "clusters that resolve names are of type envoy.cluster.dns",
        "compare the patches with the configuration of a proxy of that release",
        False,
        _NOTES.format("1.9"),
    ),
)
