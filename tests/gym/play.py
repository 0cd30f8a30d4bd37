"""One fault: everything is well, then it is not, then everything is well again."""

from __future__ import annotations

import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from threading import Event, Thread
from typing import Any, Protocol

from tasks.connectors import kubeconfig
from tasks.connectors.api import Api
from tasks.operations import admin
from tests.gym import base, client
from tests.gym.cluster import SYSTEM, Cluster, until
from tests.gym.fault import DOORS, EDGE, Ask, Fault, Object, thing
from tests.gym.faults import EVERY
from tests.gym.objects import OUTSIDE
from tests.gym.trust import AUTHORITY

Json = dict[str, Any]
#: Seconds until what is applied has reached the proxies.
REACHED = 90.0
#: Seconds in which Envoy has written its lines.
WRITTEN = 0.5
#: Seconds between requests that go on, one after the other.
BETWEEN = 0.5


class NotShown(Exception):
    """The cluster does not do what the fault says: the fault is to be corrected."""


@dataclass(frozen=True)
class State:
    """
    One of two: + broken: with the fault, or its look-alike; + folder: the bundle; + found: what
    the live diagnosis says, None where it was not asked
    """

    fault: Fault
    broken: bool
    folder: Path
    found: Json | None

    @property
    def name(self) -> str:
        return self.fault.name if self.broken else f"{self.fault.name}.well"


class Reader(Protocol):
    """Who looks at a state: ``record.Recorder`` or ``deploys.Deploys``."""

    def look(self, fault: Fault, ask: Ask, entries: Sequence[Json], folder: Path) -> Json | None:
        """
        Write a bundle to ``folder``. Returns what the live diagnosis says, None where it was not
        asked. + entries: what the gym's own client saw
        """


