"""Schedules: their manifests, the rights in them, the pipeline samples and the image's recipe."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

import kubernetes.client
import pytest
import yaml

from tasks import schedule
from tasks.connectors import kubeconfig
from tasks.fleet import inventory
from tasks.fleet.inventory import files
from tasks.lab import fleet_image

ROOT = Path(__file__).resolve().parents[1]
SAMPLE = ROOT / "inventory/in_cluster.py"
NAME, DATA = next(iter(files.clusters(SAMPLE).items()))
IMAGE = "registry.example.com/envoyfleet@sha256:00"


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Copies of what is rendered go beside the run."""
    monkeypatch.chdir(tmp_path)


def made(deploy: str, **more: Any) -> dict[str, dict[str, Any]]:
    found = schedule.manifests(deploy, str(SAMPLE), NAME, DATA, IMAGE, **more)
    return {f"{it['kind']} {it['metadata'].get('namespace', '')}": it for it in found}


def rules(deploy: str, **more: Any) -> Iterator[tuple[str, str, str, tuple[str, ...]]]:
    """Place, verb, resource and names of all that is allowed."""
    for title, it in made(deploy, **more).items():
        for rule in it.get("rules", ()):
            for verb in rule["verbs"]:
                for resource in rule["resources"]:
                    place = title.partition(" ")[2]
                    yield place, verb, resource, tuple(rule.get("resourceNames", ()))


def test_the_inventory_of_a_pod_is_good() -> None:
    assert NAME == "in-cluster"
    assert inventory.problems(NAME, DATA) == []


def test_the_kubeconfig_of_a_pod_signs_in_as_its_service_account() -> None:
    config = kubeconfig.one_context(NAME, str(ROOT / DATA["kube_config"]))
    place = "/var/run/secrets/kubernetes.io/serviceaccount"
    assert config["users"][0]["user"] == {"tokenFile": f"{place}/token"}
    assert config["clusters"][0]["cluster"]["certificate-authority"] == f"{place}/ca.crt"


def test_a_token_file_is_read(tmp_path: Path) -> None:
    from tasks.connectors.api import Api

    (tmp_path / "token").write_text("t0ken")
    text = (ROOT / DATA["kube_config"]).read_text()
    text = text.replace("/var/run/secrets/kubernetes.io/serviceaccount/token", "token")
    text = re.sub(r"\n +certificate-authority: .*", "", text)
    (tmp_path / "config").write_text(text)
    api = Api(kubeconfig.one_context(NAME, str(tmp_path / "config")), 5)
    headers: dict[str, str] = {}
    api.client.update_params_for_auth(headers, [], ["BearerToken"], "/version", "GET", None)
    assert headers == {"authorization": "Bearer t0ken"}


@pytest.mark.parametrize("deploy", list(schedule.TIMES))
def test_cronjob(deploy: str) -> None:
    found = made(deploy)["CronJob envoyfleet"]
    job = found["spec"]["jobTemplate"]["spec"]
    pod = job["template"]["spec"]
    [container] = pod["containers"]
    assert found["spec"]["concurrencyPolicy"] == "Forbid"
    assert job["activeDeadlineSeconds"] >= 3600
    assert job["backoffLimit"] == 0
    assert (pod["restartPolicy"], pod["securityContext"]["runAsNonRoot"]) == ("Never", True)
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert container["args"] == [
        "inventory/in_cluster.py",
        f"deploys/{deploy}.py",
        "--limit",
        "in-cluster",
        *([] if deploy == "certificates" else ["-y"]),
    ]
    assert (ROOT / "deploys" / f"{deploy}.py").exists()
    written = {it["mountPath"] for it in container["volumeMounts"] if not it.get("readOnly")}
    archives = {"/envoyfleet/backups"} if deploy == "backup" else set()
    assert written == {"/envoyfleet/runs", "/envoyfleet/rendered", "/tmp", *archives}
    account = made(deploy)["ServiceAccount envoyfleet"]["metadata"]["name"]
    assert pod["serviceAccountName"] == account == found["metadata"]["name"]


def sharded(deploy: str, rings: Sequence[int] = (0, 1), **more: Any) -> dict[str, Any]:
    found = schedule.sharded(deploy, "fleet.py", rings, IMAGE, 8, **more)
    return {it["kind"]: it for it in found}


