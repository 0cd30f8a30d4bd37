"""What a fault is: objects in which nothing is wrong, what is then made wrong, and the truth."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

Object = dict[str, Any]
Thing = tuple[str, str, str]

#: Gateways that every fault finds: the one that deploys/install.py makes, and one of the gym's own.
EDGE, DOORS = "edge/public", "shop/doors"


@dataclass(frozen=True)
class Truth:
    """
    + thing: kind, namespace and name of what is wrong; + field: of it, as far as it must be named
    + answered_by: None where no request is asked about
    + also: other causes, each with an object, that say the same; names may end with "*"
    + besides: what is true as well, and does not explain it
    """

    cause: str
    thing: Thing
    field: str = ""
    answered_by: str | None = "envoy"
    also: Sequence[tuple[str, Thing]] = ()
    besides: Sequence[tuple[str, Thing]] = ()


@dataclass(frozen=True)
class Ask:
    """
    A request, or none where ``url`` is empty.

    + gateway: whose address it goes to; + times: how often, one after the other; + at_once: how
      many of each time, side by side; + trusts: whether the client verifies the certificate
    + reuses: host of a request that opened the connection; + sni: where it is not the host
    + port: where it is not the one of the URL's scheme; + gives_up: seconds
    """

    url: str = ""
    method: str = "GET"
    headers: dict[str, str] = field(default_factory=dict)
    gateway: str = EDGE
    version: str = "1.1"
    times: int = 1
    at_once: int = 1
    trusts: bool = False
    reuses: str = ""
    sni: str = ""
    port: int = 0
    gives_up: float = 15.0
    newest: str = ""


@dataclass(frozen=True)
class Fault:
    """
    + well: objects in which nothing is wrong; + wrong: those of them that are replaced, by kind,
      namespace and name, and new ones; + gone: those that are deleted
    + ask: with ``well``, its answer is ``fine``; + asks: the question where the fault is a request
      that differs; + shows: its answer with the fault: a status, or 0 for none
    + breaks, mends: what is done to the cluster beside objects, in words of Cluster's methods
    + needs: seconds after which the fault shows, where no answer tells
    + alike: False where the gym itself is the look-alike; + truth: None where nothing is ever wrong
    + live: False where one more request cannot show it
    + warms: its clusters change in place: Envoy goes on with what it has until the controller says
      their endpoints once more, or for 15 s, as it does not
    + slow: a minute and more: not among those that a test tries
    """

    name: str
    layer: str
    truth: Truth | None
    ask: Ask = field(default_factory=Ask)
    shows: int | None = None
    fine: int = 200
    asks: Ask | None = None
    well: Sequence[Object] = ()
    wrong: Sequence[Object] = ()
    gone: Sequence[Thing] = ()
    breaks: Sequence[Callable[[Any], None]] = ()
    mends: Sequence[Callable[[Any], None]] = ()
    needs: float = 0.0
    alike: bool = True
    slow: bool = False
    live: bool = True
    warms: bool = False
    notes: str = ""

    @property
    def question(self) -> Ask:
        return self.asks or self.ask

    def broken(self) -> list[Object]:
        """All objects as they are with the fault."""
        after = {thing(it): it for it in (*self.well, *self.wrong)}
        return [it for key, it in after.items() if key not in self.gone]

    def named(self, name: str) -> Fault:
        return replace(self, name=name)


def thing(it: Object) -> Thing:
    """Kind, namespace and name of an object."""
    meta = it["metadata"]
    return it["kind"], meta.get("namespace", ""), meta["name"]
