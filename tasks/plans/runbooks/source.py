"""
What a runbook is: steps that look, a verdict for each, and where there is a cure an action that
somebody has to approve. All of it plain values; ``tasks.runbook`` reads, shows, asks and acts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

Object = Mapping[str, Any]
Says = Literal["fine", "this is it", "cannot tell"]
Verb = Literal["patch", "delete", "apply", "restore", "rotate", "crds"]


@dataclass(frozen=True)
class Target:
    """The object of an action; + namespace: "" for objects of the whole cluster"""

    api_version: str
    kind: str
    namespace: str
    name: str

    @property
    def text(self) -> str:
        """Such as "Deployment edge/shop"."""
        return f"{self.kind} {self.namespace}/{self.name}".replace(" /", " ")


@dataclass(frozen=True)
class Action:
    """
    A cure that envoyfleet can carry out.

    + verb: "patch" merges ``body`` into the target; "delete" deletes it; "apply" applies
      ``body``, a manifest of the inventory; "restore" takes the target out of the newest backup;
      "rotate" renews the inventory's certificate in it; "crds" brings those of the inventory's
      release. + body: never that of a Secret
    + what: such as "Scale Deployment eg/envoy-gateway from 0 to 2"; + command: that does the same
    + also: further targets of "delete"; + lost: what cannot be undone, "" where all can be
    """

    verb: Verb
    target: Target
    what: str
    command: str = ""
    body: Object = field(default_factory=dict)
    also: tuple[Target, ...] = ()
    lost: str = ""


@dataclass(frozen=True)
class Verdict:
    """
    + sentence: one line; + evidence: what was read, literally; + action: that cures it
    + cure: what its owner has to do, a command or a manifest, where no action does it
    """

    says: Says
    sentence: str
    evidence: tuple[str, ...] = ()
    action: Action | None = None
    cure: str = ""


@dataclass(frozen=True)
class Cause:
    """What the diagnosis found: + cause: its word; + object: such as "Service shop/cart"."""

    cause: str
    object: str
    sentence: str
    fix: str
    evidence: tuple[str, ...] = ()


@dataclass(frozen=True)
class Asked:
    """
    A request of ours: + text: such as "edge/public:http http://shop.example.com:80/"
    + route: that should take it, such as "shop/cart", else ""; + problem: None where it was served
    + host: asked for; + refused: what answered spoke no HTTP, or nothing answered at all
    """

    gateway: str
    text: str
    host: str = ""
    route: str = ""
    problem: str | None = None
    answer: str = ""


@dataclass(frozen=True)
class Timed:
    """
    One line of an access log. + duration: milliseconds of the whole request; + backend: of that,
    until the backend began to answer, None without one
    """

    duration: float
    backend: float | None
    status: int
    flags: str = ""
    where: str = ""


@dataclass(frozen=True)
class Served:
    """
    A certificate of a proxy. + names: it is for; + days: until it ends, negative afterwards
    + own: that with which it signs in to the controller
    """

    proxy: str
    names: str
    days: int
    own: bool = False


@dataclass(frozen=True)
class Wanted:
    """
    What the inventory says of the cluster.

    + command: how a deploy is started here, such as "pyinfra inventory/prod.py deploys/{}.py
      --limit weu-1"; + namespace: of the controller; + version: of Envoy Gateway
    + manifests: rendered objects by title, such as "Gateway edge/public"
    + secrets: by "namespace/name", where a Secret can come from: "inventory" or "backup"
    + backup: whether there is an archive of this cluster
    + within: milliseconds that a request may take; + late: share of requests that may take longer
    + days: before its end when a certificate is late
    """

    command: str = "pyinfra INVENTORY deploys/{}.py"
    namespace: str = "envoy-gateway-system"
    controller_name: str = "gateway.envoyproxy.io/gatewayclass-controller"
    version: str = ""
    controller_replicas: int = 1
    proxy_replicas: int = 1
    manifests: Mapping[str, Object] = field(default_factory=dict)
    secrets: Mapping[str, str] = field(default_factory=dict)
    backup: bool = False
    within: int = 1000
    late: float = 0.01
    days: int = 21


@dataclass(frozen=True)
class Seen:
    """
    Everything that the steps of a runbook judge, of one cluster at one moment.

    + objects: of the cluster, None where none could be read; + unread: kinds that could not be
    + unserved: kinds of the inventory's objects that the API server does not know
    + gateways: that it is about, such as ("edge/public",); + host: of the request that is asked
      about, "" without one
    + causes: of the diagnosis; + asked: requests that were sent; + gaps: what it could not read
    + times: newest lines of access logs; + served: certificates of proxies
    + metrics: proxies that gave their metrics, by name of the Pod; None where none was asked
    """

    now: datetime
    wanted: Wanted = Wanted()
    objects: Sequence[Object] | None = ()
    unread: frozenset[str] = frozenset()
    unserved: frozenset[str] = frozenset()
    gateways: tuple[str, ...] = ()
    host: str = ""
    causes: Sequence[Cause] = ()
    asked: Sequence[Asked] = ()
    times: Sequence[Timed] = ()
    served: Sequence[Served] | None = None
    metrics: tuple[str, ...] | None = None
    gaps: Sequence[str] = ()


@dataclass(frozen=True)
class Step:
    """
    + name: for the command line, such as "proxies"; + title: the question that it answers
    + reads: kinds without which it cannot tell; + causes: words of the diagnosis that belong here
    + settles: what a controller that began a minute ago leaves open for a while
    """

    name: str
    title: str
    judge: Callable[[Seen], Verdict]
    reads: tuple[str, ...] = ()
    causes: tuple[str, ...] = ()
    settles: bool = False


@dataclass(frozen=True)
class Runbook:
    """
    + name: for the command line: that of its alert, or such as "gateway-not-responding"
    + symptom: what somebody sees; + alerts: that lead here; + steps: from the outside in
    """

    name: str
    title: str
    symptom: str
    steps: tuple[Step, ...]
    alerts: tuple[str, ...] = ()


def fine(sentence: str, *evidence: str) -> Verdict:
    return Verdict("fine", sentence, evidence)


def unknown(sentence: str, *evidence: str, cure: str = "") -> Verdict:
    return Verdict("cannot tell", sentence, evidence, cure=cure)


def this(sentence: str, *evidence: str, action: Action | None = None, cure: str = "") -> Verdict:
    return Verdict("this is it", sentence, evidence, action, cure)
