"""A diagnosis as people read it."""

from __future__ import annotations

import io
import json
from dataclasses import replace

import pytest

from tasks.diagnosis import report
from tasks.diagnosis.diagnosis import Diagnosis, Found, Ref, as_json
from tasks.diagnosis.evidence import Entry, Evidence, Gap, Proxy, Skipped

REFUSED = Found(
    code="GW939",
    cause="upstream_connection_refused",
    answered_by="envoy",
    object=Ref("Service", "cart", "shop"),
    field="spec.ports[0].targetPort",
    sentence="nothing listens on port 3001 of the Pods",
    fix="spec:\n  ports:\n    - port: 80\n      targetPort: 3000",
    evidence=['access.eg.jsonl:4: response_flags "UF"'],
    confidence=0.955,
    where="listener http",
)
SICK = Diagnosis(
    findings=(REFUSED,),
    answered_by="envoy",
    reason='response_flags "UF"',
    ruled_out=("no_healthy_endpoints: 1 of 1 endpoints is healthy",),
    gaps=(Gap("stats.txt", "absent", "counters are not known"),),
    skipped=(Skipped("access.eg.jsonl", 3, "cut"),),
    notes=("HTTPRoute shop/cart changed last",),
)
WELL = Diagnosis(reason="200 via_upstream")
NASTY = "<script>alert(1)</script> | `x` **b** \x1b[31mred\x07 [a](javascript:b)"


def printed(it: Diagnosis, output: report.Output, looked: str = "4 requests") -> str:
    stream = io.StringIO()
    report.write(it, output, stream, looked, title="Diagnosis of weu-1")
    return stream.getvalue()


def test_lines() -> None:
    assert printed(SICK, "lines").splitlines() == [
        'answered by envoy: response_flags "UF"',
        "error GW939 upstream_connection_refused (96 %) Service shop/cart, "
        "spec.ports[0].targetPort (listener http): nothing listens on port 3001 of the Pods: "
        "spec: ports: - port: 80 targetPort: 3000 (docs/findings.md#gw939)",
        '  evidence: access.eg.jsonl:4: response_flags "UF"',
        "ruled out: no_healthy_endpoints: 1 of 1 endpoints is healthy",
        "not read: stats.txt (absent): counters are not known",
        "skipped: access.eg.jsonl: 3 skipped: cut",
        "note: HTTPRoute shop/cart changed last",
        "1 error, 0 warnings, 0 infos",
    ]


def test_all_well_is_a_line_of_what_was_looked_at() -> None:
    assert printed(WELL, "lines").splitlines() == [
        "nothing found; looked at 4 requests",
        "answered by upstream: 200 via_upstream",
    ]
    for output in ("table", "markdown", "html"):
        assert "nothing found; looked at 4 requests" in printed(WELL, output)


def test_json_is_the_shape_that_is_graded() -> None:
    assert json.loads(printed(SICK, "json")) == as_json(SICK)
    assert json.loads(printed(WELL, "json"))["verdict"]["cause"] == "ok"


@pytest.mark.parametrize("output", ["table", "lines", "markdown", "html"])
def test_every_form_says_everything(output: report.Output) -> None:
    text = " ".join(printed(SICK, output).replace("&#34;", '"').replace("\\", "").split())
    for it in (
        "GW939",
        "upstream_connection_refused",
        "Service shop/cart",
        "targetPort: 3000",
        "nothing listens on port 3001",
        "96 %",
        "listener http",
        'access.eg.jsonl:4: response_flags "UF"',
        "no_healthy_endpoints: 1 of 1 endpoints is healthy",
        "counters are not known",
        "3 skipped: cut",
        "changed last",
        "docs/findings.md#gw939",
    ):
        assert it in text, it


def test_manifests_keep_their_lines() -> None:
    for output in ("markdown", "html", "table"):
        lines = [it.strip() for it in printed(SICK, output).splitlines()]
        assert any(it.endswith("ports:") for it in lines)


@pytest.mark.parametrize("output", ["table", "lines", "markdown", "html"])
def test_nothing_of_a_cluster_is_markup(output: report.Output) -> None:
    nasty = replace(
        REFUSED,
        sentence=NASTY,
        evidence=[NASTY, "``` a"],
        fix=f"{NASTY}\n```\n# head",
        where=NASTY,
        object=Ref("Service", NASTY),
    )
    text = printed(Diagnosis((nasty,), reason=NASTY, notes=(NASTY,)), output)
    assert "\x1b[31m" not in text
    assert "\x07" not in text
    if output == "html":
        assert "<script" not in text
        assert "http-equiv" in text
    if output == "markdown":
        outside = "".join(text.split("````")[::2])
        prose = [it for it in outside.splitlines() if not it.startswith("- `")]
        assert not any("<script" in it.replace("\\<", "") for it in prose)
        assert "````text" in text


def test_the_same_cause_of_a_fleet_is_said_once() -> None:
    other = replace(REFUSED, object=Ref("Service", "catalog", "shop"), confidence=0.5)
    late = replace(REFUSED, code="GW941", cause="upstream_timeout", severity="warning")
    fleet = {
        "weu-1": SICK,
        "weu-2": Diagnosis((REFUSED, late)),
        "weu-3": Diagnosis((other, other)),
        "weu-4": WELL,
    }
    first, second = report.same(fleet)
    assert first.text == "on 3 clusters: Service shop/cart (2), Service shop/catalog (1)"
    assert first.first.confidence == 0.955
    assert (second.text, second.first.code) == ("on weu-2: Service shop/cart", "GW941")
    stream = io.StringIO()
    report.of_fleet(fleet, "lines", stream, {"weu-4": "3 proxies"})
    lines = stream.getvalue().splitlines()
    assert lines[0].startswith("error GW939 upstream_connection_refused (96 %) on 3 clusters: ")
    assert "weu-4: nothing found; looked at 3 proxies" in lines
    assert lines[-1] == "4 errors, 1 warning, 0 infos"
    for output in ("table", "markdown", "html"):
        stream = io.StringIO()
        report.of_fleet(fleet, output, stream)
        assert "on 3 clusters" in stream.getvalue()
    stream = io.StringIO()
    report.of_fleet(fleet, "json", stream)
    document = json.loads(stream.getvalue())
    assert [it["name"] for it in document["clusters"]] == list(fleet)
    assert document["same"][0]["clusters"] == ["weu-1", "weu-2", "weu-3"]


def test_what_was_looked_at() -> None:
    evidence = Evidence(entries=(Entry("a", 1),) * 2, proxies=(Proxy("a"),), objects=({}, {}))
    assert report.looked_at(evidence) == "2 lines of access logs, 1 proxy, 2 objects"
    assert report.looked_at(Evidence(proxies=(Proxy("a"),) * 2)) == "2 proxies"
    assert report.looked_at(Evidence()) == "nothing"
