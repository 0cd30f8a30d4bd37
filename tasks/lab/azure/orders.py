"""
Orders from the lab's command line to its Azure, past all that Azure would ask or refuse: one line
of JSON to a socket in the lab's folder, one line back.
"""

import json
import socket
import socketserver
from collections.abc import Callable, Mapping
from dataclasses import fields
from pathlib import Path
from threading import Thread
from typing import Any

from typing_extensions import override

from tasks.lab.azure.answers import Refused
from tasks.lab.azure.faults import Fault
from tasks.lab.azure.state import Azure
from tasks.lab.progress import LabError, UsageError

Order = Mapping[str, Any]
SECONDS = 30


def give(file: Path, **order: object) -> Any:
    """The answer to an order; raises `LabError`."""
    try:
        with socket.socket(socket.AF_UNIX) as line:
            line.settimeout(SECONDS)
            line.connect(str(file))
            line.sendall(json.dumps(order).encode() + b"\n")
            with line.makefile("rb") as answer:
                said = json.loads(answer.readline())
    except (OSError, ValueError) as error:
        raise LabError(f"Azure of the lab does not answer at {file}: {error}: `up` again") from None
    if "problem" in said:
        raise UsageError(said["problem"])
    return said["answer"]


def take(azure: Azure, file: Path, more: Mapping[str, Callable[[Order], Any]]) -> None:
    """Carry orders out from now on, in a thread; ``more`` are those of the lab's clusters."""
    known = {**_orders(azure), **more}

    class Handler(socketserver.StreamRequestHandler):
        @override
        def handle(self) -> None:
            order = json.loads(self.rfile.readline())
            try:
                answer = {"answer": known[order["do"]](order)}
            except (Refused, UsageError) as problem:
                answer = {"problem": str(problem)}
            self.wfile.write(json.dumps(answer).encode() + b"\n")

    file.unlink(missing_ok=True)
    server = socketserver.ThreadingUnixStreamServer(str(file), Handler)
    file.chmod(0o600)
    Thread(target=server.serve_forever, daemon=True).start()


def _orders(azure: Azure) -> Mapping[str, Callable[[Order], Any]]:
    def grant(order: Order) -> Any:
        identity = azure.identities.get(order["who"])
        if identity is None:
            raise UsageError(f"nobody is called {order['who']!r}: {', '.join(azure.identities)}")
        try:
            return azure.assign(identity.object_id, order["role"], order["scope"])["id"]
        except KeyError:
            raise UsageError(f"there is no role {order['role']!r}") from None

    def delete(order: Order) -> Any:
        azure.delete(order["id"])

    def fault(order: Order) -> Any:
        return str(azure.faults.add(_fault(order["values"])))

    def clear(order: Order) -> Any:
        azure.faults.clear()

    return {
        "get": lambda order: azure.get(order["id"]),
        "ids": lambda order: [it["id"] for it in azure.everything()],
        "put": lambda order: azure.put(order["id"], order["body"]),
        "plant": lambda order: azure.plant(order["id"], order["body"]),
        "grant": grant,
        "delete": delete,
        "fault": fault,
        "faults": lambda order: [str(it) for it in azure.faults.faults],
        "clear": clear,
        "requests": lambda order: [vars(it) for it in azure.requests[-int(order["last"]) :]],
    }


def _fault(values: Mapping[str, str]) -> Fault:
    """Raises `UsageError`."""
    known = {it.name: it.default for it in fields(Fault)}
    made: dict[str, Any] = {}
    for name, text in values.items():
        if name not in known:
            raise UsageError(f"a fault has no {name!r}: it has {', '.join(known)}")
        made[name] = text if name in {"match", "code", "message", "fails"} else _value(name, text)
    return Fault(**made)


def _value(name: str, text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        raise UsageError(f"{name}={text}: that is no number, true or false") from None
