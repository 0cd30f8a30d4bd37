"""
Backups and restores that are killed, on API servers alone. A backup is survived where what was
there before is still whole, nothing half written is left, and the newest archive holds the cluster;
a restore where the cluster ends like one that was restored without a kill.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pyinfra.api.exceptions import DeployError

from tasks.fleet import archives
from tasks.lab import state
from tasks.lab.api import Api, ApiError
from tasks.plans import resources
from tasks.plans.archive import Contents
from tests.lab.applying import apply
from tests.lab.campaign import snapshot, turns
from tests.lab.campaign.attempts import Upgrade, killed_and_gone_on, times, undisturbed
from tests.lab.campaign.points import Point, points
from tests.lab.campaign.snapshot import CRDS
from tests.lab.fleet import NEW
from tests.lab.running import until
from tests.objects import NAMESPACES, crds_of_others, objects

if TYPE_CHECKING:
    from tests.lab.campaign.__main__ import Campaign

#: Of ten points so many are backups: they are short, and do less.
BACKUPS = 4
#: What is taken from a cluster before it is restored.
LOST_NAMESPACES = ("shop", "keys", snapshot.NAMESPACE)
LOST = (
    "/apis/gateway.networking.k8s.io/v1/namespaces/gates/gateways/public",
    "/apis/gateway.envoyproxy.io/v1alpha1/namespaces/gates/envoyproxies/own",
    "/apis/gateway.networking.k8s.io/v1/gatewayclasses/every-field",
    "/api/v1/namespaces/gates/secrets/api-tls",
    f"{CRDS}/backendtlspolicies.gateway.networking.k8s.io",
)
ADDRESSES = ("clusterIP", "clusterIPs")
#: Of the stand-in, with the replicas of whichever EnvoyProxy it saw first.
PROXIES = (
    "/apis/apps/v1/namespaces/envoy-gateway-system/deployments envoy-gateway-system/envoy-edge-",
    "/apis/apps/v1/namespaces/envoy-gateway-system/deployments envoy-gateway-system/envoy-gates-",
)
#: There was no good state before; which one is noted later depends on how far a killed run came.
OF_LEASE = ("holder", "state", "values")
Object = dict[str, Any]


def run_all(campaign: Campaign, count: int) -> int:
    """The points that are not done yet; how many of all were not survived."""
    names = campaign.fleet.names
    with ThreadPoolExecutor(len(names)) as pool:
        ready = list(pool.map(lambda it: Restored(campaign, it), names))
    turns.taken(campaign, ready, planned(count, ready[0]))
    survived = [number for number in campaign.done() if number < count]
    print(f"restores: {len(survived)} of {count} points survived; {campaign.results}", flush=True)
    return count - len(survived)


def planned(count: int, cluster: Restored) -> list[tuple[str, Point]]:
    """Which deploy is killed at which point: always the same for the same journals."""
    backups = points(count, times(cluster.journals["backup"]))
    restores = points(count, times(cluster.journals["restore"]))
    return [
        ("backup", backups[it]) if it % 10 < BACKUPS else ("restore", restores[it])
        for it in range(count)
    ]


class Restored:
    """One cluster with objects of every kind, its archive, and how a restore leaves it."""

    def __init__(self, campaign: Campaign, name: str) -> None:
        self.campaign, self.name = campaign, name
        self.lab = campaign.fleet.lab
        self.api = Api(state.running(self.lab.name).member(name))
        self.identity = Path(self.lab.data["age_identity"])
        apply(self.api, [*crds_of_others()])
        apply(self.api, objects(NEW))
        backup = self.attempts("backup", f"undisturbed-backup-{name}")
        self.journals = {"backup": undisturbed(backup)}
        self.archive = newest(backup.folder, name)
        self.wanted = {"backup": self.opened(self.archive).files}
        self.damage()
        restore = self.attempts("restore", f"undisturbed-restore-{name}")
        self.journals["restore"] = undisturbed(restore)
        self.after = self.taken(restore.folder)

    def attempts(self, deploy: str, title: str) -> Upgrade:
        """A folder of its own; for a restore with the archive in it, else with one of yesterday."""
        where = self.campaign.folder(title)
        place = archives.folder_of(where / "backups", self.name)
        place.mkdir(parents=True)
        known = getattr(self, "archive", None)
        if known is not None:
            before = datetime.now(UTC) - timedelta(days=1)
            stem = (
                f"{before:%Y%m%dT%H%M%SZ}" if deploy == "backup" else known.name.partition(".")[0]
            )
            shutil.copy(known, place / f"{stem}.tar.gz.age")
        return Upgrade(self.lab.name, self.name, where, self.campaign.more, deploy=deploy)

    def line_of(self, deploy: str, step: str) -> int:
        """The line, counted from 1, with which an undisturbed run began this step."""
        return next(
            number
            for number, it in enumerate(self.journals[deploy], start=1)
            if it["event"] == "step" and it["step"].rpartition(" | ")[2] == step
        )

    def opened(self, path: Path) -> Contents:
        return archives.opened(path, self.identity)

    def damage(self) -> None:
        """Take away what a restore is to bring, and wait until it is gone."""
        for path in (*LOST, *(f"/api/v1/namespaces/{it}" for it in LOST_NAMESPACES)):
            with suppress(ApiError):  # gone already
                self.api.request("DELETE", path)
        until("what is lost to be gone", lambda: not any(map(self.there, self.gone())), 120)

    def gone(self) -> Iterable[str]:
        yield from LOST
        yield from (f"/api/v1/namespaces/{it}" for it in LOST_NAMESPACES)

    def there(self, path: str) -> bool:
        try:
            self.api.get(path)
        except ApiError as error:
            return error.status != 404
        return True

    def taken(self, folder: Path) -> dict[str, Any]:
        """The cluster as the campaign of upgrades looks at it, and what is around its objects."""
        found: dict[str, Any] = snapshot.taken(self.api, folder)
        found = {key: unaddressed(it) for key, it in found.items() if not key.startswith(PROXIES)}
        found["Lease"] = {key: found["Lease"][key] for key in OF_LEASE}
        for it in resources.CORE[1:]:
            for namespace in NAMESPACES:
                for thing in self.api.get(it.path(namespace)).get("items") or ():
                    if thing["metadata"]["name"] != "kube-root-ca.crt":
                        title = f"{it.kind} {namespace}/{thing['metadata']['name']}"
                        found[title] = digest(thing)
        for namespace in NAMESPACES:
            found[f"Namespace {namespace}"] = self.api.get(f"/api/v1/namespaces/{namespace}")[
                "metadata"
            ]["labels"]
        return found

    def survives(self, what: str, point: Point) -> dict[str, Any]:
        """The line of one point. ``wrong`` is [] where it was survived."""
        if what == "restore":
            self.damage()
        began = time.monotonic()
        attempts = self.attempts(what, f"point-{point.number}")
        place = archives.folder_of(attempts.folder / "backups", self.name)
        [before] = [it.read_bytes() for it in place.iterdir()]
        ended = killed_and_gone_on(attempts, point)
        wrong = [*ended.wrong, *self.of_archives(place, before)]
        if what == "backup":
            wrong += self.of_contents(place)
        else:
            try:
                found = self.taken(attempts.folder)
            except ApiError as error:  # what it lacks, it lacks after a run that ended otherwise
                found = {"all of it": str(error)}
            differs = snapshot.differences(self.after, found)
            if differs:
                wrong.append(f"not as after an undisturbed restore: {', '.join(differs)}")
                for name, it in (("wanted", self.after), ("found", found)):
                    text = json.dumps(it, indent=1, sort_keys=True)
                    (attempts.folder / f"{name}.json").write_text(text)
        if not wrong:
            shutil.rmtree(attempts.folder)
        return {
            **asdict(point),
            "deploy": what,
            "cluster": self.name,
            "killed": ended.killed,
            "wrong": wrong,
            "seconds": round(time.monotonic() - began, 1),
        }

    def of_archives(self, place: Path, before: bytes) -> list[str]:
        """What is wrong with the files in a cluster's folder of archives."""
        found = [f"{it.name} is left" for it in place.iterdir() if it.name not in names(place)]
        if before not in [it.read_bytes() for it in place.iterdir()]:
            found.append("the archive that was there is gone, or another")
        for name in names(place):
            try:
                self.opened(place / name)
            except DeployError as error:
                found.append(f"taken for an archive: {error}")
        return found

    def of_contents(self, place: Path) -> list[str]:
        """How the newest archive differs from that of a backup that nobody disturbed."""
        files, wanted = self.opened(place / names(place)[-1]).files, self.wanted["backup"]
        paths = {*files, *wanted}
        differs = [it for it in sorted(paths) if same(files.get(it)) != same(wanted.get(it))]
        return [f"not in the archive as it is: {', '.join(differs)}"] if differs else []


def newest(folder: Path, cluster: str) -> Path:
    found = archives.newest(folder / "backups", cluster)
    assert found is not None, f"{folder} holds no archive"
    return found


def names(place: Path) -> list[str]:
    return archives.names(place)


def same(content: bytes | None) -> object:
    """An object of an archive without what passes."""
    return None if content is None else unaddressed(snapshot.lasting(json.loads(content)))


def digest(thing: Object) -> str:
    """Of an object whose content may be secret, without what passes."""
    kept = {key: it for key, it in snapshot.stripped(thing).items() if key != "status"}
    return sha256(json.dumps(unaddressed(kept), sort_keys=True).encode()).hexdigest()


def unaddressed(thing: Object) -> Object:
    """Without the address that a Service got when it was made."""
    spec = thing.get("spec")
    if not isinstance(spec, dict) or "clusterIP" not in spec:
        return thing
    return {**thing, "spec": {key: it for key, it in spec.items() if key not in ADDRESSES}}