def test_a_job_with_an_index_a_shard() -> None:
    found = sharded("backup", claim="archives")
    assert list(found) == ["ServiceAccount", "CronJob"]
    job = found["CronJob"]["spec"]["jobTemplate"]["spec"]
    assert {it: job.get(it) for it in INDEXED} == {
        "completionMode": "Indexed",
        "completions": 8,
        "parallelism": 8,
        "backoffLimitPerIndex": 0,
        "backoffLimit": None,  # one index that failed would end all others
    }
    [container] = job["template"]["spec"]["containers"]
    shard = ["--data", "shard=$(JOB_COMPLETION_INDEX)/8"]
    assert container["args"] == ["inventory/fleet.py", "deploys/backup.py", *shard, "-y"]
    assert {"name": "KUBECONFIG", "value": "/kubeconfig/config"} in container["env"]
    mounted = {it["name"] for it in container["volumeMounts"]}
    assert mounted == {it["name"] for it in job["template"]["spec"]["volumes"]}


INDEXED = ("completionMode", "completions", "parallelism", "backoffLimitPerIndex", "backoffLimit")


def test_what_goes_ring_by_ring_is_sharded_within_one() -> None:
    with pytest.raises(files.Unusable, match="rotate_certificates goes ring by ring"):
        sharded("rotate_certificates")
    assert sharded("certificates")["CronJob"]
    [container] = sharded("rotate_certificates", (1, 1), limit="production")["CronJob"]["spec"][
        "jobTemplate"
    ]["spec"]["template"]["spec"]["containers"]
    assert container["args"][2:4] == ["--limit", "production"]


def unknown(kind: str, thing: Any, at: str = "") -> list[str]:
    """Fields that a type of the Kubernetes API does not have, and values of another type."""
    listed = re.fullmatch(r"[Ll]ist\[(.+)\]", kind)
    mapped = re.fullmatch(r"Dict\[str, (.+)\]", kind)
    if listed:
        if not isinstance(thing, list):
            return [f"{at} is no list"]
        return [one for n, it in enumerate(thing) for one in unknown(listed[1], it, f"{at}[{n}]")]
    if mapped:
        return [one for key, it in thing.items() for one in unknown(mapped[1], it, f"{at}.{key}")]
    plain: Any = {"str": str, "int": int, "bool": bool}.get(kind)
    if plain:
        return [] if isinstance(thing, plain) else [f"{at} is no {kind}: {thing!r}"]
    model = getattr(kubernetes.client, kind)
    fields = {name: model.openapi_types[it] for it, name in model.attribute_map.items()}
    found = [f"{at}.{key} is not known" for key in thing if key not in fields]
    for key, it in thing.items():
        if key in fields:
            found += unknown(fields[key], it, f"{at}.{key}")
    return found


@pytest.mark.parametrize("deploy", list(schedule.TIMES))
def test_every_manifest_is_of_the_kubernetes_api(deploy: str) -> None:
    kinds = {"CronJob": "V1CronJob", "ServiceAccount": "V1ServiceAccount", "Role": "V1Role"}
    kinds |= {"ClusterRole": "V1ClusterRole", "RoleBinding": "V1RoleBinding"}
    kinds |= {"ClusterRoleBinding": "V1ClusterRoleBinding"}
    every = [*made(deploy, claim="archives").values(), *sharded(deploy, (0,)).values()]
    assert [one for it in every for one in unknown(kinds[it["kind"]], it, it["kind"])] == []


def test_backups_stay_where_there_is_a_volume() -> None:
    found = made("backup", claim="archives")["CronJob envoyfleet"]
    pod = found["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    assert pod["volumes"][-1] == {
        "name": "backups",
        "persistentVolumeClaim": {"claimName": "archives"},
    }


def test_a_rotation_writes_its_secrets_and_its_lease_alone() -> None:
    writes = {it for it in rules("rotate_certificates") if it[1] not in ("get", "list")}
    system = "envoy-gateway-system"
    assert writes == {
        ("edge", "patch", "secrets", ("example-com-tls",)),
        ("edge", "create", "secrets", ("example-com-tls",)),
        (system, "update", "leases", ("envoyfleet",)),
        (system, "create", "leases", ()),
        (system, "create", "pods/portforward", ()),
    }
    assert all(
        names for _, _, resource, names in rules("rotate_certificates") if resource == "secrets"
    )


def test_the_control_plane_writes_its_three_secrets() -> None:
    writes = {it for it in rules("rotate_control_plane") if it[1] == "patch"}
    system = "envoy-gateway-system"
    webhook = (f"envoy-gateway-topology-injector.{system}",)
    assert writes == {
        (system, "patch", "secrets", ("envoy", "envoy-gateway", "envoy-rate-limit")),
        ("", "patch", "mutatingwebhookconfigurations", webhook),
    }


