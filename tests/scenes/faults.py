"""What goes wrong, on a stage: each is one act."""

from __future__ import annotations

import asyncio
import signal
import socket
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from tasks.plans.metrics import Exporter
from tests.scenes import certificates
from tests.scenes.backends import How, Stream
from tests.scenes.gateway import HTTP, HTTPS, Json, Route, of_policy, speaking_http2
from tests.scenes.load import Load
from tests.scenes.stage import Act, Stage, nothing

__all__ = ["nothing"]

#: A port of backends that hears nothing.
DEAF = 9999
#: The cluster of a service that a policy asks.
SERVICE = "securitypolicy/edge/shop/service"


def each(*acts: Act) -> Act:
    """One after the other."""

    async def all_of_them(stage: Stage) -> None:
        for act in acts:
            await act(stage)

    return all_of_them


def repeated(act: Act, seconds: float) -> Act:
    """Again and again, until ``let_go`` or the stage closes."""

    async def forever(stage: Stage) -> None:
        while True:
            await act(stage)
            await asyncio.sleep(seconds)

    async def start(stage: Stage) -> None:
        task = asyncio.create_task(forever(stage))
        stage.kept.append(task)
        stage.repeating.append(task)

    return start


# Backends


def refuse(*which: int) -> Act:
    async def act(stage: Stage) -> None:
        for it in which:
            await stage.backends[it].refuse()

    return act


def serve(*which: int) -> Act:
    async def act(stage: Stage) -> None:
        for it in which:
            await stage.backends[it].listen()

    return act


def answer(
    *,
    how: How = "answer",
    status: int = 200,
    every: int = 1,
    delay: float = 0,
    which: Sequence[int] = (0, 1),
) -> Act:
    """What backends do from now on."""

    async def act(stage: Stage) -> None:
        for it in (stage.backends[n] for n in which):
            it.how, it.status, it.every, it.delay = how, status, every, delay

    return act


def unwell(*which: int, well: bool = False) -> Act:
    async def act(stage: Stage) -> None:
        for it in which:
            stage.backends[it].unwell = not well

    return act


async def deafen(stage: Stage) -> None:
    """Endpoints whose packets are dropped: a queue of connections that is full and never read."""
    for backend in stage.backends:
        listener = socket.socket()
        listener.bind((backend.address, DEAF))
        listener.listen(0)
        stage.held.append(listener)
        for _ in range(3):
            client = socket.socket()
            client.setblocking(False)
            client.connect_ex((backend.address, DEAF))
            stage.held.append(client)


# What Envoy Gateway says


def endpoints(*which: int, port: int | None = None) -> Act:
    """The endpoints of the route from now on."""

    async def act(stage: Stage) -> None:
        places = [stage.backends[it].place for it in which]
        stage.route.endpoints[:] = [(it, port or own) for it, own in places]
        stage.tell()

    return act


def answered(status: int | None) -> Act:
    """The route by Envoy Gateway itself, or by its backends again."""

    async def act(stage: Stage) -> None:
        stage.route.status = status
        stage.tell()

    return act


def said(**fields: Any) -> Act:
    """Fields of the Gateway from now on."""

    async def act(stage: Stage) -> None:
        for gateway in stage.gateways:
            for key, value in fields.items():
                setattr(gateway, key, value)
        stage.tell()

    return act


def clusters(**fields: Any) -> Act:
    """Fields of the route's cluster from now on."""

    async def act(stage: Stage) -> None:
        stage.route.cluster = {**stage.route.cluster, **fields}
        stage.tell()

    return act


def routed(**action: Any) -> Act:
    """Fields of the route's action from now on."""

    async def act(stage: Stage) -> None:
        stage.route.action = {**stage.route.action, **action}
        stage.tell()

    return act


def one_more(where: str, made: Json) -> Act:
    """A listener or a cluster that a policy or a patch adds."""

    async def act(stage: Stage) -> None:
        getattr(stage.gateway, where)[:] = [made]
        stage.tell()

    return act


def without(where: str) -> Act:
    async def act(stage: Stage) -> None:
        getattr(stage.gateway, where).clear()
        stage.tell()

    return act


def served(days: float) -> Act:
    """Another certificate in the same Secret."""

    async def act(stage: Stage) -> None:
        stage.gateway.certificates[:] = [certificates.secret(days, stage.scene.name)]
        stage.tell()

    return act


# Before the stage opens


def https(days: float = 60) -> Callable[[Stage], None]:
    """Clients come over TLS, a connection each."""

    def before(stage: Stage) -> None:
        stage.gateway.certificates.append(certificates.secret(days, stage.scene.name))
        for it, gateway in zip(stage.loads, stage.gateways, strict=True):
            it.place, it.tls, it.fresh = (gateway.address, HTTPS), certificates.trusting(), True

    return before


def policy(name: str, port: int, config: Json, *, http2: bool = True) -> Callable[[Stage], None]:
    """A filter that asks a service of the scene, which ``stage.things["service"]`` is."""

    def before(stage: Stage) -> None:
        cluster = of_policy(SERVICE, stage.address(60), port)
        stage.gateway.more_clusters.append(speaking_http2(cluster) if http2 else cluster)
        stage.gateway.filters.append({"name": name, "typed_config": config})
        stage.things["service"] = Stream(stage.address(60), port, answers=True)

    return before


