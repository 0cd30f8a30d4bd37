"""
What a restore says and refuses before its first write, through the real command line, on clusters
that a stand-in API server answers for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from contextlib import chdir
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest
from pyrage import x25519  # type: ignore[import-untyped]

from tasks import desired
from tasks.fleet import archives, inventory
from tasks.plans import archive
from tasks.plans import crds as crd_plans
from tests.api_server import Answer, ApiServer, Asked
from tests.command_line import CommandLine
from tests.fleet.test_run import Case, prepared
from tests.stand_in import NAMESPACE, Object, listed, record, with_envoy_gateway
from tests.test_preflight import DATA, TEMPLATES, crds_of, write_chart

KEY = x25519.Identity.generate()
TAKEN = datetime(2026, 11, 20, 12, tzinfo=UTC)
GATEWAY_API = "gateway.networking.k8s.io/v1"


def thing(kind: str, name: str, namespace: str | None = "demo", **fields: Any) -> Object:
    core = kind in ("Secret", "Service", "ConfigMap", "Namespace")
    meta = {"name": name, "uid": f"uid-{name}", **({"namespace": namespace} if namespace else {})}
    return {
        "apiVersion": "v1" if core else GATEWAY_API,
        "kind": kind,
        "metadata": meta,
        **fields,
    }


def route(name: str, host: str) -> Object:
    return thing("HTTPRoute", name, spec={"hostnames": [host]})


DEMO = thing("Namespace", "demo", None)
BLUE, GREEN = route("blue", "blue.example.com"), route("green", "green.example.com")
SECRET = thing("Secret", "password", data={"password": "dDBwLXMzY3JldA=="}, type="Opaque")
EVERY = [DEMO, SECRET, BLUE, GREEN]
MANIFEST = {
    "uid": "uid-of-lost",
    "run": "20261120T120000Z-backup",
    "envoy_gateway": "1.9.1",
    "helm": {"namespace": NAMESPACE, "values": {}},
    "needs": ["Secret edge/vault, which an external vault holds"],
    "missing": [],
}


@dataclass(frozen=True)
class Cluster:
    """+ here: objects that it has; + archives: by name of the file; + data: of the inventory"""

    here: Sequence[Object]
    archives: Mapping[str, bytes]
    data: Mapping[str, Any]


def packed(cluster: str, objects: Sequence[Object], **about: Any) -> bytes:
    files = {archive.path_of(it): json.dumps(it).encode() for it in objects}
    return archive.packed({**MANIFEST, "cluster": cluster, **about}, files, TAKEN)


def of(name: str, here: Sequence[Object] = (), **data: Any) -> Cluster:
    return Cluster(here, {"20261120T120000Z": packed(name, EVERY)}, data)


CHANGED = {**BLUE, "spec": {"hostnames": ["changed.example.com"]}}
CHANGED["metadata"] = {
    **BLUE["metadata"],
    "managedFields": [
        {"manager": "kubectl-edit", "operation": "Update", "time": "2026-11-21T09:00:00Z"}
    ],
}
FLEET = {
    "lost": of("lost"),
    "spoiled": of("spoiled", [DEMO, CHANGED, {**SECRET, "data": {"password": "b2xk"}}]),
    "equal": of("equal", EVERY),
    "part": of("part", [DEMO], only=["HTTPRoute demo/b*"]),
    "nothing": of("nothing", [DEMO], only=["HTTPRoute shop/*"]),
    "strange": Cluster([], {"20261120T120000Z": packed("weu-9", EVERY)}, {}),
    "named": Cluster(
        EVERY, {"20261120T120000Z": packed("weu-9", EVERY)}, {"from_cluster": "weu-9"}
    ),
    "none": Cluster([], {}, {}),
    "damaged": Cluster(
        [],
        {"20261120T120000Z": packed("damaged", EVERY), "20261121T120000Z": b"\0" * 100},
        {},
    ),
    "again": Cluster(
        EVERY,
        {
            "20261120T120000Z": packed("again", EVERY),
            "20261121T120000Z-restore": packed("again", []),
        },
        {},
    ),
    "mesh": Cluster([], {"20261120T120000Z": packed("mesh", [thing("XMesh", "m", None)])}, {}),
    "values": Cluster(
        EVERY,
        {
            "20261120T120000Z": packed(
                "values",
                EVERY,
                helm={"namespace": NAMESPACE, "values": {"deployment": {"replicas": 5}}},
            )
        },
        {},
    ),
    "older": of("older", EVERY),
    "others": of("others", [*EVERY, route("new", "new.example.com")], delete_others=True),
    "extra": of("extra", [*EVERY, route("new", "new.example.com")]),
}


@dataclass(frozen=True)
class Planned:
    """One dry run over all of FLEET. + lines: of what was printed"""

    code: int
    text: str
    asked: Sequence[Asked]
    plans: Mapping[str, str]


@pytest.fixture(scope="module")
def planned(
    tmp_path_factory: pytest.TempPathFactory, command_line: CommandLine
) -> Iterator[Planned]:
    folder = tmp_path_factory.mktemp("fleet") / "clone"
    folder.mkdir()
    key = folder / "identity"
    key.write_text(f"{KEY}\n")
    backup = {"enabled": False, "identity": str(key)}
    data = {**DATA, "gateways": [], "backup": backup, "max_failed": "100%"}
    entries = [(f"@kube/{name}", {**data, **it.data}) for name, it in FLEET.items()]
    with ApiServer().running() as server:
        prepared(folder, Case("", [], inventory=f"clusters = {entries!r}"), server)
        write_chart(folder)
        with chdir(folder):
            values = desired.values("x", inventory.parsed(data))
        crds = [
            crd_plans.stamped(crd_plans.marked(it), "1.9.1", 1, True) for it in crds_of("1.9.1")
        ]
        for one in crds:
            one["metadata"]["creationTimestamp"] = "2026-11-01T00:00:00Z"
        for name, it in FLEET.items():
            release = record("1.8.3" if name == "older" else "1.9.1", values, TEMPLATES, {})
            with_envoy_gateway(server, name, crds=crds, release=release, objects=it.here)
            answer_core(server, name, it.here)
            place = folder / "backups" / it.data.get("from_cluster", name)
            for stem, content in it.archives.items():
                archives.kept(place, stem, content, [str(KEY.to_public())])
        kubeconfig = server.write_kubeconfig(folder / "kubeconfig", *FLEET)
        arguments = ["inventory/prod.py", "deploys/restore.py", "--dry", "--diff"]
        outcome = command_line.run(folder, arguments, KUBECONFIG=str(kubeconfig))
        assert "Traceback" not in outcome.text
        text = outcome.text.replace(str(folder), "{folder}")
        yield Planned(outcome.code, text, server.asked, by_cluster(text))


def answer_core(server: ApiServer, name: str, here: Sequence[Object]) -> None:
    spaces = [it for it in here if it["kind"] == "Namespace"]
    body = listed("v1", "Namespace", spaces)
    server.answer("GET", "/api/v1/namespaces", Answer(body=body), cluster=name)
    secrets = [it for it in here if it["kind"] == "Secret"]
    body = listed("v1", "Secret", secrets)
    server.answer("GET", "/api/v1/namespaces/demo/secrets", Answer(body=body), cluster=name)


def by_cluster(text: str) -> dict[str, str]:
    """What the plan says of each cluster: its changes, or why it was stopped."""
    found, name = dict[str, str](), ""
    plan = text.partition("--> Plan:\n")[2].partition("\nrestore: exit")[0]
    for line in plan.splitlines():
        if line[4] == " ":  # of the cluster before it
            found[name] += f"\n{line[6:]}"
        elif line.startswith("    1 cluster ("):
            name, _, change = line.partition("(")[2].partition("): ")
            found[name] = change
        else:
            name, _, why = line.strip().partition(": ")
            found[name] = why
    return found


NEW_ROUTE = """Will create HTTPRoute demo/{0}
@@ -0,0 +1,8 @@
+apiVersion: gateway.networking.k8s.io/v1
+kind: HTTPRoute
+metadata:
+  name: {0}
+  namespace: demo
+spec:
+  hostnames:
+  - {0}.example.com"""
LOST = """change
Will create Namespace demo
@@ -0,0 +1,4 @@
+apiVersion: v1
+kind: Namespace
+metadata:
+  name: demo
Will create Secret demo/password
@@ -0,0 +1,8 @@
+apiVersion: v1
+data:
+  password: '*** (after)'
+kind: Secret
+metadata:
+  name: password
+  namespace: demo
+type: Opaque
"""
SPOILED = """change
Will change Secret demo/password: changed since, by whom is not told
@@ -1,5 +1,5 @@
 apiVersion: v1
 data:
-  password: '*** (before)'
+  password: '*** (after)'
 kind: Secret
 metadata:
Will change HTTPRoute demo/blue: changed since by kubectl-edit (2026-11-21 09:00)
@@ -6,3 +6,3 @@
 spec:
   hostnames:
-  - changed.example.com
+  - blue.example.com
"""


@pytest.mark.parametrize(
    ("cluster", "said"),
    [
        pytest.param("lost", f"{LOST}{NEW_ROUTE.format('blue')}\n{NEW_ROUTE.format('green')}"),
        pytest.param("spoiled", f"{SPOILED}{NEW_ROUTE.format('green')}"),
        pytest.param("part", f"change\n{NEW_ROUTE.format('blue')}"),
        pytest.param(
            "others", "change\nWill delete HTTPRoute demo/new, which the archive does not have"
        ),
        pytest.param("nothing", 'stopped: only: "HTTPRoute shop/*" fits nothing in the archive'),
        pytest.param(
            "strange",
            "stopped: the archive is of cluster weu-9: if it shall be restored into strange, add "
            "--data from_cluster=weu-9",
        ),
        pytest.param(
            "none",
            "stopped: backups/none holds no backup: make one with deploys/backup.py, name one with "
            "--data archive=FILE, or correct backup.folder",
        ),
        pytest.param(
            "damaged",
            "stopped: backups/damaged/20261121T120000Z.tar.gz.age cannot be used: it is not gzip, "
            "or damaged: take another archive; the one before it is --data "
            "archive=backups/damaged/20261120T120000Z.tar.gz.age",
        ),
        pytest.param(
            "mesh",
            "stopped: XMesh m: this cluster does not serve XMesh of gateway.networking.k8s.io: "
            "restore it with the Envoy Gateway that it was backed up with, or leave it out with "
            "only",
        ),
        pytest.param(
            "values",
            "stopped: the archive's release had Helm values that the inventory does not render: "
            "deployment.replicas: 5 → 2: bring them into the inventory, or the template "
            'templates/envoy-gateway/values.yaml.j2 (or accept "values")',
        ),
        pytest.param(
            "older",
            "stopped: Envoy Gateway 1.8.3 runs, and the inventory wants 1.9.1: a restore does not "
            "change releases: use deploys/upgrade.py, or --data envoy_gateway_version='\"1.8.3\"'",
        ),
    ],
)
def test_what_would_be_done(planned: Planned, cluster: str, said: str) -> None:
    assert planned.plans[cluster] == said


@pytest.mark.parametrize("cluster", ["equal", "named", "again", "extra"])
def test_what_is_as_the_archive_has_it_is_left(planned: Planned, cluster: str) -> None:
    assert cluster not in planned.plans or "nothing to do" in planned.plans[cluster]


def test_what_was_passed_over_and_what_is_not_inside_is_said(planned: Planned) -> None:
    for it in (
        "[again] warning: passed over, for it was made before a restore: "
        "20261121T120000Z-restore.tar.gz.age",
        "[again] warning: it needs Secret edge/vault, which an external vault holds",
        "[again] warning: again is another cluster than the one that was backed up (another uid)",
    ):
        assert it in " ".join(planned.text.split())


def test_nothing_is_written_and_no_secret_is_shown(planned: Planned) -> None:
    written = {it.path.rpartition("/")[2] for it in planned.asked if it.method != "GET"}
    assert written <= {"selfsubjectrulesreviews", "selfsubjectaccessreviews"}
    for secret in ("dDBwLXMzY3JldA", "t0p-s3cret", "b2xk", str(KEY)):
        assert secret not in planned.text