@pytest.mark.parametrize("deploy", ["backup", "certificates"])
def test_what_reads_writes_nothing(deploy: str) -> None:
    others = {(verb, resource) for _, verb, resource, _ in rules(deploy)} - {
        ("create", "pods/portforward")
    }
    assert {verb for verb, _ in others} == {"get", "list"}


def test_cert_manager_is_asked_where_it_is_the_source() -> None:
    entry = {"namespace": "shop", "secret": "shop-tls", "source": "cert-manager"}
    more = {**DATA, "certificates": [{**entry, "issuer": "Issuer shop"}]}
    found = schedule.manifests("rotate_certificates", str(SAMPLE), NAME, more, IMAGE)
    said = [
        it["rules"] for it in found if it["metadata"].get("namespace") == "shop" and "rules" in it
    ]
    assert {"certificates/status"} in [set(rule["resources"]) for rule in said[0]]


def test_rights_alone_for_somebody_from_elsewhere() -> None:
    who = {"apiGroup": "rbac.authorization.k8s.io", "kind": "Group", "name": "7f0c"}
    found = made("backup", subject=who)
    assert {it.partition(" ")[0] for it in found} == {
        *("ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding")
    }
    assert found["ClusterRoleBinding "]["subjects"] == [who]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param(["backup"], "name an inventory, and --image or --subject", id="nothing"),
        pytest.param(
            ["backup", str(SAMPLE), "--image", "x", "--cluster", "weu-1"],
            f"{SAMPLE} has no cluster weu-1: it has in-cluster",
            id="another cluster",
        ),
        pytest.param(
            ["backup", str(SAMPLE), "--subject", "7f0c"],
            'subject \'7f0c\' is none of "User:NAME", "Group:NAME" and '
            '"ServiceAccount:NAMESPACE/NAME"',
            id="no subject",
        ),
        pytest.param(
            ["backup", str(SAMPLE), "--shards", "4", "--subject", "Group:1"],
            "--shards is for all clusters: give --image, no --cluster and no --subject",
            id="shards of no image",
        ),
        pytest.param(
            ["backup", str(SAMPLE), "--image", "x", "--limit", "production"],
            "--limit goes with --shards: name one cluster with --cluster",
            id="a group without shards",
        ),
        pytest.param(
            ["backup", str(SAMPLE), "--image", "x", "--shards", "0"],
            "--shards 0: from 1 to 100",
            id="no shards",
        ),
        pytest.param(
            ["backup", "nowhere.py", "--image", "x"],
            "nowhere.py does not exist: name the file of an inventory",
            id="no inventory",
        ),
    ],
)
def test_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert schedule.main(arguments) == 2
    assert capsys.readouterr().err == f"{message}\n"


def test_the_clusters_of_an_inventory_with_groups(tmp_path: Path) -> None:
    (tmp_path / "group_data").mkdir()
    (tmp_path / "group_data/all.py").write_text("namespace = 'eg'\nring = 1\n")
    (tmp_path / "group_data/production.py").write_text("ring = 2\n")
    (tmp_path / "fleet.py").write_text(
        "_shared = [1]\n"
        "canary = [('@kube/weu-1', {'release': 'own'})]\n"
        "production = ['@kube/weu-2', ('@kube/weu-3', {'ring': 3})]\n"
    )
    assert files.clusters(tmp_path / "fleet.py") == {
        "weu-1": {"namespace": "eg", "ring": 1, "release": "own"},
        "weu-2": {"namespace": "eg", "ring": 2},
        "weu-3": {"namespace": "eg", "ring": 3},
    }
    assert "weu-1" in files.clusters(ROOT / "inventory/prod.py")


