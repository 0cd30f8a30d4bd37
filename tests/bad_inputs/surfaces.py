"""
What a run reads, and where: for each kind of input a good one, how it is altered, and the functions
of the product that a deploy enters it by.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from random import Random
from types import SimpleNamespace
from typing import Any

import yaml
from pyinfra.api.exceptions import PyinfraError

from tasks import desired
from tasks.connectors import kubeconfig
from tasks.connectors.kube import KubeConnector
from tasks.fleet import approve, archives, charts, inventory, journal, plan, process, resume, trust
from tasks.fleet.inventory import Cluster, files, parsed
from tasks.fleet.run import Run
from tasks.operations import sources
from tasks.plans import chains, helm, lease
from tasks.plans.lease import Holder, LastGood
from tests import malformed
from tests.bad_inputs import changes
from tests.fleet import test_damaged_archives as archive_damage
from tests.stand_in import record

ROOT = Path(__file__).parents[2]
NOW = datetime(2026, 11, 22, 12, tzinfo=UTC)
LEAST: dict[str, Any] = {"ring": 0, "envoy_gateway_version": "1.9.1"}
#: Where nobody listens: what gets so far as to connect is refused at once.
NOBODY = "https://127.0.0.1:9"

#: Alters one input in the folder that it begins in, enters it, and gives the lines that refuse it.
Try = Callable[[Random], list[str]]


@dataclass(frozen=True)
class Surface:
    """
    + what: of an input; + entered: by which functions of the product
    + own: it is code of the operator, whose errors have Python's own names
    + may_write: what a run writes before it knows, below the folder that it began in
    """

    what: str
    entered: str
    attempt: Try
    may_write: tuple[str, ...] = ()
    own: bool = False


@cache
def fleet() -> dict[str, Any]:
    """The data of one cluster of inventory/prod.py, which shows every key."""
    data = dict(files.clusters(ROOT / "inventory" / "prod.py")["weu-1"])
    route = {"name": "cart", "namespace": "shop", "gateway": "edge/public"}
    data["routes"] = [{**route, "backends": [{"service": "cart", "port": 8080}]}]
    return data


def inventories(random: Random) -> list[str]:
    """The data of a cluster, and where nothing is said against it, what it wants."""
    data = changes.changed(random, fleet())
    found = inventory.problems("weu-1", data)
    return found or wanted(parsed(data))


def wanted(data: Cluster) -> list[str]:
    return [it.text for it in desired.wanted("weu-1", data).findings if it.severity == "error"]


def inventory_files(random: Random) -> list[str]:
    content = (ROOT / "inventory" / "prod.py").read_bytes()
    Path("prod.py").write_bytes(changes.text(random, content))
    with suppress(files.Unusable):
        found = files.clusters(Path("prod.py"))
        return [line for name, it in found.items() for line in inventory.problems(name, it)]
    return refused(lambda: files.clusters(Path("prod.py")), files.Unusable)


KUBECONFIG = {
    "apiVersion": "v1",
    "kind": "Config",
    "current-context": "weu-1",
    "contexts": [{"name": "weu-1", "context": {"cluster": "aks", "user": "ops"}}],
    "clusters": [{"name": "aks", "cluster": {"server": NOBODY, "insecure-skip-tls-verify": True}}],
    "users": [{"name": "ops", "user": {"token": "t0p-s3cret"}}],
}
WAYS_IN: tuple[dict[str, Any], ...] = (
    {"token": "t0p-s3cret"},
    {"client-certificate-data": "LS0tLS1CRUdJTi==", "client-key-data": "LS0tLS1CRUdJTi=="},
    {"client-certificate": "client.pem", "client-key": "client.key"},
    {"tokenFile": "token"},
    {"exec": {"apiVersion": "client.authentication.k8s.io/v1", "command": "no-such-plugin"}},
    {"username": "ops", "password": "t0p-s3cret"},
    {"auth-provider": {"name": "azure", "config": {"apiserver-id": "x"}}},
)


def kubeconfigs(random: Random) -> list[str]:
    document: Any = json.loads(json.dumps(KUBECONFIG))
    document["users"][0]["user"] = random.choice(WAYS_IN)
    if random.random() < 0.3:
        document["clusters"][0]["cluster"]["certificate-authority-data"] = "LS0tLS1CRUdJTi=="
    if random.random() < 0.6:
        content = yaml.safe_dump(changes.changed(random, document, changes.PLAIN)).encode()
    else:
        content = changes.text(random, yaml.safe_dump(document).encode())
    Path("kubeconfig").write_bytes(content)
    data = {"kube_context": "weu-1", "kube_config": "kubeconfig", "kube_timeout": 1}
    problem = KubeConnector.problem(data)
    if problem:
        return [problem]
    if urls_elsewhere():
        return []
    connector: Any = KubeConnector.__new__(KubeConnector)
    connector.host = SimpleNamespace(name="weu-1")
    connector.data = data
    connector.state = SimpleNamespace(config=SimpleNamespace(CONNECT_TIMEOUT=0.05))
    return refused(connector.connect)


def urls_elsewhere() -> bool:
    """Whether it would connect to another machine, or ask who that is."""
    server = kubeconfig.one_context("weu-1", "kubeconfig")["clusters"][0]["cluster"]["server"]
    return "127.0.0.1:9" not in str(server) and "." in str(server)


TEMPLATE = b"""\
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: {name: cart, namespace: shop}
spec:
  parentRefs: [{name: public, namespace: edge}]
  hostnames: {{ hosts | default(["cart." ~ values.zone]) | tojson }}
  rules:
{% for path in values.paths %}
  - matches: [{path: {type: PathPrefix, value: {{ path | tojson }}}}]
    backendRefs: [{name: cart, port: {{ values.port }}}]
{% endfor %}
"""
VALUES = {"zone": "shop.example.com", "paths": ["/cart", "/basket"], "port": 8080}
OBJECTS = yaml.safe_dump_all(
    [
        {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "shop"}},
        {
            "apiVersion": "gateway.networking.k8s.io/v1",
            "kind": "HTTPRoute",
            "metadata": {"name": "cart", "namespace": "shop", "labels": {"app": "cart"}},
            "spec": {
                "parentRefs": [{"name": "public", "namespace": "edge", "sectionName": "http"}],
                "hostnames": ["cart.example.com"],
                "rules": [
                    {
                        "matches": [{"path": {"type": "PathPrefix", "value": "/"}}],
                        "filters": [
                            {
                                "type": "RequestHeaderModifier",
                                "requestHeaderModifier": {"set": [{"name": "x", "value": "y"}]},
                            }
                        ],
                        "backendRefs": [{"name": "cart", "port": 8080, "weight": 1}],
                    }
                ],
            },
        },
        {
            "apiVersion": "gateway.envoyproxy.io/v1alpha1",
            "kind": "BackendTrafficPolicy",
            "metadata": {"name": "cart", "namespace": "shop"},
            "spec": {
                "targetRefs": [
                    {"group": "gateway.networking.k8s.io", "kind": "HTTPRoute", "name": "cart"}
                ],
                "retry": {"numRetries": 2, "retryOn": {"triggers": ["5xx"]}},
                "timeout": {"http": {"requestTimeout": "10s"}},
            },
        },
    ]
)
GATEWAY = {"name": "public", "namespace": "edge", "listeners": [{"name": "http", "port": 80}]}


def templates(random: Random) -> list[str]:
    template, values = TEMPLATE, VALUES
    if random.random() < 0.6:
        template = changes.text(random, template)
    else:
        values = changes.changed(random, values)
    return _objects("cart.yaml.j2", template, values)


def object_files(random: Random) -> list[str]:
    if random.random() < 0.4:
        return _objects("cart.yaml", changes.text(random, OBJECTS.encode()), {})
    documents = changes.changed(random, [*yaml.safe_load_all(OBJECTS)], changes.PLAIN)
    return _objects("cart.yaml", yaml.safe_dump_all(documents).encode(), {})


def _objects(name: str, content: bytes, values: dict[str, Any]) -> list[str]:
    Path("objects").mkdir()
    Path("objects", name).write_bytes(content)
    data = {**LEAST, "gateways": [GATEWAY], "objects": ["objects/*"], "values": values}
    return inventory.problems("weu-1", data) or wanted(parsed(data))


def backups(random: Random) -> list[str]:
    """The archive, or the identity that opens it."""
    folder = Path("backups/weu-1")
    folder.mkdir(parents=True)
    sealed, key = archive_damage.SEALED, f"# of the tests\n{archive_damage.KEY}\n".encode()
    match random.randrange(4):
        case 0:
            key = changes.text(random, key)
        case 1:
            sealed = changes.text(random, sealed)
        case _:
            sealed = archive_damage.damaged(random)[1]
    Path("key").write_bytes(key)
    name = "20261121T140211Z.tar.gz" + random.choice((".age", ".age", ".age", ""))
    (folder / name).write_bytes(sealed)
    data = parsed({**LEAST, "backup": {"identity": "key"}})

    def entered() -> None:
        newest = archives.newest(Path("backups"), "weu-1")
        assert newest is not None
        archives.read(newest, data).objects()

    return refused(entered)


ENTRY = {"namespace": "edge", "secret": "shop-tls", "source": "files"}
PAIR = {"certificate": "tls.crt", "key": "tls.key"}


def certificates(random: Random) -> list[str]:
    """Of source "files", or the authorities that clients trust."""
    pair = malformed.malformed(random.randrange(10**9))[1]
    Path("tls.crt").write_bytes(pair.certificate)
    Path("tls.key").write_bytes(pair.key)
    if random.random() < 0.05:
        Path("tls.key").unlink()
    data = parsed({**LEAST, "certificates": [{**ENTRY, **PAIR}], "trust": "tls.crt"})
    found = refused(lambda: trust.trusted(data))
    read: list[str] = []

    def entered() -> None:
        held = sources.material(data, data.certificates[0], ["shop.lab.test"])
        read.extend(
            f"{it.what}: {it.fix}" for it in chains.read(held.certificate, held.key).problems
        )

    return found + refused(entered) + read


ME = Holder("20261122T120000Z-upgrade", "anna@jump-1", "jump-1/abc", "boot", "pid:[1]", 71, 42)
GOOD = LastGood(3, "1.8.3", "backups/weu-1/20261121T140211Z.tar.gz.age", ME.run)


def leases(random: Random) -> list[str]:
    """What stands on a Lease is text that anybody may have written; its form is Kubernetes'."""
    notes = {
        lease.HOLDER: json.dumps(asdict(replace(ME, pid=99))),
        lease.LAST_GOOD: json.dumps(asdict(GOOD)),
        lease.CAME_FROM: json.dumps(asdict(GOOD)),
        **{lease.STATE: "changing", lease.STEP: "CRDs", lease.VALUES: "5f3c"},
    }
    spec: dict[str, Any] = {
        "holderIdentity": "20261122T110000Z-upgrade ben@jump-2",
        "leaseDurationSeconds": 30,
        "acquireTime": "2026-11-22T11:59:00.000000Z",
        "renewTime": "2026-11-22T11:59:50.000000Z",
        "leaseTransitions": 3,
    }
    for key in random.sample(sorted(notes), random.randint(0, 3)):
        text = notes[key].encode()
        if random.random() < 0.5 and text.startswith(b"{"):
            text = json.dumps(changes.changed(random, json.loads(text), changes.PLAIN)).encode()
        else:
            text = changes.text(random, text)
        notes[key] = text.decode("utf-8", "replace")
        if random.random() < 0.2:
            del notes[key]
    for key in random.sample(sorted(spec), random.randint(0, 3)):
        del spec[key]
    if "leaseDurationSeconds" in spec:
        spec["leaseDurationSeconds"] = random.choice((30, 1, 2**31 - 1))
    thing: dict[str, Any] = {
        "metadata": {"name": lease.NAME, "namespace": "envoy-gateway-system", "annotations": notes},
        "spec": random.choice((spec, spec, spec, spec, {}, None)),
    }
    if random.random() < 0.1:
        del thing["metadata"]["annotations"]
    holder = lease.holder(thing)
    dead = holder is not None and process.is_dead(holder)
    said = [
        lease.refusal(thing, ME, NOW, dead),
        lease.journal_cut(thing, ME.run, {"x"}),
    ]
    for good in (lease.last_good(thing), lease.came_from(thing)):
        if good is not None:
            said.append(f"{good.version} (revision {good.revision + 0}), {good.backup or 'none'}")
            Path(good.backup or "").exists()
    lease.left_half_way(thing, "2026-11-22T11:00:00Z")
    lease.applied_values(thing)
    taken = lease.held(thing, ME, NOW, 30, "envoy-gateway-system")
    lease.released(lease.noted(taken, {lease.STEP: "x"}), NOW)
    return [it for it in said if it]


