from __future__ import annotations

from datetime import date

import pytest

from tasks.checks.findings import Finding, Where, in_order
from tasks.checks.versions import Installed, version_findings

TODAY = date(2026, 11, 21)
EG = Where("weu-1", "Envoy Gateway")
TO_1_9 = "upgrade to 1.9.1 with deploys/upgrade.py"
LATE_CVES = (
    "release {} has CVE-2026-47775 (OIDC session cookies can be decrypted), "
    "GHSA-w42f-28h3-998w (an EnvoyProxy drops the hardened securityContext)"
)
ENDED = Finding(
    "GW201", "warning", EG, "release line 1.8 gets no more fixes since 2026-11-08", TO_1_9
)
REUSED = "run deploys/upgrade.py, which changes both; never helm upgrade --reuse-values"


@pytest.mark.parametrize(
    ("installed", "today", "findings"),
    [
        pytest.param(Installed("1.9.1", "v1.9.1", "1.35.4"), TODAY, [], id="nothing wrong"),
        pytest.param(
            Installed("1.8.3", "v1.8.3", "1.35.4"),
            TODAY,
            [ENDED, Finding("GW203", "warning", EG, LATE_CVES.format("1.8.3"), TO_1_9)],
            id="end of life is over",
        ),
        pytest.param(
            Installed("1.9.1", "v1.9.1", "1.35.4"), date(2026, 12, 15), [], id="61 days to go"
        ),
        pytest.param(
            Installed("1.9.1", "v1.9.1", "1.35.4"),
            date(2026, 12, 16),
            [
                Finding(
                    code="GW202",
                    severity="warning",
                    where=EG,
                    what="release line 1.9 gets no more fixes after 2027-02-14",
                    fix="update envoyfleet, which knows no release line that lasts longer",
                )
            ],
            id="60 days to go, and no later line is known",
        ),
        pytest.param(
            Installed("1.8.3", "v1.8.3", "1.35.4"),
            date(2026, 11, 8),
            [
                Finding(
                    code="GW202",
                    severity="warning",
                    where=EG,
                    what="release line 1.8 gets no more fixes after 2026-11-08",
                    fix=TO_1_9,
                ),
                Finding("GW203", "warning", EG, LATE_CVES.format("1.8.3"), TO_1_9),
            ],
            id="on the last day",
        ),
        pytest.param(
            Installed("1.9.0", "v1.9.0", "1.35.4"),
            TODAY,
            [Finding("GW203", "warning", EG, LATE_CVES.format("1.9.0"), TO_1_9)],
            id="known CVEs",
        ),
        pytest.param(
            Installed("1.9.1", "v1.9.1", "1.37.0"),
            TODAY,
            [
                Finding(
                    code="GW204",
                    severity="warning",
                    where=Where("weu-1", "Kubernetes"),
                    what="Kubernetes 1.37 is outside of 1.33 to 1.36, "
                    "which Envoy Gateway 1.9 supports",
                    fix="change the release line or the cluster so that both are in the support "
                    "matrix",
                )
            ],
            id="Kubernetes went ahead",
        ),
        pytest.param(
            Installed("v1.9.1", "v1.8.3", "1.35.4"),
            TODAY,
            [
                Finding(
                    code="GW205",
                    severity="warning",
                    where=EG,
                    what="chart 1.9.1 is installed, but the controller runs image v1.8.3",
                    fix=REUSED,
                )
            ],
            id="image of the old chart",
        ),
        pytest.param(
            Installed("1.9.1", "v1.9.10", "1.35.4"),
            TODAY,
            [
                Finding(
                    code="GW205",
                    severity="warning",
                    where=EG,
                    what="chart 1.9.1 is installed, but the controller runs image v1.9.10",
                    fix=REUSED,
                )
            ],
            id="image whose tag only begins alike",
        ),
        pytest.param(
            Installed("1.9.1", "v1.9.1-hardened", "1.35.4"),
            TODAY,
            [],
            id="own build of it",
        ),
        pytest.param(Installed("1.9.1", None, "1.35.4"), TODAY, [], id="image by digest alone"),
        pytest.param(
            Installed("0.0.0-latest", "latest", "1.35.4"),
            TODAY,
            [
                Finding(
                    code="GW200",
                    severity="warning",
                    where=EG,
                    what='release "0.0.0-latest" is of no release line that envoyfleet knows',
                    fix="update envoyfleet: none of its versions were checked",
                )
            ],
            id="nothing is said of a release that is not known",
        ),
    ],
)
def test_version_findings(installed: Installed, today: date, findings: list[Finding]) -> None:
    assert in_order(version_findings("weu-1", installed, today)) == findings
