"""A request and an answer, as the parts of the stand-in hand them to each other."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Request:
    """
    + base: of the address it came to, such as "https://127.0.0.1:8443"
    + path: without its query, and decoded; + headers: with names in lower case
    + body: JSON, or the fields of a form; None without one
    """

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    base: str = ""


@dataclass(frozen=True)
class Answer:
    """+ body: JSON, None for nothing; + hang_up: close the connection instead"""

    status: int = 200
    body: Any = None
    headers: Mapping[str, str] = field(default_factory=dict)
    hang_up: bool = False


class Refused(Exception):
    """What ARM does not do, in its own words."""

    def __init__(self, status: int, code: str, message: str, **headers: str) -> None:
        super().__init__(f"{code}: {message}")
        self.status, self.code, self.message = status, code, message
        self.headers = {name.replace("_", "-"): value for name, value in headers.items()}

    def answer(self) -> Answer:
        body = {"error": {"code": self.code, "message": self.message}}
        return Answer(self.status, body, self.headers)
