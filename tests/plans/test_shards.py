"""Which clusters a shard holds: each cluster is in one, and stays there."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tasks.plans.shards import holds, parsed

FLEET = [f"{region}-{it}" for region in ("weu", "neu", "sea") for it in range(1, 167)]


@given(st.text(), st.integers(1, 200))
def test_each_cluster_is_in_one_shard(cluster: str, count: int) -> None:
    assert sum(holds(f"{it}/{count}", cluster) for it in range(count)) == 1


def test_it_goes_by_the_name_alone() -> None:
    """So that neither another inventory nor another release of this moves a cluster."""
    where = [next(n for n in range(8) if holds(f"{n}/8", it)) for it in FLEET[:4]]
    assert where == [4, 7, 2, 5]


def test_shares_are_about_equal() -> None:
    sizes = [sum(holds(f"{it}/8", name) for name in FLEET) for it in range(8)]
    assert sum(sizes) == len(FLEET)
    assert (min(sizes) >= 40, max(sizes) <= 90) == (True, True), sizes


@pytest.mark.parametrize("text", ["", "8", "8/8", "-1/8", "1/0", "a/b", "0/8 ", "00001/8", "0/8/2"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(ValueError, match="is no shard such as '0/8'"):
        parsed(text)
