from __future__ import annotations

from datetime import date

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from packaging.version import Version

from tasks.plans import versions
from tasks.plans.releases import CVES, LINES, Cve, Line

RELEASES = st.builds("{}.{}.{}".format, *[st.integers(0, 20)] * 3)
KNOWN = st.sampled_from([patch for it in LINES.values() for patch in (*it.envoy, it.newest)])


@pytest.mark.parametrize(
    ("text", "parsed"),
    [
        pytest.param("1.9.1", "1.9.1", id="as people write it"),
        pytest.param("v1.9.1", "1.9.1", id="as the image tag has it"),
        pytest.param("1.10.0", "1.10.0", id="two digits"),
    ],
)
def test_parse(text: str, parsed: str) -> None:
    assert versions.parse(text) == Version(parsed)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        pytest.param(
            "1.9",
            'Envoy Gateway version "1.9" has no patch number: write a release such as "1.9.1"',
            id="no patch number",
        ),
        pytest.param(
            "latest",
            'Envoy Gateway version "latest" is not a release: write a release such as "1.9.1"',
            id="a moving tag",
        ),
        pytest.param(
            "1.9.0-rc.1",
            'Envoy Gateway version "1.9.0-rc.1" is not a release: write a release such as "1.9.1"',
            id="a release candidate",
        ),
        pytest.param(
            1.1,
            "Envoy Gateway version 1.1 is not text: quote it for the shell and for pyinfra, "
            """--data envoy_gateway_version='"1.9.1"'""",
            id="pyinfra made a float of 1.10",
        ),
        pytest.param(
            None,
            "Envoy Gateway version None is not text: quote it for the shell and for pyinfra, "
            """--data envoy_gateway_version='"1.9.1"'""",
            id="unset",
        ),
    ],
)
def test_parse_refuses(text: object, problem: str) -> None:
    with pytest.raises(ValueError, match=r"^Envoy Gateway version") as raised:
        versions.parse(text)
    assert str(raised.value) == problem


@pytest.mark.parametrize(
    ("version", "envoy"),
    [
        pytest.param("1.9.1", "1.39.1", id="newest"),
        pytest.param("v1.9.0", "1.39.0", id="with a v"),
        pytest.param("1.8.3", "1.38.3", id="patch 3 of both"),
        pytest.param("1.8.2", "1.38.3", id="the patches do not run in step"),
        pytest.param("1.7.5", "1.37.5", id="1.7"),
        pytest.param("1.6.7", "1.36.6", id="1.6"),
        pytest.param("1.9.9", None, id="patch not known"),
        pytest.param("1.10.0", None, id="line not known"),
        pytest.param("latest", None, id="no release"),
    ],
)
def test_envoy_version(version: str, envoy: str | None) -> None:
    assert versions.envoy_version(version) == envoy


@pytest.mark.parametrize(
    ("version", "today", "text"),
    [
        pytest.param("1.9.1", date(2026, 11, 21), "2027-02-14", id="supported"),
        pytest.param("1.8.3", date(2026, 11, 8), "2026-11-08", id="on the last day"),
        pytest.param("1.8.3", date(2026, 11, 9), "ended 2026-11-08", id="on the day after"),
        pytest.param("1.10.0", date(2026, 11, 21), "unknown", id="line not known"),
    ],
)
def test_end_of_life(version: str, today: date, text: str) -> None:
    assert versions.end_of_life(version, today) == text


@pytest.mark.parametrize(
    ("version", "ids"),
    [
        pytest.param("1.9.1", [], id="newest has all fixes"),
        pytest.param("1.9.0", ["CVE-2026-47775", "GHSA-w42f-28h3-998w"], id="fixed in 1.9.1"),
        pytest.param(
            "1.8.1",
            ["CVE-2026-47692", "CVE-2026-47775", "GHSA-w42f-28h3-998w"],
            id="fixed in a later patch of its line",
        ),
        pytest.param(
            "1.6.7",
            [
                "CVE-2026-47774",
                "CVE-2026-47692",
                "GHSA-22xc-xg2r-9j7v",
                "GHSA-wcrf-9vrr-854f",
                "GHSA-fcrp-7gc2-93g7",
                "GHSA-m2v6-2jmh-4c68",
                "GHSA-cxpq-8v7q-cg56",
                "CVE-2026-47775",
                "GHSA-w42f-28h3-998w",
            ],
            id="its line got no fix",
        ),
        pytest.param(
            "1.2.8",
            [
                "CVE-2025-64527",
                "CVE-2026-33186",
                "CVE-2026-47774",
                "CVE-2026-47692",
                "GHSA-fcrp-7gc2-93g7",
                "GHSA-cxpq-8v7q-cg56",
                "CVE-2026-47775",
                "GHSA-w42f-28h3-998w",
            ],
            id="older than Lua and GatewayNamespace mode",
        ),
    ],
)
def test_known_cves(version: str, ids: list[str]) -> None:
    assert [it.id for it in versions.known_cves(version)] == ids