class Gym:
    """A cluster with the gym's base on it. + folder: of the bundles"""

    def __init__(self, cluster: Cluster, folder: Path, reader: Reader) -> None:
        self.cluster, self.folder, self.reader = cluster, folder, reader
        config = kubeconfig.one_context(cluster.member.name, str(cluster.lab.kubeconfig))
        self.api = Api(config, 60.0)
        cluster.unblock()
        self.base = base.kept(base.built(cluster))
        left = {thing(it) for one in EVERY for it in (*one.well, *one.wrong)}
        cluster.delete(*(left - self.base.keys()))
        self.addresses: dict[str, str] = {}
        self.authority = Path(tempfile.mkstemp(suffix=".pem")[1])
        self.authority.write_bytes(AUTHORITY.pem)
        self.well(120)

    def play(self, fault: Fault, alike: bool = True) -> Iterator[State]:
        """The look-alike and the fault. Raises NotShown, TimeoutError."""
        try:
            yield from self._played(fault, alike)
        finally:
            self._mend(fault)
            self.well(120)

    def _played(self, fault: Fault, alike: bool) -> Iterator[State]:
        self._apply(fault.well)
        if fault.ask.url:
            self._until(fault, fault.ask, fault.fine)
        elif fault.alike:
            time.sleep(fault.needs)
        self._warm(fault)
        if alike and (fault.alike or fault.truth is None):
            ask = (
                fault.ask
                if fault.question.url or fault.truth is None
                else Ask(gateway=fault.ask.gateway)
            )
            yield self._seen(fault, ask, False)
        if fault.truth is None:
            return
        for it in fault.breaks:
            it(self.cluster)
        self._apply(fault.wrong)
        self.cluster.delete(*fault.gone)
        self._warm(fault)
        if fault.shows is not None and fault.question.url:
            self._until(fault, fault.question, fault.shows)
        time.sleep(fault.needs)
        yield self._seen(fault, fault.question, True)

    def _warm(self, fault: Fault) -> None:
        """Wait until the proxy has taken up the clusters that it was given."""
        if not fault.warms:
            return
        time.sleep(1)
        pod = self.cluster.proxies(fault.ask.gateway)[0]["metadata"]["name"]

        def taken() -> bool:
            return b"cluster_manager.warming_clusters: 0\n" in self._stats(pod)

        until(f"{fault.name}: clusters", taken, 60, 1)

    def _apply(self, things: Sequence[Object]) -> None:
        self.cluster.apply(*(_placed(it, self.cluster.lab.gateway) for it in things))

    def _until(self, fault: Fault, ask: Ask, status: int) -> None:
        seen: list[Any] = []

        def holds() -> bool:
            last = self.asked(ask)[-1]
            seen[:] = [last["status"], last.get("error"), last.get("body", "")[:80]]
            good.append((last["status"] or 0) == status)
            return all(good[-2:]) and len(good) > 1  # clusters and routes do not come together

        good: list[bool] = []
        try:
            until(f"{fault.name}: status {status}", holds, REACHED, 0.25)
        except TimeoutError as error:
            raise NotShown(f"{error}: the last answer was {seen}") from None

    def asked(self, ask: Ask) -> list[Json]:
        if not self.addresses.get(ask.gateway):
            self.addresses[ask.gateway] = self.cluster.address(ask.gateway)
        return client.asked(ask, self.addresses[ask.gateway], str(self.authority))

    def _seen(self, fault: Fault, ask: Ask, broken: bool) -> State:
        for _ in range(2):
            with suppress(OSError):
                self.asked(replace(NEIGHBOUR, headers={"user-agent": "neighbour/1"}))
        entries = self.asked(ask) if ask.url else []
        if ask.url and broken and fault.shows is not None:
            last = entries[-1]
            if (last["status"] or 0) != fault.shows:
                raise NotShown(f"{fault.name}: {last['status']} {last.get('error')} at last")
        time.sleep(WRITTEN)
        folder = self.folder / (fault.name if broken else f"{fault.name}.well")
        with self._going_on(ask):
            found = self.reader.look(fault, ask, entries, folder)
        return State(fault, broken, folder, found)

    @contextmanager
    def _going_on(self, ask: Ask) -> Iterator[None]:
        """What only several requests show goes on while it is looked at."""
        stop = Event()
        several = ask.at_once > 1 or ask.times > 1

        def again() -> None:
            while not stop.is_set():
                self.asked(ask)
                stop.wait(0 if ask.at_once > 1 else BETWEEN)

        thread = Thread(target=again, daemon=True)
        if several:
            thread.start()
        try:
            yield
        finally:
            stop.set()
            if several:
                thread.join(20)

    def _mend(self, fault: Fault) -> None:
        own = {thing(it) for it in (*fault.well, *fault.wrong)}
        if fault.breaks:
            self.cluster.unblock()
        for it in fault.mends:
            it(self.cluster)
        self.cluster.delete(*(own - self.base.keys()))
        touched = (own | set(fault.gone)) & self.base.keys()
        self.cluster.apply(*(it for key, it in self.base.items() if key in touched))
        self.addresses.clear()

    def well(self, seconds: float) -> None:
        """The neighbour answers, and both doors of the gym's own Gateway. Raises TimeoutError."""
        until("the neighbour", lambda: self._answers(NEIGHBOUR, 200), seconds)
        until("the gym's Gateway", lambda: self._answers(DOOR, 404), seconds)
        until("its certificate", lambda: self._answers(DOOR_TLS, 404), seconds)
        until("streams to the controller", self._connected, seconds, 1)
        until("cart", lambda: self._ready("cart"), seconds)

    def _connected(self) -> bool:
        pods = [it["metadata"]["name"] for one in (EDGE, DOORS) for it in self.cluster.proxies(one)]
        return all(b"control_plane.connected_state: 1\n" in self._stats(it) for it in pods)

    def _stats(self, pod: str) -> bytes:
        found = dict(admin.read(self.api, SYSTEM, pod, ["stats.txt"]))["stats.txt"]
        return found if isinstance(found, bytes) else b""

    def _answers(self, ask: Ask, status: int) -> bool:
        self.addresses.pop(ask.gateway, None)
        return bool(self.asked(ask)[-1]["status"] == status)

    def _ready(self, name: str) -> bool:
        found = self.cluster.api.get(f"/apis/apps/v1/namespaces/shop/deployments/{name}")
        status = found["status"]
        new = status.get("observedGeneration") == found["metadata"]["generation"]
        return bool(new and status.get("availableReplicas") == 1 == status.get("replicas"))


NEIGHBOUR = Ask(base.NEIGHBOUR, gateway=EDGE)
DOOR = Ask("http://nobody.doors.test/", gateway=DOORS)
DOOR_TLS = Ask("https://nobody.doors.test/", gateway=DOORS, trusts=True)


def _placed(it: Object, address: str) -> Object:
    """An application outside of the cluster listens on the lab's bridge."""
    if it["kind"] != "EndpointSlice":
        return it
    ends = [
        {**one, "addresses": [address if each == OUTSIDE else each for each in one["addresses"]]}
        for one in it["endpoints"]
    ]
    return {**it, "endpoints": ends}