def with_cluster(**fields: Any) -> Callable[[Stage], None]:
    """A BackendTrafficPolicy's word on the cluster of the route."""

    def before(stage: Stage) -> None:
        stage.route.cluster = fields

    return before


def with_action(**fields: Any) -> Callable[[Stage], None]:
    """An HTTPRoute's or a policy's word on its route."""

    def before(stage: Stage) -> None:
        stage.route.action = fields

    return before


def with_gateway(**fields: Any) -> Callable[[Stage], None]:
    def before(stage: Stage) -> None:
        for gateway in stage.gateways:
            for key, value in fields.items():
                setattr(gateway, key, value)

    return before


# Clients


def rate(value: float) -> Act:
    async def act(stage: Stage) -> None:
        for it in stage.loads:
            it.rate = value / len(stage.loads)

    return act


def patience(seconds: float) -> Act:
    async def act(stage: Stage) -> None:
        for it in stage.loads:
            it.patience = seconds

    return act


def asked(host: str = "shop.lab.test", path: str = "/") -> Act:
    async def act(stage: Stage) -> None:
        for it in stage.loads:
            it.host, it.path = host, path

    return act


def visited(rate: float, host: str, path: str = "/") -> Act:
    """More clients beside the others."""

    async def act(stage: Stage) -> None:
        load = Load((stage.gateway.address, HTTP), rate, host=host, path=path)
        stage.loads.append(load)
        stage.kept.append(asyncio.create_task(load.run()))

    return act


def connections(count: int) -> Act:
    """So many connections of clients that say nothing, until ``let_go``."""

    async def act(stage: Stage) -> None:
        for _ in range(count):
            opened = asyncio.open_connection(stage.gateway.address, HTTP)
            stage.writers.append((await opened)[1])

    return act


async def let_go(stage: Stage) -> None:
    """And no more of what is repeated."""
    for task in stage.repeating:
        task.cancel()
    for it in stage.writers:
        it.close()
    stage.writers.clear()


async def verifying(stage: Stage) -> None:
    """Clients that look at the certificate."""
    for it in stage.loads:
        it.verifies = True


async def taking_any(stage: Stage) -> None:
    for it in stage.loads:
        it.verifies = False


def suspicious(rate: float) -> Act:
    """A few clients more, who look at the certificate."""

    async def act(stage: Stage) -> None:
        load = Load((stage.gateway.address, HTTPS), rate)
        load.verifies = True
        stage.loads.append(load)
        stage.kept.append(asyncio.create_task(load.run()))

    return act


# Proxies, the controller and services that policies ask


async def service_away(stage: Stage) -> None:
    await stage.things["service"].end()


async def service_back(stage: Stage) -> None:
    await stage.things["service"].open()


def ended(page: Exporter) -> Act:
    """The controller or the rate limit service of the whole Prometheus."""

    async def act(stage: Stage) -> None:
        await stage.prometheus.pages[page].end()

    return act


def begun(page: Exporter) -> Act:
    async def act(stage: Stage) -> None:
        await stage.prometheus.pages[page].open()

    return act


async def controller_away(stage: Stage) -> None:
    await stage.stream.end()


async def controller_back(stage: Stage) -> None:
    await stage.stream.open()


def signalled(what: signal.Signals, which: Sequence[int] = (0,)) -> Act:
    """To processes of proxies that stay scraped, as Pods that exist are."""

    async def act(stage: Stage) -> None:
        for it in which:
            process = stage.proxies[it].process
            if process is not None:
                process.send_signal(what)
                if what == signal.SIGKILL:
                    process.wait()

    return act


def started(*which: int) -> Act:
    async def act(stage: Stage) -> None:
        for it in which:
            stage.proxies[it].start()

    return act


def restarted(*which: int) -> Act:
    return each(signalled(signal.SIGKILL, which), started(*which))


async def gone(stage: Stage) -> None:
    """Every Pod of the Gateway, and with it its target."""
    await asyncio.gather(*(stage.remove(it, signal.SIGKILL) for it in [*stage.proxies]))


async def come(stage: Stage) -> None:
    for number, gateway in enumerate(stage.gateways):
        await stage.add(gateway, f"{stage.scene.name}-{number}")


def second_route(name: str, *which: int, path: str = "/cart") -> Act:
    async def act(stage: Stage) -> None:
        places = [stage.backends[it].place for it in which]
        stage.gateway.routes.insert(0, Route(name, places, path=path))
        stage.tell()

    return act


def passed(seconds: float) -> Act:
    """Time."""

    async def act(_: Stage) -> None:
        await asyncio.sleep(seconds)

    return act


def drained(which: int) -> Act:
    """
    A proxy Pod ends as Kubernetes ends it: clients are sent elsewhere, the shutdown manager drains
    it, and it ends.
    """

    async def act(stage: Stage) -> None:
        load = stage.loads[which]
        load.place = stage.loads[which - 1].place
        load.leave()
        await asyncio.sleep(1)
        await stage.remove(stage.proxies[which])

    return act


async def rolled_out(stage: Stage) -> None:
    """The new Pod first, one after the other."""
    for number, (gateway, load) in enumerate(zip(stage.gateways, stage.loads, strict=True)):
        old = stage.proxies[0]
        new = replace(gateway, address=stage.address(10 + number))
        await stage.add(new, f"{stage.scene.name}-{10 + number}")
        load.place = (new.address, HTTP)
        load.leave()
        await asyncio.sleep(1)
        await stage.remove(old)
