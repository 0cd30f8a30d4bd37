"""A real Alertmanager between Prometheus and a webhook that keeps what it gets."""

from __future__ import annotations

import asyncio
import contextlib
import json
import shlex
import subprocess
from pathlib import Path
from typing import Any

import yaml

from tasks.lab.monitoring_parts import TEMPLATES
from tests.scenes.play import ask
from tests.scenes.processes import ALERTMANAGER_PORT, ended, programs, start_command


class Webhook:
    """Every notification that came, in order."""

    def __init__(self, address: str, port: int = 8080) -> None:
        self.address, self.port = address, port
        self.received: list[dict[str, Any]] = []
        self._server: asyncio.Server | None = None

    async def __aenter__(self) -> Webhook:
        self._server = await asyncio.start_server(self._one, self.address, self.port)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._server is not None:
            self._server.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            length = int(head.partition(b"content-length:")[2].split(b"\r\n")[0])
            self.received.append(json.loads(await reader.readexactly(length)))
            writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            await writer.drain()
        writer.close()


class Alertmanager:
    """
    + address: where it listens; + webhook: where it posts, critical alerts alone

    Debian's reads its templates below /usr/share, so it gets a /usr/share of its own (root).
    """

    def __init__(self, folder: Path, address: str, webhook: Webhook) -> None:
        self.folder, self.address = folder, address
        self.process: subprocess.Popen[bytes] | None = None
        folder.mkdir(parents=True, exist_ok=True)
        url = f"http://{webhook.address}:{webhook.port}/"
        config = {
            "route": {
                "receiver": "nobody",
                "routes": [
                    {
                        "matchers": ['severity="critical"'],
                        "receiver": "pager",
                        "group_by": ["alertname", "gateway_namespace", "gateway"],
                        "group_wait": "1s",
                        "group_interval": "1s",
                        "repeat_interval": "1h",
                    }
                ],
            },
            "receivers": [
                {"name": "nobody"},
                {"name": "pager", "webhook_configs": [{"url": url, "send_resolved": True}]},
            ],
        }
        (folder / "alertmanager.yml").write_text(yaml.safe_dump(config))

    @property
    def place(self) -> str:
        return f"{self.address}:{ALERTMANAGER_PORT}"

    async def __aenter__(self) -> Alertmanager:
        found = programs()["alertmanager"]
        share = Path(next(iter(TEMPLATES.values()))).parent
        copies = [f"cp {shlex.quote(str(found.parent / it))} {share}" for it in TEMPLATES]
        command = [
            str(found),
            f"--config.file={self.folder}/alertmanager.yml",
            f"--storage.path={self.folder}/data",
            f"--web.listen-address={self.place}",
            "--cluster.listen-address=",
        ]
        steps = ["mount -t tmpfs none /usr/share", f"mkdir -p {share}", *copies]
        script = " && ".join([*steps, f"exec {shlex.join(command)}"])
        self.process = start_command(
            ["unshare", "--mount", "sh", "-c", script], self.folder / "alertmanager.log"
        )
        await ask(f"http://{self.place}/api/v2/status")
        return self

    async def __aexit__(self, *_: object) -> None:
        await ended(self.process)