def test_an_entry_of_azure_is_one(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    fleet, entry = tmp_path / "fleet.py", "@aks/platform/weu?fleet=hub"
    fleet.write_text(f"clusters = [('{entry}', {{'envoy_gateway_version': '1.9.1'}})]\n")
    assert schedule.main(["backup", str(fleet), "--subject", "Group:1"]) == 0
    found = list(yaml.safe_load_all(capsys.readouterr().out))
    assert {it["kind"] for it in found} >= {"ClusterRole", "ClusterRoleBinding"}
    assert schedule.main(["backup", str(fleet), "--image", IMAGE]) == 2
    assert capsys.readouterr().err == (
        f"{entry} is an entry of many clusters: a CronJob is for one, see inventory/in_cluster.py; "
        "--subject prints the rights on each of them\n"
    )


def test_an_inventory_that_is_no_python(tmp_path: Path) -> None:
    (tmp_path / "fleet.py").write_text("clusters = [")
    with pytest.raises(files.Unusable, match=r"fleet.py: SyntaxError: '\[' was never closed"):
        files.clusters(tmp_path / "fleet.py")


def test_what_is_printed_is_yaml(capsys: pytest.CaptureFixture[str]) -> None:
    assert schedule.main(["backup", str(SAMPLE), "--image", IMAGE, "--schedule", "1 2 * * *"]) == 0
    found = list(yaml.safe_load_all(capsys.readouterr().out))
    assert found[1]["spec"]["schedule"] == "1 2 * * *"


@pytest.mark.parametrize("sample", ["azure-pipelines.yml", "github-actions.yml"])
def test_pipelines_pin_what_they_take(sample: str) -> None:
    text = (ROOT / "templates/schedule" / sample).read_text()
    found = yaml.safe_load(text)
    assert "envoyfleet@sha256:<DIGEST>" in text
    for action in re.findall(r"uses: (\S+)", text):
        assert action.endswith("@<COMMIT>"), action
    for deploy in re.findall(r"deploys/(\w+)\.py", text):
        assert (ROOT / "deploys" / f"{deploy}.py").exists()
    jobs = found["jobs"]
    assert jobs


@pytest.mark.parametrize(
    ("sample", "schema"),
    [
        ("azure-pipelines.yml", "vendor.azure-pipelines"),
        ("github-actions.yml", "vendor.github-workflows"),
    ],
)
def test_pipelines_have_their_schemas(sample: str, schema: str) -> None:
    """The schemas of Azure DevOps and GitHub that check-jsonschema brings along."""
    text = (ROOT / "templates/schedule" / sample).read_text()
    known = ["--builtin-schema", schema, "--regex-variant", "nonunicode"]
    if schema == "vendor.azure-pipelines":
        known += ["--data-transform", "azure-pipelines"]  # what stands in ${{ }} is for later
        text = typed(text)
    assert checked(known, text) == (0, "ok -- validation done")
    assert checked(known, re.sub(r"^jobs:", "jobz:", text, flags=re.MULTILINE))[0] == 1


def typed(text: str) -> str:
    """A pipeline with the types of its schema: text everywhere but in the inputs of tasks."""
    found, values = yaml.load(text, Loader=yaml.BaseLoader), yaml.safe_load(text)
    steps = zip(found["jobs"][0]["steps"], values["jobs"][0]["steps"], strict=True)
    for step, one in steps:
        step |= {key: it for key, it in one.items() if key == "inputs"}
    return str(yaml.safe_dump(found, sort_keys=False))


def checked(known: Sequence[str], text: str) -> tuple[int, str]:
    Path("sample.yml").write_text(text)
    command = [sys.executable, "-m", "check_jsonschema", *known, "sample.yml"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout.strip()


def test_azure_schedule() -> None:
    found = yaml.safe_load((ROOT / "templates/schedule/azure-pipelines.yml").read_text())
    assert (found["trigger"], found["schedules"][0]["always"]) == ("none", True)
    for deploy in found["parameters"][0]["values"]:
        assert (ROOT / "deploys" / f"{deploy}.py").exists()


def test_github_schedule() -> None:
    found = yaml.safe_load((ROOT / "templates/schedule/github-actions.yml").read_text())
    assert found[True]["schedule"]  # YAML 1.1 reads "on" as true
    assert found["permissions"] == {"contents": "read", "id-token": "write"}
    assert found["concurrency"]["cancel-in-progress"] is False


def names(packages: list[Distribution]) -> set[str]:
    return {re.sub(r"[-_.]+", "-", it.metadata["Name"]).lower() for it in packages}


def test_the_image_has_what_a_run_needs_by_hash(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    text = schedule._locked("requirements")
    found = {it.partition("==")[0] for it in re.findall(r"^[a-z0-9][^ ]*", text, re.MULTILINE)}
    assert found == names(fleet_image.closure("envoyfleet")) - {"envoyfleet"}
    for block in re.split(r"\n(?=[a-z])", text):
        assert re.match(r"\S+==\S+ \\\n +--hash=sha256:", block), block[:80]


def test_the_recipe_of_the_image() -> None:
    text = (ROOT / "Containerfile").read_text()
    assert text.count("FROM ") == 3
    assert "USER 65532:65532" in text
    assert "--require-hashes" in text
    assert "://" not in text
    for place in re.findall(r"^COPY (?!--from)(.*) \S+$", text, re.MULTILINE):
        assert all((ROOT / it).exists() for it in place.split())
