"""A state of the cluster as the folder that a diagnosis reads, and the live diagnosis of it."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from functools import cached_property
from pathlib import Path
from shutil import rmtree
from typing import Any
from urllib.parse import urlsplit

from tasks import support_bundle
from tasks.connectors import kubeconfig
from tasks.connectors.api import Api
from tasks.diagnosis.evidence import Evidence
from tasks.operations import evidence as reading
from tasks.operations.evidence import Look, evidence
from tasks.plans.redaction import Redaction
from tasks.plans.requests import parsed
from tests.gym.archive import LIVE
from tests.gym.cluster import Cluster
from tests.gym.fault import Ask, Fault

Json = dict[str, Any]
#: Files of each proxy.
Kept = dict[str, dict[str, bytes]]
#: Seconds: a diagnosis waits with what is new, and the gym asks as if it were not.
LATER = 4.0


class Recorder:
    """Reads one cluster as deploys/diagnose.py and deploys/support_bundle.py do."""

    def __init__(self, cluster: Cluster) -> None:
        self.cluster = cluster
        reading.FLUSHED = 2.0  # proxies of the gym write their lines out at once

    @cached_property
    def api(self) -> Api:
        config = kubeconfig.one_context(self.cluster.member.name, str(self.cluster.lab.kubeconfig))
        return Api(config, 60.0)

    def look(self, fault: Fault, ask: Ask, entries: Sequence[Json], folder: Path) -> Json | None:
        """
        A bundle in ``folder``. Returns what the live diagnosis says, None where one more request
        cannot show the fault. + entries: what the gym's own client saw
        """
        from tasks.diagnosis.diagnosis import as_json
        from tasks.diagnosis.explain import diagnosis

        seen, kept = self.seen(ask, send=can_show(ask))
        found = as_json(diagnosis(seen)) if fault.live else None
        self.folder(folder, entries, seen, kept)
        if found is not None:
            (folder / LIVE).write_text(json.dumps(found, indent=1))
        return found

    def seen(self, ask: Ask, send: bool = True) -> tuple[Evidence, Kept]:
        """What is known of the cluster, and what proxies said; the request is sent once more."""
        asked = parsed(written(ask, self.cluster.address(ask.gateway))) if ask.url else None
        look = Look(asked=asked, send=send, seconds=60)
        kept: Kept = {}

        def keep(proxy: str, name: str, content: bytes) -> None:
            kept.setdefault(proxy, {})[name] = content

        name = self.cluster.member.name
        return evidence(self.api, name, look, time.time() + LATER, keep), kept

    def folder(self, folder: Path, entries: Sequence[Json], seen: Evidence, kept: Kept) -> None:
        """
        A bundle of it. + entries: what the gym's own client saw, where it sent more than one
        request can tell
        """
        bundle = support_bundle.Bundle(Redaction(secrets.token_bytes(16)))
        support_bundle.fill(bundle, seen, kept)
        if entries:
            bundle.add_document("client.json", list(entries))
        taken = datetime.fromtimestamp(seen.now or 0, UTC)
        about = support_bundle.manifest(bundle, seen, seen.gaps, taken)
        bundle.add_document("manifest.json", about)
        rmtree(folder, ignore_errors=True)
        for name, content in bundle.files.items():
            path = folder / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)


def can_show(ask: Ask) -> bool:
    """Whether one request more, on a connection of its own, meets what this one met."""
    return not ask.reuses and ask.gives_up > 1


def written(ask: Ask, address: str = "") -> str:
    """As an operator types it; nothing in DNS leads to the lab."""
    url = urlsplit(ask.url)
    port = ask.port or url.port
    place = f"{url.hostname}:{port}" if port else str(url.hostname)
    words = [
        "curl",
        "-k",
        "-X",
        ask.method,
        f"'{url.scheme}://{place}{url.path or '/'}{_query(url.query)}'",
    ]
    if ask.port and (url.port or ask.port not in (80, 443)):
        words += ["-H", f"'host: {url.netloc}'"]
    if address:
        number = port or (443 if url.scheme == "https" else 80)
        words += ["--resolve", f"{url.hostname}:{number}:{address}"]
    if ask.version == "2":
        words.append("--http2" if url.scheme == "https" else "--http2-prior-knowledge")
    for name, value in ask.headers.items():
        words += ["-H", f"'{name}: {value}'"]
    return " ".join(words)


def _query(text: str) -> str:
    return f"?{text}" if text else ""
