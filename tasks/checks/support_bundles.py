"""What a support bundle lacks."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from tasks.checks.findings import Finding, Where


def findings(
    cluster: str, proxies: Collection[str], told: Collection[str], missing: Mapping[str, str]
) -> Iterator[Finding]:
    """
    + proxies: those that run, such as "Pod edge/envoy-1"; + told: those whose configuration is
      there
    + missing: what could not be read, and why: {"leases.coordination.k8s.io": "no right to list"}
    """
    if proxies and not told:
        reasons = [why for what, why in missing.items() if what.startswith(("the port", *proxies))]
        yield Finding(
            "GW992",
            "warning",
            Where(cluster, next(iter(proxies)) if len(proxies) == 1 else f"{len(proxies)} proxies"),
            f"the bundle has no configuration of a proxy ({', '.join(dict.fromkeys(reasons))})",
            "give the right to create pods/portforward, and run it again",
        )
    for what, why in missing.items():
        fix = "give the right, or go on without it" if "right" in why else "see why"
        yield Finding("GW991", "info", Where(cluster, what), f"not in the bundle: {why}", fix)
