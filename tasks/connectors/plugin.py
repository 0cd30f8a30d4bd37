"""
How programs that a run starts, helm above all, sign in to a cluster without a credential on disk:
the kubeconfig that they get names a command, which asks this process over a socket that this user
alone can open (kubernetes.io, "Authenticating", client-go credential plugins).
"""

from __future__ import annotations

import json
import socket
import sys
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

API_VERSION = "client.authentication.k8s.io/v1"
#: A line that begins with { is a credential, any other says why there is none.
_PROGRAM = """
import socket, sys
asked = socket.socket(socket.AF_UNIX)
try:
    asked.connect(sys.argv[1])
    said = asked.makefile().read()
except OSError as error:
    said = f"the run that started this program has ended: {error}"
if not said.startswith("{"):
    sys.exit(said)
print(said)
"""


class Plugin:
    """
    + folder: 0700; + credential: the ``status`` of an ExecCredential, such as {"token": "..."};
      it may raise, and its message is what the program is told
    """

    def __init__(self, folder: Path, credential: Callable[[], Mapping[str, str]]) -> None:
        import gevent

        self._place = folder / "sign-in"
        self._credential = credential
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.bind(str(self._place))
        self._socket.listen(8)
        self._greenlet = gevent.spawn(self._serve)

    @property
    def user(self) -> dict[str, Any]:
        """Of a kubeconfig."""
        return {
            "exec": {
                "apiVersion": API_VERSION,
                "command": sys.executable,
                "args": ["-I", "-S", "-c", _PROGRAM, str(self._place)],
                "interactiveMode": "Never",
                "provideClusterInfo": False,
            }
        }

    def close(self) -> None:
        self._greenlet.kill()
        self._socket.close()

    def _serve(self) -> None:
        import gevent

        while True:
            asked, _ = self._socket.accept()
            gevent.spawn(self._answer, asked)

    def _answer(self, asked: socket.socket) -> None:
        try:
            said = json.dumps(
                {
                    "apiVersion": API_VERSION,
                    "kind": "ExecCredential",
                    "status": dict(self._credential()),
                }
            )
        except Exception as error:
            said = " ".join(str(error).split()) or type(error).__name__
        with suppress(OSError), asked:  # the program has gone
            asked.sendall(said.encode())