def locks(random: Random) -> list[str]:
    """fleet.lock, and the chart folder that it pins."""
    chart = Path("gateway-helm")
    (chart / "templates").mkdir(parents=True)
    about = b"apiVersion: v2\nname: gateway-helm\nversion: v1.9.1\nappVersion: v1.9.1\n"
    digest = "sha256:5f3c" + "0" * 60
    lock = f'# Pinned\ncharts:\n  gateway-helm:\n    "1.9.1": {digest}\n'.encode()
    if random.random() < 0.75:
        lock = changes.text(random, lock)
    else:
        about = changes.text(random, about)
    (chart / "Chart.yaml").write_bytes(about)
    (chart / "values.yaml").write_text("{}\n")
    Path("fleet.lock").write_bytes(lock)
    return refused(
        lambda: charts.locked(str(chart), "1.9.1", Path("fleet.lock"), "no-such-helm", False)
    )


FORMER = "20261121T140211Z-upgrade"


def a_run() -> Run:
    """One of the same command as the journal's."""
    names = ["weu-1", "weu-2"]
    run = Run("upgrade", "inventory/prod.py", ("deploys/upgrade.py",), NOW)
    run.clusters = {it: parsed(LEAST) for it in names}
    hosts = [SimpleNamespace(name=it) for it in names]
    run.state = SimpleNamespace(inventory=hosts, is_host_in_limit=lambda _: True)
    return run


