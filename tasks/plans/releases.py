"""
Releases of Envoy Gateway as data: lines, patches, ends of life and CVEs. ``versions.py`` answers
questions about them.

A new release is a new row here; nothing else in the project lists versions.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date


@dataclass(frozen=True)
class Line:
    """
    One release line, such as 1.9 (Envoy Gateway compatibility matrix, news/releases/matrix.md).

    + minor: such as "1.9"
    + gateway_api: bundle of Gateway API CRDs in its charts, such as "v1.6.1"
    + kubernetes: oldest and newest supported minor, such as ("1.33", "1.36"); both included
    + end_of_life: last day with fixes
    + newest: newest patch known here; later ones may exist
    + envoy: default Envoy of each patch, such as {"1.9.1": "1.39.1"} (``DefaultEnvoyProxyImage`` in
      api/v1alpha1/shared_types.go at the tag: the matrix names only the first patch's)
    + operated: installed, upgraded and proven in the lab; for other lines only the way out of them
      is checked
    """

    minor: str
    gateway_api: str
    kubernetes: tuple[str, str]
    end_of_life: date
    newest: str
    envoy: Mapping[str, str] = field(default_factory=dict)
    operated: bool = False

    @property
    def stop(self) -> str:
        """The patch for a stop on the way to a later line: the newest whose Envoy is known."""
        return self.newest if self.newest in self.envoy else [*self.envoy][-1]


@dataclass(frozen=True)
class Cve:
    """
    One published fault (release-notes/v*.yaml, "security updates").

    + id: a CVE, or a GHSA that has no CVE
    + what: what can happen, in a few words
    + fixed_in: first patch with the fix, of each line that got one; later lines have it, earlier
      ones never will
    + since: first release with the fault, or ``None`` where every one before the fix has it
    """

    id: str
    what: str
    fixed_in: tuple[str, ...]
    since: str | None = None


_LINES = (
    Line("1.2", "v1.2.1", ("1.28", "1.31"), date(2025, 5, 6), "1.2.8", {"1.2.8": "1.32.4"}),
    Line("1.3", "v1.2.1", ("1.29", "1.32"), date(2025, 7, 30), "1.3.3", {"1.3.3": "1.33.3"}),
    Line("1.4", "v1.3.0", ("1.30", "1.33"), date(2025, 11, 13), "1.4.6", {"1.4.6": "1.34.10"}),
    Line("1.5", "v1.3.0", ("1.30", "1.33"), date(2026, 2, 13), "1.5.9", {"1.5.9": "1.35.8"}),
    Line(
        minor="1.6",
        gateway_api="v1.4.1",  # the matrix says v1.4.0, the charts hold v1.4.1
        kubernetes=("1.30", "1.33"),
        end_of_life=date(2026, 5, 13),
        newest="1.6.7",
        envoy={
            "1.6.0": "1.36.2",
            "1.6.1": "1.36.3",
            "1.6.2": "1.36.3",
            "1.6.3": "1.36.4",
            "1.6.4": "1.36.4",
            "1.6.5": "1.36.5",
            "1.6.6": "1.36.6",
            "1.6.7": "1.36.6",
        },
    ),
    Line(
        minor="1.7",
        gateway_api="v1.4.1",
        kubernetes=("1.32", "1.35"),
        end_of_life=date(2026, 8, 5),
        newest="1.7.5",
        envoy={
            "1.7.0": "1.37.0",
            "1.7.1": "1.37.1",
            "1.7.2": "1.37.2",
            "1.7.3": "1.37.2",
            "1.7.4": "1.37.3",
            "1.7.5": "1.37.5",
        },
    ),
    Line(
        minor="1.8",
        gateway_api="v1.5.1",
        kubernetes=("1.32", "1.35"),
        end_of_life=date(2026, 11, 8),
        newest="1.8.4",  # published, but neither its source nor its notes could be had: no Envoy
        envoy={"1.8.0": "1.38.0", "1.8.1": "1.38.1", "1.8.2": "1.38.3", "1.8.3": "1.38.3"},
        operated=True,
    ),
    Line(
        minor="1.9",
        gateway_api="v1.6.1",
        kubernetes=("1.33", "1.36"),
        end_of_life=date(2027, 2, 14),
        newest="1.9.1",
        envoy={"1.9.0": "1.39.0", "1.9.1": "1.39.1"},
        operated=True,
    ),
)
LINES: Mapping[str, Line] = {it.minor: it for it in _LINES}

_JUNE_2026 = ("1.7.4", "1.8.1")
CVES = (
    Cve("CVE-2025-24030", "Envoy's admin interface is open on the metrics port", ("1.2.6",)),
    Cve("CVE-2025-25294", "requests forge lines of the access log", ("1.2.7", "1.3.1")),
    Cve("CVE-2025-30157", "Envoy crashes with ext_proc", ("1.2.8", "1.3.2")),
    Cve("CVE-2025-64527", "Envoy crashes with a remote JWKS", ("1.5.6", "1.6.1")),
    Cve("CVE-2026-22771", "Lua policies run any code", ("1.5.7", "1.6.2"), since="1.4.0"),
    Cve("CVE-2026-33186", "gRPC authorization of the controller is passed by", ("1.6.7", "1.7.3")),
    Cve("CVE-2026-47774", "HTTP/2 headers exhaust Envoy's memory", _JUNE_2026),
    Cve("CVE-2026-47692", "and 12 more faults of Envoy, June 2026", ("1.7.5", "1.8.2")),
    Cve("GHSA-22xc-xg2r-9j7v", "GatewayNamespace mode: xDS open to all", _JUNE_2026, "1.3.0"),
    Cve("GHSA-wcrf-9vrr-854f", "Lua policies read the controller's files", _JUNE_2026, "1.4.0"),
    Cve("GHSA-fcrp-7gc2-93g7", "custom backends need no ReferenceGrant", _JUNE_2026),
    Cve("GHSA-m2v6-2jmh-4c68", "a SecurityPolicy stops the controller", _JUNE_2026, "1.6.0"),
    Cve("GHSA-cxpq-8v7q-cg56", "a Wasm module exhausts the controller's memory", _JUNE_2026),
    # 1.8.4 is of the same day as 1.9.1 and may have these two as well: warned of until its notes
    # are at hand
    Cve("CVE-2026-47775", "OIDC session cookies can be decrypted", ("1.9.1",)),
    Cve("GHSA-w42f-28h3-998w", "an EnvoyProxy drops the hardened securityContext", ("1.9.1",)),
)
