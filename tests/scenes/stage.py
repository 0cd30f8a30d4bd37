"""Where one scene is played: its Gateway, proxies, backends and clients, and how they are told."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from tests.scenes.backends import Backend, Page, Stream
from tests.scenes.gateway import HTTP, STATS, XDS, Gateway, Route
from tests.scenes.load import Load
from tests.scenes.processes import Prometheus, Proxy

#: Seconds until a Prometheus takes what its discovery has found; they are not compressed.
DISCOVERY = 6
Act = Callable[["Stage"], Awaitable[None]]


async def nothing(_: Stage) -> None:
    """A scene that needs no act."""


@dataclass(frozen=True)
class Scene:
    """
    A fault of a real Envoy, which alerts fire, and that they end with it.

    + name: also of the Gateway's namespace, so alerts are told apart by their labels
    + what: happens, for the page; + fault, mend: make it so, and end it
    + alerts: that must fire; none of them makes it a quiet scene, in which nothing may
    + also: that may fire too, for they are consequences; when they end is not waited for
    + before: changes the stage before it opens; + after: once it is open
    + rate: requests a second; + proxies: how many; + warm: seconds of health before the fault
    + within, clears: seconds until the alerts fire, and until they are over
    + hold: seconds for which the fault lasts once they fire, or at all in a quiet scene
    + alone: in a Prometheus of its own, for an alert of it names no Gateway
    + stated: job of a page that says by hand what no Envoy exports, see tests/scenes/stated.py
    + sample: played by ``make test``; the others by ``make nightly``
    """

    name: str
    what: str
    fault: Act
    mend: Act = nothing
    alerts: tuple[str, ...] = ()
    also: tuple[str, ...] = ()
    before: Callable[[Stage], None] | None = None
    after: Act = nothing
    rate: float = 20
    proxies: int = 1
    warm: float = 15
    within: float = 60
    clears: float = 60
    hold: float = 5
    alone: bool = False
    stated: str = ""
    sample: bool = False


@dataclass
class Stage:
    """
    + number: of its network, 127.70.<number>.0/24; + release: of Envoy Gateway
    + loads: of clients, one a proxy; + things: servers of this scene alone
    + writers, held: connections of clients and sockets that are kept open
    + before: what was, for an act that puts it back
    """

    scene: Scene
    number: int
    release: str
    folder: Path
    prometheus: Prometheus
    gateways: list[Gateway] = field(default_factory=list)
    proxies: list[Proxy] = field(default_factory=list)
    backends: list[Backend] = field(default_factory=list)
    loads: list[Load] = field(default_factory=list)
    kept: list[asyncio.Task[None]] = field(default_factory=list)
    repeating: list[asyncio.Task[None]] = field(default_factory=list)
    things: dict[str, Stream | Page] = field(default_factory=dict)
    writers: list[asyncio.StreamWriter] = field(default_factory=list)
    held: list[socket.socket] = field(default_factory=list)
    before: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.stream = Stream(self.address(50), XDS)
        self.backends = [Backend(self.address(100)), Backend(self.address(101))]
        routes = [Route("shop", [it.place for it in self.backends])]
        first = Gateway(self.scene.name, self.address(1), self.address(50), routes=routes)
        others = [replace(first, address=self.address(n + 1)) for n in range(1, self.scene.proxies)]
        self.gateways = [first, *others]
        rate = self.scene.rate / max(1, self.scene.proxies)
        self.loads = [Load((it.address, HTTP), rate) for it in self.gateways]
        if self.scene.before is not None:
            self.scene.before(self)

    def address(self, host: int) -> str:
        return f"127.70.{self.number}.{host}"

    @property
    def gateway(self) -> Gateway:
        return self.gateways[0]

    @property
    def route(self) -> Route:
        return self.gateway.routes[0]

    @property
    def load(self) -> Load:
        return self.loads[0]

    @property
    def backend(self) -> Backend:
        return self.backends[0]

    def tell(self) -> None:
        """Every proxy what its Gateway is now."""
        for it in self.proxies:
            it.write()

    async def open(self) -> None:
        await self.stream.open()
        for it in self.things.values():
            await it.open()
        for backend in self.backends:
            await backend.listen()
        if self.scene.proxies == 0:
            self.gateways, self.loads = [], []
        for number, gateway in enumerate(self.gateways):
            await self.add(gateway, f"{self.scene.name}-{number}")
        for load in self.loads:
            self.kept.append(asyncio.create_task(load.run()))
        await self.scene.after(self)

    async def add(self, gateway: Gateway, pod: str) -> Proxy:
        """A proxy Pod: it serves, then it is scraped."""
        proxy = Proxy(gateway, self.folder / pod, self.release)
        proxy.start()
        await listening(gateway.address, STATS)
        await listening(gateway.address, HTTP)
        self.proxies.append(proxy)
        self.scrape(proxy)
        return proxy

    def scrape(self, proxy: Proxy) -> None:
        gateway = proxy.gateway
        labels = {"gateway_namespace": gateway.namespace, "gateway": gateway.name}
        labels["namespace"] = gateway.namespace
        self.prometheus.scrape_proxy(proxy.folder.name, gateway.address, **labels)

    async def remove(self, proxy: Proxy, how: signal.Signals = signal.SIGTERM) -> None:
        """A proxy Pod that goes: Prometheus hears of it, then it ends."""
        self.proxies.remove(proxy)
        self.prometheus.leave(proxy.folder.name)
        await asyncio.sleep(DISCOVERY)
        await proxy.stop(how)

    async def close(self) -> None:
        for task in self.kept:
            task.cancel()
        await asyncio.gather(*self.kept, return_exceptions=True)
        for proxy in [*self.proxies]:
            if proxy.folder.name in self.prometheus.targets:
                self.prometheus.leave(proxy.folder.name)
            await proxy.stop(signal.SIGKILL)
        if "page" in self.things:
            self.prometheus.leave(f"{self.scene.name}-page")
        for backend in self.backends:
            await backend.refuse()
        for writer in self.writers:
            writer.close()
        for it in self.held:
            it.close()
        for thing in (self.stream, *self.things.values()):
            await thing.end()


async def listening(address: str, port: int, within: float = 20) -> None:
    """Wait for it; a machine that is busy needs its time."""
    async with asyncio.timeout(within):
        while True:
            try:
                _, writer = await asyncio.open_connection(address, port)
            except OSError:
                await asyncio.sleep(0.05)
            else:
                writer.close()
                return