def _written(name: str = FORMER) -> Path:
    written = journal.Journal(Path("runs") / name)
    run = a_run()
    holder = asdict(Holder(name, "anna@jump-1", "", "", "", 0, 0))
    written.write("run", "2026-11-21T14:02:11Z", id=name, process=holder, **resume.identity(run))
    rings = {"weu-1": 0, "weu-2": 1}
    written.write("rings", "2026-11-21T14:02:12Z", rings=rings)
    written.write("step", "2026-11-21T14:02:13Z", cluster="weu-1", step="Ring 0 | Upgrade | CRDs")
    written.write("step ended", "2026-11-21T14:02:14Z", cluster="weu-1", step="Ring 0 | Upgrade")
    return written.path


def journals(random: Random) -> list[str]:
    """
    Of the newest run: its bytes, or its entries under a chain of hashes that is right again, as an
    older or a newer envoyfleet may have written it.
    """
    path = _written()
    if random.random() < 0.4:
        path.write_bytes(changes.text(random, path.read_bytes()))
    else:
        entries = [json.loads(it) for it in path.read_text().splitlines()]
        shutil.rmtree(path.parent)
        again = journal.Journal(path.parent)
        # Half of them are recognised as this command's.
        kept: dict[str, Any] = random.choice((entries[0], {}))
        for it in changes.changed(random, entries, changes.PLAIN):
            known = {key: kept[key] for key in ("deploy", "inventory", "clusters") if kept}
            entry = {**it, **known} if isinstance(it, dict) else {"x": it}
            names = {key: value for key, value in entry.items() if key != "before"}
            again.write(**{"event": "x", "at": "", **names})
    return _gone_on()


