"""How many clusters of a run may fail before the rest is held."""

from __future__ import annotations

import re
from collections.abc import Mapping
from math import floor


def parse_budget(value: int | str) -> int | float:
    """
    An integer counts clusters: 2 -> 2. "10%" is a share of all clusters of the run: 0.1.

    Raises ValueError for anything else, such as "10", 1.5, "110%" or -1.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= 0:
        return value
    share = re.fullmatch(r"(\d{1,3})%", value) if isinstance(value, str) else None
    if share and int(share[1]) <= 100:
        return int(share[1]) / 100
    raise ValueError(
        f'{value!r} is neither a number of clusters, such as 2, nor a share, such as "10%"'
    )


def allowed(budget: int | float, clusters: int) -> int:
    """
    How many of ``clusters`` may fail; a share is rounded down, so "10%" of 9 clusters is none.
    """
    # The tiny addend keeps 0.29 * 100 at 29: binary fractions fall just below it.
    return budget if isinstance(budget, int) else floor(budget * clusters + 1e-9)


def disagreement(values: Mapping[str, int | str], clusters: int) -> str | None:
    """
    Why the budgets of a run's clusters make no sense together, or None. ``values`` go by cluster;
    ``clusters`` counts the whole inventory, so that ``--limit`` does not make a budget too large.
    """
    names: dict[int | str, str] = {}
    for name, value in sorted(values.items()):
        names.setdefault(value, name)
    if len(names) > 1:
        said = ", ".join(f"{value!r} on {name}" for value, name in names.items())
        return f"{said}: a run has one: set it in group_data, or with --data"
    value = next(iter(names), 0)
    if isinstance(value, int) and value > clusters:
        return f"{value} clusters may fail, but there are only {clusters}: set it to fewer"
    return None
