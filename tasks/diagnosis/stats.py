"""What /stats says, as text."""

from __future__ import annotations

from collections.abc import Iterator

from tasks.diagnosis.evidence import Skipped


def read(text: str | bytes) -> dict[str, float]:
    """
    {"cluster.httproute/shop/cart/rule/0.upstream_rq_total": 3.0}; histograms, texts and lines that
    are none are left out, see ``skipped``.
    """
    return {name: value for name, value in _lines(text) if value is not None}


def skipped(text: str | bytes, source: str) -> tuple[Skipped, ...]:
    """Lines that are neither a number, nor a histogram, nor a text."""
    wrong = sum(1 for name, value in _lines(text) if value is None and not name)
    return (Skipped(source, wrong, "not of the form name: value"),) if wrong else ()


def _lines(text: str | bytes) -> Iterator[tuple[str, float | None]]:
    """None where the value is no number; no name where the line is none of Envoy's."""
    said = text if isinstance(text, str) else text.decode("utf-8", "replace")
    for line in said.splitlines():
        name, colon, value = line.rpartition(": ")
        if not line.strip():
            continue
        try:
            yield name, float(int(value)) if colon else None
        except ValueError:
            yield line.partition(": ")[0] if ": " in line and _other(line) else "", None


def _other(line: str) -> bool:
    """A histogram, such as "…: P0(nan,1) P25(nan,1.02)", or a text, such as '…: "v1"'."""
    value = line.partition(": ")[2]
    return value.startswith(("P0(", '"', "No recorded values"))