@pytest.mark.parametrize("cve", CVES, ids=lambda it: it.id)
def test_cve_is_gone_in_each_release_that_fixes_it(cve: Cve) -> None:
    assert [it for it in cve.fixed_in if cve in versions.known_cves(it)] == []


@pytest.mark.parametrize(
    ("installed", "wanted", "problem"),
    [
        pytest.param(None, "1.9.1", None, id="first install"),
        pytest.param("1.9.1", "1.9.1", None, id="nothing to do"),
        pytest.param("1.8.3", "1.9.1", None, id="next line"),
        pytest.param("1.8.0", "1.8.3", None, id="patch"),
        pytest.param("1.6.7", "1.7.5", None, id="a step on the way out of 1.6"),
        pytest.param("v1.8.3", "v1.9.1", None, id="with a v"),
        pytest.param(
            "1.9.1",
            "1.9.0",
            "Envoy Gateway 1.9.1 is newer than 1.9.0: go back with deploys/rollback.py",
            id="patch back",
        ),
        pytest.param(
            "1.10.0",
            "1.9.1",
            "Envoy Gateway 1.10.0 is newer than 1.9.1: go back with deploys/rollback.py",
            id="compares numbers, not text",
        ),
        pytest.param(
            "1.6.7",
            "1.9.1",
            "Envoy Gateway 1.6.7 cannot go to 1.9.1 in one step: "
            "upgrade to 1.7.5, then 1.8.3, then 1.9.1",
            id="skips two lines",
        ),
        pytest.param(
            "1.7.5",
            "1.9.0",
            "Envoy Gateway 1.7.5 cannot go to 1.9.0 in one step: upgrade to 1.8.3, then 1.9.0",
            id="skips one line",
        ),
        pytest.param(
            None,
            "1.10.0",
            "Envoy Gateway 1.10.0 is of no release line that envoyfleet knows "
            "(1.2, 1.3, 1.4, 1.5, 1.6, 1.7, 1.8, 1.9): "
            "correct envoy_gateway_version, or update envoyfleet",
            id="line not known",
        ),
        pytest.param(
            None,
            "1.7.5",
            "Envoy Gateway 1.7.5 is of a release line that envoyfleet only leads out of: "
            "install 1.8 or 1.9",
            id="first install of an old line",
        ),
        pytest.param(
            "1.1.0",
            "1.9.1",
            "Envoy Gateway 1.1.0 is older than envoyfleet knows: upgrade it to 1.2.8 first, "
            "by its own release notes",
            id="installed line not known",
        ),
        pytest.param(
            "latest",
            "1.9.1",
            'the installed Envoy Gateway "latest" is not a release, so what an upgrade to '
            "1.9.1 changes is not known: bring it to a release by hand first",
            id="a moving tag is installed",
        ),
    ],
)
def test_refusal(installed: str | None, wanted: str, problem: str | None) -> None:
    assert versions.refusal(installed, wanted) == problem


@settings(deadline=None)
@given(RELEASES, KNOWN)
def test_only_the_same_line_or_the_next_may_be_changed_to(installed: str, wanted: str) -> None:
    if versions.refusal(installed, wanted) is None:
        now, to = Version(installed), Version(wanted)
        assert now <= to
        assert (now.major, to.minor - now.minor) in {(1, 0), (1, 1)}


@pytest.mark.parametrize(
    ("envoy_gateway", "kubernetes", "problem"),
    [
        pytest.param("1.9.1", "1.36", None, id="newest supported"),
        pytest.param("1.9.1", "v1.33.5", None, id="oldest supported, as the API server says it"),
        pytest.param(
            "1.8.3",
            "1.36.2",
            "Kubernetes 1.36 is outside of 1.32 to 1.35, which Envoy Gateway 1.8 supports",
            id="too new",
        ),
        pytest.param(
            "1.9.1",
            "1.9.0",
            "Kubernetes 1.9 is outside of 1.33 to 1.36, which Envoy Gateway 1.9 supports",
            id="too old, compared as numbers",
        ),
        pytest.param(
            "1.10.0",
            "1.36",
            "whether Envoy Gateway 1.10.0 supports Kubernetes 1.36 is not known",
            id="line not known",
        ),
        pytest.param(
            "1.9.1",
            "",
            "whether Envoy Gateway 1.9.1 supports Kubernetes  is not known",
            id="Kubernetes not read",
        ),
    ],
)
def test_kubernetes_problem(envoy_gateway: str, kubernetes: str, problem: str | None) -> None:
    assert versions.kubernetes_problem(envoy_gateway, kubernetes) == problem


@pytest.mark.parametrize("line", LINES.values(), ids=lambda it: f"{it.minor}")
def test_rows_of_the_table_agree_with_themselves(line: Line) -> None:
    patches = [*line.envoy, line.newest]
    assert {versions.line(it) for it in patches if versions.line(it) is not line} == set()
    assert max(patches, key=Version) == line.newest
    assert Version(line.kubernetes[0]) < Version(line.kubernetes[1])
