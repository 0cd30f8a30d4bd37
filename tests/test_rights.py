"""``python -m tasks.rights``: roles for a deploy, as an operator asks for them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from tasks import rights
from tasks.fleet.inventory import files
from tasks.plans.rights import deploys

PROD = Path(__file__).resolve().parents[1] / "inventory/prod.py"
NAME = next(iter(files.clusters(PROD)))


@pytest.mark.parametrize("deploy", list(deploys.DEPLOYS))
def test_roles_are_bound_to_whom_they_are_for(
    deploy: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rights.main([deploy, str(PROD), "--subject", "User:anna"]) == 0
    made = list(yaml.safe_load_all(capsys.readouterr().out))
    roles = {(it["kind"], it["metadata"].get("namespace")): it for it in made}
    assert len(roles) == len(made)
    assert ("ClusterRole", None) in roles
    for it in made:
        assert it["metadata"]["name"] == f"envoyfleet-{deploy.replace('_', '-')}"
        if it["kind"].endswith("Binding"):
            bound = it["kind"].removesuffix("Binding"), it["metadata"].get("namespace")
            assert (it["roleRef"]["kind"], it["subjects"][0]["name"]) == (bound[0], "anna")
            assert bound in roles
        else:
            assert all(rule["verbs"] and rule["resources"] for rule in it["rules"])


def test_nobody_gets_all_verbs_and_only_drills_all_resources() -> None:
    for deploy in deploys.DEPLOYS:
        found = rights.of(deploy, NAME, files.clusters(PROD)[NAME])
        assert "*" not in {it.verb for it in found}
        assert ("*.*" in {it.resource for it in found}) == (deploy in ("drill", "rehearse"))


def test_without_rare_ones_it_is_less(capsys: pytest.CaptureFixture[str]) -> None:
    assert rights.main(["upgrade", str(PROD)]) == 0
    every = capsys.readouterr().out
    assert rights.main(["upgrade", str(PROD), "--without-rare"]) == 0
    assert len(capsys.readouterr().out) < len(every)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        pytest.param([], "name a deploy and an inventory: upgrade inventory/prod.py", id="nothing"),
        pytest.param(
            ["status", str(PROD), "--cluster", "nowhere"],
            f"{PROD} has no cluster nowhere: it has ",
            id="no such cluster",
        ),
        pytest.param(
            ["status", "nowhere.py"],
            "nowhere.py does not exist: name the file of an inventory",
            id="no inventory",
        ),
        pytest.param(
            ["status", str(PROD), "--subject", "anna"], "subject 'anna' is none of", id="no subject"
        ),
    ],
)
def test_refused_in_one_line(
    arguments: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert rights.main(arguments) == 2
    said = capsys.readouterr().err
    assert said.startswith(message)
    assert said.count("\n") == 1


def test_an_inventory_that_is_wrong_is_one_line(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    fleet = tmp_path / "fleet.py"
    fleet.write_text("clusters = [('@kube/weu-1', {'ring': 0, 'wrong': 1})]\n")
    assert rights.main(["status", str(fleet)]) == 2
    assert capsys.readouterr().err.count("\n") == 1