def _gone_on() -> list[str]:
    run = a_run()

    def entered() -> None:
        resume.go_on(run)
        approve.check(run)

    found = refused(entered)
    return found + refused(lambda: _approved(FORMER))


def _approved(name: str) -> None:
    """Its own command, which says what it refuses and ends 2."""
    import io
    from contextlib import redirect_stderr, redirect_stdout

    said = io.StringIO()
    with redirect_stderr(said), redirect_stdout(io.StringIO()):
        code = approve.main([name, "1"])
    assert code in (0, 2)
    if code:
        raise PyinfraError(said.getvalue().strip("\n"))


def run_folders(random: Random) -> list[str]:
    """What else lies in runs/: approvals, plan.json, folders in the place of files, links."""
    path = _written()
    folder = path.parent
    approval = {"run": FORMER, "ring": 1, "by": "ben", "at": "2026-11-21T15:00:00Z"}
    (folder / "approval-ring-1.json").write_text(json.dumps(approval))
    about: dict[str, Any] = {"name": "weu-1", "changes": [], "verdict": None}
    (folder / "plan.json").write_text(
        json.dumps({"schema": "envoyfleet.plan/1", "clusters": [about]})
    )
    _written("20261120T140211Z-upgrade")
    every = sorted(it for it in Path("runs").rglob("*") if it.is_file())
    for file in random.sample(every, random.randint(1, 3)):
        match random.randrange(7):
            case 0:
                file.unlink()
            case 1:
                file.unlink()
                file.mkdir()
            case 2:
                file.unlink()
                file.symlink_to(random.choice((file, Path("/nowhere"), Path("/dev/null"))))
            case 3:
                file.rename(file.with_name(random.choice(("approval-ring-x.json", "stop", "é"))))
            case 4 if file.suffix == ".json":
                document = changes.changed(random, json.loads(file.read_text()), changes.PLAIN)
                file.write_text(json.dumps(document))
            case _:
                file.write_bytes(changes.text(random, file.read_bytes()))
    if random.random() < 0.1:
        Path("runs", "stray").write_text("x")
    found = _gone_on()
    run = a_run()
    run.started = datetime(2026, 11, 21, 14, 2, 11, tzinfo=UTC)
    if (folder / "plan.json").exists() and random.random() < 0.5:
        found += refused(lambda: plan.write(run))
    return found


