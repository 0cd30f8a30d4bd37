"""What is wrong where a client may carry an HTTP/2 connection from one listener to another."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from tasks.checks.findings import Finding, Where
from tasks.plans.listeners import Listener
from tasks.plans.overlap import Answers, Overlap, Pair

#: Members and names that are written out; the rest are counted.
NAMED = 4


def findings(
    overlaps: Iterable[Overlap],
    answers: Mapping[Pair, Answers] | None = None,
    manifests: Mapping[tuple[str, str], Sequence[str]] | None = None,
) -> Iterator[Finding]:
    """
    One finding for each group, however many listeners it has, at the place of its first listener.

    + overlaps: of ``tasks.plans.overlap.overlaps``; + answers: what a client met, of
      ``tasks.operations.coalescing.ask_all``; without one a finding says what proxies are known to
      do
    + manifests: what ``tasks.operations.cures.write`` wrote; without it a fix names the page alone
    """
    for it in overlaps:
        cure = _cure(it, (manifests or {}).get(it.key, ()))
        met = (answers or {}).get(it.pair) if it.pair else None
        if it.pair is None:
            yield _fallen(it, [one for one in it.members if one.alpn is None], cure)
        elif met and met.alpn == "http/1.1" and it.pair.first.passthrough:
            continue
        elif met and met.alpn == "http/1.1":
            yield _fallen(it, [it.pair.first], cure)
        elif it.effect == "elsewhere":
            yield _elsewhere(it, it.pair, met, cure)
        else:
            yield _reused(it, it.pair, met, cure)


def _reused(overlap: Overlap, pair: Pair, answers: Answers | None, cure: str) -> Finding:
    what = f"{_together(overlap)}: {_carried(pair)} comes to {pair.first.text}"
    second = answers.second if answers else None
    if second == 421:
        what += ", and gets 421: browsers ask again on a new connection, other clients may not"
        return Finding("GW652", "info", _where(overlap), what, f"for such clients {cure}")
    if pair.taken or second not in (None, 404):
        what += f": its routes answer in place of those of {pair.second.text}"
    else:
        what += f": 404, the route is behind {pair.second.text}"
    return Finding("GW650", "error", _where(overlap), what + _met(answers), cure)


def _met(answers: Answers | None) -> str:
    if answers is None or answers.second is None:
        return ""
    alone = f"; {answers.alone} on a connection of its own" if answers.alone else ""
    return f" (tried: {answers.first}, then {answers.second}{alone})"


def _fallen(overlap: Overlap, lost: Iterable[Listener], cure: str) -> Finding:
    what = (
        f"{_together(overlap)}: HTTP/1.1 alone is offered by {_some([it.text for it in lost])}, so "
        "that no connection is carried over: no HTTP/2, and gRPC fails"
    )
    return Finding("GW651", "warning", _where(overlap), what, cure)


def _elsewhere(overlap: Overlap, pair: Pair, answers: Answers | None, cure: str) -> Finding:
    if pair.first.passthrough:
        end = f"comes to the backends of {pair.first.text}, not to those of {pair.second.text}"
    else:
        end = f"comes to {_titled(pair.first)}, and only {_titled(pair.second)} has the name"
    what = f"{_together(overlap)}: {_carried(pair)} {end}{_met(answers)}"
    return Finding("GW652", "warning", _where(overlap), what, cure)


def _carried(pair: Pair) -> str:
    return f"a request for {pair.host} on an HTTP/2 connection for {pair.sni}"


def _together(overlap: Overlap) -> str:
    """Such as "2 listeners with one certificate for *.example.com"."""
    number = overlap.certificates
    held = "one certificate" if number == 1 else f"{number} certificates that overlap"
    return f"{len(overlap.members):,} listeners with {held} for {_some(overlap.names)}"


def _cure(overlap: Overlap, manifests: Sequence[str]) -> str:
    names = dict.fromkeys(it.hostname for it in overlap.members if it.hostname)
    folder = f"rendered/{overlap.members[0].cluster}/overlap"
    written = f", manifests in {folder}: {', '.join(manifests)}" if manifests else ""
    return (
        f"order a certificate for each ({_some([*names])}), or serve the names by one listener "
        "with a route each, or give each Gateway its own address: docs/overlap.md" + written
    )


def _where(overlap: Overlap) -> Where:
    first = overlap.members[0]
    return Where(first.cluster, first.owner, overlap.place)


def _titled(listener: Listener) -> str:
    return f"{listener.cluster}: {listener.text}"


def _some(things: Sequence[str]) -> str:
    """Such as "a, b, c, d and 9,996 more"."""
    more = f" and {len(things) - NAMED:,} more" if len(things) > NAMED else ""
    return ", ".join(things[:NAMED]) + more
