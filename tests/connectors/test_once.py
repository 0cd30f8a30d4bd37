"""Who asks for the same thing at the same time."""

from __future__ import annotations

from collections.abc import Callable

import gevent
import pytest

from tasks.connectors.once import Once


def slowly(asked: list[str], answer: str) -> Callable[[], str]:
    """Counts in ``asked``, and lets others run meanwhile."""

    def fetch() -> str:
        asked.append(answer)
        gevent.sleep(0.01)
        if answer == "wrong":
            raise ValueError(answer)
        return answer

    return fetch


def test_the_first_fetches_for_all() -> None:
    once, asked = Once[str, str](), list[str]()
    those = [gevent.spawn(once.get, "a", slowly(asked, str(it))) for it in range(20)]
    assert [it.get() for it in those] == ["0"] * 20
    assert once.get("a", slowly(asked, "later")) == "0"
    assert once.get("b", slowly(asked, "another")) == "another"
    assert asked == ["0", "another"]


def test_what_fails_fails_for_all() -> None:
    once, asked = Once[str, str](), list[str]()
    those = [gevent.spawn(once.get, "a", slowly(asked, "wrong")) for _ in range(20)]
    gevent.joinall(those)
    assert {str(it.exception) for it in those} == {"wrong"}
    with pytest.raises(ValueError, match="wrong"):
        once.get("a", slowly(asked, "right"))
    assert asked == ["wrong"]


def test_what_is_put_takes_the_place_of_what_was_fetched() -> None:
    once, asked = Once[str, str](), list[str]()
    waiting = gevent.spawn(once.get, "a", slowly(asked, "old"))
    gevent.sleep(0)
    once.put("a", "new")
    assert waiting.get() == "old"
    assert once.get("a", slowly(asked, "newer")) == "new"
    assert asked == ["old"]