def releases(random: Random) -> list[str]:
    """A Helm release as a cluster keeps it, with values of somebody else."""
    secret = record("1.9.1", {"replicas": 2}, {"templates/a.yaml": b"a: 1"}, {"replicas": 1})
    content = helm_record(secret)
    if random.random() < 0.5:
        thing = json.dumps(changes.changed(random, json.loads(content), changes.PLAIN)).encode()
    else:
        thing = changes.text(random, content)
    secret["data"]["release"] = packed(random, thing)

    def entered() -> None:
        release = helm.decode(secret)
        helm.may_still_run(release, NOW, 300)

    return refused(entered, ValueError)


def helm_record(secret: dict[str, Any]) -> bytes:
    import base64
    import gzip

    return gzip.decompress(base64.b64decode(base64.b64decode(secret["data"]["release"])))


def packed(random: Random, content: bytes) -> str:
    import base64
    import gzip

    inner = gzip.compress(content, 1)
    if random.random() < 0.2:
        inner = changes.text(random, inner)
    outer = base64.b64encode(base64.b64encode(inner))
    if random.random() < 0.1:
        outer = changes.text(random, outer)
    return outer.decode("latin-1")


def refused(entered: Callable[[], Any], *more: type[Exception]) -> list[str]:
    """What ``entered`` says as an operator reads it; anything but our own errors is let through."""
    kinds: tuple[type[Exception], ...] = (PyinfraError, *more)
    try:
        entered()
    except kinds as error:
        return str(error).split("\n")
    return []


SURFACES: dict[str, Surface] = {
    "inventory": Surface(
        "the data of a cluster, every key of inventory/prod.py",
        "fleet.inventory.problems, desired.wanted",
        inventories,
        ("rendered",),
    ),
    "inventory-files": Surface(
        "the file of an inventory", "fleet.inventory.files.clusters", inventory_files, own=True
    ),
    "kubeconfigs": Surface(
        "a kubeconfig, with seven ways of signing in",
        "KubeConnector.problem, KubeConnector.connect",
        kubeconfigs,
    ),
    "templates": Surface(
        "a template of key `objects`, or its `values`", "desired.wanted", templates, ("rendered",)
    ),
    "object-files": Surface(
        "a file of key `objects`", "desired.wanted", object_files, ("rendered",)
    ),
    "archives": Surface(
        "a sealed archive, or the age identity that opens it", "fleet.archives.read", backups
    ),
    "certificates": Surface(
        "certificate and key of source `files`, and key `trust`",
        "operations.sources.material, plans.chains.read, fleet.trust.trusted",
        certificates,
    ),
    "leases": Surface("the Lease of a cluster", "all of plans.lease", leases),
    "locks": Surface("fleet.lock, or the chart folder it pins", "fleet.charts.locked", locks),
    "journals": Surface(
        "the journal of the run before",
        "fleet.resume.go_on, fleet.approve",
        journals,
    ),
    "run-folders": Surface(
        "runs/: approvals, plan.json, folders and links in the place of files",
        "fleet.resume.go_on, fleet.approve, fleet.plan.write",
        run_folders,
        ("runs/20261121T140211Z-upgrade/plan.json", "runs/20261121T140211Z-upgrade/approval"),
    ),
    "helm-releases": Surface(
        "the record of a Helm release", "plans.helm.decode, plans.helm.may_still_run", releases
    ),
}
