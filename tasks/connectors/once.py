"""What is fetched once a run, however many greenlets ask for it at the same time."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from typing import Any, Generic, TypeVar

Key = TypeVar("Key", bound=Hashable)
Value = TypeVar("Value")


class Once(Generic[Key, Value]):
    """Answers by key; one that failed is kept too, and fails for all who ask."""

    def __init__(self) -> None:
        self._answers: dict[Key, Any] = {}

    def get(self, key: Key, fetch: Callable[[], Value]) -> Value:
        """
        The first who asks fetches; those who ask meanwhile wait for that, and fail with it. Raises
        what ``fetch`` raises.
        """
        from gevent.event import AsyncResult

        answer: Any = self._answers.get(key)
        if answer is None:
            answer = self._answers[key] = AsyncResult()
            try:
                answer.set(fetch())
            except BaseException as error:
                answer.set_exception(error)
                raise
        found: Value = answer.get()
        return found

    def put(self, key: Key, value: Value) -> None:
        """From now on this is the answer; those who wait for an earlier one get that."""
        from gevent.event import AsyncResult

        answer = self._answers[key] = AsyncResult()
        answer.set(value)
