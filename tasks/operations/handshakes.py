"""What every proxy Pod and every address really serves for each name: handshakes, no requests."""

from __future__ import annotations

import socket
import ssl
import warnings
from collections.abc import Iterable, Sequence
from contextlib import suppress
from functools import cache
from typing import Any

from pyinfra import host
from pyinfra.api.exceptions import DeployError

from tasks.connectors.api import Api, ApiError
from tasks.connectors.forward import forwarded
from tasks.facts.kube import KubeObjects
from tasks.fleet import run as fleet_run
from tasks.fleet.guard import FactFailed, fact, session
from tasks.fleet.inventory import Cluster
from tasks.operations.probe import reason
from tasks.plans import chains, proxies, x509
from tasks.plans.handshakes import UNREACHED, Ask, Pod, to_addresses, to_pods
from tasks.plans.listeners import Handshake, Listener

#: As ``public_bytes`` of a certificate of the module ssl wants it.
DER = 2
#: Pods that are asked at the same time, and addresses.
AT_A_TIME = 8
TIMEOUT = 5.0
#: What a load balancer says to a Pod of a client that it does not name (PROXY protocol, version 1).
NOBODY = b"PROXY UNKNOWN\r\n"


class Denied(Exception):
    """Pods cannot be asked one by one; the message says which right is missing."""


def look(data: Cluster, listeners: Iterable[Listener]) -> list[Handshake]:
    """
    One handshake for each listener and name with every ready Pod and with every address, wherever
    this machine may ask: no address where ``probe.enabled`` is false, no Pod without the right to
    forward ports, which the report then says.

    Raises DeployError where neither may be asked, and FactFailed where Pods cannot be listed.
    """
    asked = list(dict.fromkeys(listeners))
    if not asked:
        return []
    found = at_addresses(asked) if data.probe.enabled else []
    try:
        return found + at_pods(asked, data.proxy_namespace)
    except Denied as error:
        if not data.probe.enabled:
            raise DeployError(
                f"nothing can be proven: {error}, and probe.enabled is false: allow one of them"
            ) from error
        fleet_run.note(host, "proxies", f"not asked one by one: {error}")
    return found


def at_pods(
    listeners: Sequence[Listener], namespace: str | None, timeout: float = TIMEOUT
) -> list[Handshake]:
    """
    Those of ``look`` with Pods. Raises FactFailed where they cannot be listed, and Denied where
    they may not be, or not be asked.
    """
    where = {"api_version": "v1", "namespace": namespace, "labels": proxies.LABELS}
    try:
        pods = fact(KubeObjects, kind="Pod", **where)
        services = fact(KubeObjects, kind="Service", **where)
    except FactFailed as error:
        if error.forbidden:
            raise Denied("no right to list pods and services") from error
        raise
    return ask(to_pods(pods, services, listeners), timeout)


def ask(pods: Iterable[Pod], timeout: float = TIMEOUT) -> list[Handshake]:
    """Over one port forward a Pod. Raises Denied."""
    from gevent.pool import Pool

    api = session()
    answers = Pool(AT_A_TIME).map(lambda it: _with_pod(api, it, timeout), pods)
    if None in answers:
        raise Denied("no right to create pods/portforward")
    return [it for some in answers for it in some or ()]


def at_addresses(listeners: Sequence[Listener], timeout: float = TIMEOUT) -> list[Handshake]:
    """Those of ``look`` with addresses."""
    from gevent.pool import Pool

    asked = [(address, ask) for address, asks in to_addresses(listeners).items() for ask in asks]
    return list(Pool(AT_A_TIME).map(lambda it: _with_address(*it, timeout), asked))


def _with_pod(api: Api, pod: Pod, timeout: float) -> list[Handshake] | None:
    """None where that is not allowed."""
    ports = [it.port for it in pod.asks]
    try:
        with forwarded(api, pod.namespace, pod.name, ports) as forward:
            for ask, stream in zip(pod.asks, forward.sockets, strict=True):
                if ask.listener.proxy_protocol:
                    stream.sendall(NOBODY)
            found = [
                _handshake(pod.title, ask, stream, timeout)
                for ask, stream in zip(pod.asks, forward.sockets, strict=True)
            ]
            return [
                Handshake(it.place, it.listener, it.sni, why=f"nothing listens on port {port}")
                if number in forward.refused
                else it
                for number, (it, port) in enumerate(zip(found, ports, strict=True))
            ]
    except ApiError as error:
        if error.status == 403:
            return None
        if error.status == 404:  # it has gone since
            return []
        why = f"{UNREACHED}{error}"
        return [Handshake(pod.title, it.listener, it.sni, why=why) for it in pod.asks]


def _with_address(address: str, ask: Ask, timeout: float) -> Handshake:
    """
    The load balancer may say who the client is, or something in front of it that is not asked here.
    """
    found = _connected(address, ask, timeout, b"")
    if found.why and ask.listener.proxy_protocol:
        return _connected(address, ask, timeout, NOBODY)
    return found


def _connected(address: str, ask: Ask, timeout: float, first: bytes) -> Handshake:
    """+ first: what is said before TLS begins"""
    place = f"address {address}:{ask.port}"
    try:
        with socket.create_connection((address, ask.port), timeout) as raw:
            raw.sendall(first)
            return _handshake(place, ask, raw, timeout)
    except OSError as error:
        return Handshake(place, ask.listener, ask.sni, why=reason(error))


def _handshake(place: str, ask: Ask, raw: socket.socket, timeout: float) -> Handshake:
    """
    A peer that goes on to ask for a certificate of ours has shown its own before it ends the
    connection.
    """
    raw.settimeout(timeout)
    why = None
    try:
        stream = _anything().wrap_socket(
            raw, server_hostname=ask.sni or None, do_handshake_on_connect=False
        )
    except ValueError:
        return Handshake(place, ask.listener, ask.sni, why="not a name that TLS can carry")
    try:
        stream.do_handshake()
    except OSError as error:
        why = reason(error)
    sent, alpn = _chain(stream), stream.selected_alpn_protocol()
    with suppress(OSError):
        stream.close()
    if not sent:
        return Handshake(place, ask.listener, ask.sni, why=why or "no certificate was sent")
    chain, served = tuple(x509.fingerprint(it) for it in sent), chains.of_der(sent)
    read = bool(served.leaf and served.leaf.fingerprint == chain[0])
    serial = served.certificates[0].serial if read else ""
    return Handshake(place, ask.listener, ask.sni, chain, serial, alpn, served=served)


def _chain(stream: ssl.SSLSocket) -> list[bytes]:
    """
    What the peer sent, in its order. Until Python 3.13 only the object below knows more than the
    first certificate.
    """
    inside: Any = stream._sslobj  # type: ignore[attr-defined]
    found = inside.get_unverified_chain() if inside else None
    return [it if isinstance(it, bytes) else bytes(it.public_bytes(DER)) for it in found or ()]


@cache
def _anything() -> ssl.SSLContext:
    """Takes what no browser would, for what is served is what is asked; verifies nothing."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version = ssl.TLSVersion.TLSv1
    context.set_alpn_protocols(["h2", "http/1.1"])
    return context
