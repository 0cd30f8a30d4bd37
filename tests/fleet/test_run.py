"""
Bad input and how runs end, through the real command line: the exit code, every line that is printed
beside pyinfra's own progress, and nothing left behind.
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import jsonschema
import pytest

from tasks.fleet.charts import fetched
from tasks.fleet.journal import read
from tests.api_server import Answer, ApiServer, status
from tests.command_line import CommandLine, fresh

ROOT = Path(__file__).parents[2]
LEAST = '{"ring": 0, "envoy_gateway_version": "1.9.1"}'
ONE = f'clusters = [("@kube/weu-1", {LEAST})]'
DRY = ("inventory/prod.py", "deploys/install.py", "--dry")
AGAIN = "next: correct what is said above, then the same command again: pyinfra inventory/prod.py"


@dataclass(frozen=True)
class Case:
    """
    + lines: all that is printed, see ``Outcome.lines``
    + files: written before the run, over the repository's own
    """

    name: str
    lines: Sequence[str]
    code: int = 2
    inventory: str = ONE
    arguments: Sequence[str] = DRY
    files: dict[str, str] = field(default_factory=dict)


CASES = [
    # the command line
    Case(
        "misspelt inventory",
        [
            "there is no inventory inventory/prd.py: use one of inventory/prod.py, "
            "or @kube/<context>"
        ],
        arguments=("inventory/prd.py", "deploys/install.py", "--dry"),
    ),
    *(
        Case(f"{option[0]} is refused", [f"{option[0]} is refused: {why}"], arguments=DRY + option)
        for option, why in (
            (("--no-wait",), "a failed cluster would not be noticed"),
            (("--serial",), "rings decide the order"),
            (("--fail-percent", "50"), "rings have max_failed"),
        )
    ),
    Case(
        "--limit that leaves nothing",
        [
            "No host matches found for --limit pattern: weu-9",
            "--limit leaves no cluster: pyinfra INVENTORY debug-inventory lists their names",
        ],
        arguments=(*DRY, "--limit", "weu-9"),
    ),
    Case(
        "no terminal and no -y",
        [
            "Operation Change Conditional Change",
            "server.shell (true) 1 (weu-1) -",
            "Detected changes may not include every change pyinfra will execute.",
            "Hidden side effects of operations may alter behaviour of future operations,",
            "this will be shown in the results. The remote state will always be updated",
            "to reflect the state defined by the input operations.",
            "there is no terminal to ask on: add -y to run, or --dry to see the plan",
        ],
        arguments=("inventory/prod.py", "deploys/change.py"),
        files={
            "deploys/change.py": 'from pyinfra.operations import server\nserver.shell("true")\n'
        },
    ),
    # the inventory file
    Case(
        "syntax error in the inventory",
        ["inventory/prod.py line 2: SyntaxError: '(' was never closed"],
        inventory="clusters = [\n    (\n",
    ),
    Case(
        "exception in the inventory",
        ["inventory/prod.py line 2: ZeroDivisionError: division by zero"],
        inventory=f"{ONE}\n1 / 0\n",
    ),
    Case(
        "syntax error in group_data",
        ["{folder}/inventory/group_data/all.py line 1: SyntaxError: invalid syntax"],
        files={"inventory/group_data/all.py": "timeout = = 3\n"},
    ),
    Case(
        "exception in group_data",
        ["{folder}/inventory/group_data/all.py line 1: KeyError: 'ENVOYFLEET_NO_SUCH'"],
        files={"inventory/group_data/all.py": 'import os; x = os.environ["ENVOYFLEET_NO_SUCH"]\n'},
    ),
    Case(
        "no cluster",
        ['inventory/prod.py: no cluster in it: write clusters = [("@kube/...", {})]'],
        inventory='clusters = "@kube/weu-1"',
    ),
    Case(
        "an entry that is none",
        [
            'Ignoring host group "clusters". Host groups may only contain strings (host) or tuples '
            "(host, data).",
            "inventory/prod.py: clusters is not a list of clusters: write entries such as "
            '("@kube/weu-1", {"ring": 0}), or begin its name with _',
        ],
        inventory=f'clusters = [("@kube/weu-1", {LEAST}), None]',
    ),
    Case(
        "a name without @kube",
        ["inventory/prod.py: weu-1: not a cluster: write @kube/<context> in the inventory"],
        inventory=f'clusters = [("weu-1", {LEAST})]',
    ),
    Case(
        "an entry twice in a group",
        ["inventory/prod.py: @kube/weu-1 is in clusters twice: remove all but one of them"],
        inventory=f'clusters = [("@kube/weu-1", {LEAST}), ("@kube/weu-1", {{"ring": 1}})]',
    ),
    # the data
    Case(
        "all that is wrong with the data, of every cluster",
        [
            "inventory/prod.py: weu-1: ring: must be a whole number, not 'one'",
            "inventory/prod.py: weu-1: gatway_class: unknown key: did you mean gateway_class?",
            "inventory/prod.py: neu-1: envoy_gateway_version: missing: set it beside the host "
            "or in group_data",
        ],
        inventory="""
clusters = [
    ("@kube/weu-1", {"ring": "one", "envoy_gateway_version": "1.9.1", "gatway_class": "x"}),
    ("@kube/neu-1", {"ring": 0}),
]
""",
    ),
    Case(
        "a version that --data made a number",
        [
            "inventory/prod.py: weu-1: envoy_gateway_version: must be text in quotes, not 1.1",
        ],
        arguments=(*DRY, "--data", "envoy_gateway_version=1.10"),
    ),
    Case(
        "a connector's key of the wrong type",
        ["inventory/prod.py: weu-1: kube_timeout: must be a whole number, not 'long'"],
        arguments=(*DRY, "--data", "kube_timeout=long"),
    ),
    Case(
        "windows that cannot be met, a time that is none",
        [
            "inventory/prod.py: weu-1: bake: 'soon' is not a time such as "
            '"90s", "10m", "1h" or "30d"',
            "inventory/prod.py: weu-1: window: zone 'Europe/Bielefeld' is not known: write one "
            "such as 'Europe/Berlin' or 'UTC'",
            "inventory/prod.py: neu-1: window: it closed at 2020-01-02T00:00 UTC: set one to come",
        ],
        inventory="""
_least = {"ring": 0, "envoy_gateway_version": "1.9.1"}
_nowhere = {"opens": "22:00", "closes": "04:00", "zone": "Europe/Bielefeld"}
_past = {"opens": "2020-01-01T00:00", "closes": "2020-01-02T00:00"}
clusters = [
    ("@kube/weu-1", {**_least, "bake": "soon", "window": _nowhere}),
    ("@kube/neu-1", {**_least, "window": _past}),
]
""",
    ),
    Case(
        "a window that is over, of a cluster that is to be handed over",
        ["inventory/prod.py: weu-1: window: it closed at 2020-01-02T00:00 UTC: set one to come"],
        inventory="""
_past = {"opens": "2020-01-01T00:00", "closes": "2020-01-02T00:00"}
clusters = [
    ("@kube/weu-1", {"ring": 0, "envoy_gateway_version": "1.9.1", "window": _past}),
]
""",
        arguments=("inventory/prod.py", "deploys/adopt.py", "--dry", "--data", "take=true"),
    ),
    # the kubeconfig
    Case(
        "missing context",
        [
            "inventory/prod.py: weu-9: no context of this name in {folder}/kubeconfig: "
            "did you mean weu-1?"
        ],
        inventory=f'clusters = [("@kube/weu-9", {LEAST})]',
    ),
    Case(
        "unreadable kubeconfig",
        [
            "inventory/prod.py: kubeconfig nowhere cannot be read (No such file or directory): set "
            "KUBECONFIG, or kube_config in the inventory, to a file that can"
        ],
        inventory=f"{ONE}\n",
        arguments=(*DRY, "--data", "kube_config=nowhere"),
    ),
    # the clusters
    Case(
        "unreachable cluster",
        [
            "[gone] cannot reach this cluster: ConnectionRefusedError: Connection refused",
            "install: exit 1",
            "cluster ring status what time",
            "gone 0 unreachable cannot reach this cluster: ConnectionRefusedError: "
            "Connection refused 0 s",
            "stopped: gone at Connect",
            f"{AGAIN} deploys/install.py --dry",
        ],
        code=1,
        inventory=f'clusters = [("@kube/gone", {LEAST})]',
        files={
            "config.py": "from pyinfra import config\nfrom tasks.fleet.begin import begin\n"
            "begin()\nconfig.CONNECT_TIMEOUT = 1\n"
        },
    ),
    Case(
        "expired credentials",
        [
            "[expired] cannot reach this cluster: 401 the credentials were not accepted: sign in "
            "again, or fetch them anew",
            "install: exit 1",
            "cluster ring status what time",
            "expired 0 unreachable cannot reach this cluster: 401 the credentials were not "
            "accepted: sign in again, or fetch them anew 0 s",
            "stopped: expired at Connect",
            f"{AGAIN} deploys/install.py --dry",
        ],
        code=1,
        inventory=f'clusters = [("@kube/expired", {LEAST})]',
    ),
    Case(
        "two hosts that are one cluster",
        [
            "weu-1 and weu-1-again are one and the same cluster: remove all but one of them",
        ],
        inventory=f'clusters = [("@kube/weu-1", {LEAST}), ("@kube/weu-1-again", {LEAST})]',
    ),
    # what a run would need
    Case(
        "chart not pinned",
        [
            "fleet.lock does not pin gateway-helm 1.9.1: look at the chart, then pin it with "
            "python -m tasks.fleet.charts lock oci://docker.io/envoyproxy/gateway-helm 1.9.1",
        ],
    ),
    Case(
        "exception in a deploy file",
        [
            "deploys/broken.py line 2: NameError: name 'installl' is not defined",
        ],
        arguments=("inventory/prod.py", "deploys/broken.py", "--dry"),
        files={"deploys/broken.py": "from tasks import envoy_gateway\ninstalll()\n"},
    ),
    Case(
        "syntax error in a deploy file",
        [
            "deploys/broken.py line 1: SyntaxError: invalid syntax",
        ],
        arguments=("inventory/prod.py", "deploys/broken.py", "--dry"),
        files={"deploys/broken.py": "for in rings:\n"},
    ),
]


@pytest.fixture(scope="module")
def server() -> Iterator[ApiServer]:
    with ApiServer().running() as server:
        server.cluster("weu-1")
        server.cluster("neu-1")
        server.cluster("weu-1-again", uid="uid-of-weu-1")
        server.answer("GET", "/version", status(401, "Unauthorized"), cluster="expired")
        yield server


def prepared(folder: Path, case: Case, server: ApiServer) -> Path:
    """A clone of the repository with the case's own files; returns the kubeconfig."""
    contexts = ("weu-1", "neu-1", "weu-1-again", "expired", "gone")
    kubeconfig = server.write_kubeconfig(folder / "kubeconfig", *contexts)
    text = kubeconfig.read_text()
    kubeconfig.write_text(text.replace(f"127.0.0.1:{server.port}/gone", "127.0.0.1:9/gone"))
    shutil.copy(ROOT / "config.py", folder)
    shutil.copytree(ROOT / "deploys", folder / "deploys")
    for name, content in {"inventory/prod.py": case.inventory, **case.files}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return kubeconfig


@pytest.mark.parametrize("case", [pytest.param(it, id=it.name) for it in CASES])
def test_bad_input_ends_in_a_line_that_says_so(
    case: Case, command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    folder = tmp_path / "clone"
    folder.mkdir()
    kubeconfig = prepared(folder, case, server)
    before = set(folder.rglob("*"))
    outcome = command_line.run(folder, case.arguments, KUBECONFIG=str(kubeconfig))
    lines = [it.replace(str(folder), "{folder}") for it in outcome.lines]
    assert lines == list(case.lines)
    assert outcome.code == case.code
    assert {it for it in folder.rglob("*") if "__pycache__" not in it.parts} == before


def test_a_template_with_an_undefined_variable(server: ApiServer, tmp_path: Path) -> None:
    """A clone with templates of its own has tasks of its own: not those that are installed here."""
    template = "kind: GatewayClass\nmetadata:\n  name: {{ gatway_class }}\n"
    chart = {"Chart.yaml": "name: chart\nversion: 1.9.1\n", "values.yaml": "{}\n"}
    case = Case(
        "",
        [
            "weu-1: templates/gateway/gatewayclass.yaml.j2 line 3: 'gatway_class' is undefined: "
            "correct the template or the inventory",
        ],
        files={f"chart/{name}": text for name, text in chart.items()},
        arguments=(*DRY, "--data", "chart=chart"),
    )
    kubeconfig = prepared(tmp_path, case, server)
    ignore = shutil.ignore_patterns("lab", "__pycache__")
    shutil.copytree(ROOT / "tasks", tmp_path / "tasks", ignore=ignore)
    shutil.copytree(ROOT / "templates", tmp_path / "templates")
    (tmp_path / "templates/gateway/gatewayclass.yaml.j2").write_text(template)
    digest = fetched(str(tmp_path / "chart"), "1.9.1", "helm").digest
    (tmp_path / "fleet.lock").write_text(f'charts: {{chart: {{"1.9.1": "{digest}"}}}}')
    outcome = fresh(tmp_path, case.arguments, KUBECONFIG=str(kubeconfig), PYTHONPATH=str(tmp_path))
    assert (outcome.lines, outcome.code) == (case.lines, 2)


STEPS = """
from tasks.connectors.command import KubeCommand
from tasks.fleet.guard import fleet_operation
from tasks.fleet.rings import rings

@fleet_operation()
def step():
    yield KubeCommand("POST", "/step")

for _ring in rings():
    step(name="Step")
"""
TWO_RINGS = f"""
clusters = [
    ("@kube/weu-1", {LEAST}),
    ("@kube/neu-1", {{"ring": 1, "envoy_gateway_version": "1.9.1"}}),
]
"""
HELD = "after ring 0: 1 of 2 clusters failed (weu-1), max_failed allows 0"
SAID = "POST /step: 500 no room"
RUNS = [
    pytest.param(
        Answer(),
        0,
        [
            "steps: exit 0",
            "cluster ring status what time",
            "weu-1 0 done - 0 s",
            "neu-1 1 done - 0 s",
        ],
        id="all is well",
    ),
    pytest.param(
        status(500, "no room"),
        5,
        [
            "steps: exit 5",
            "cluster ring status what time",
            f"weu-1 0 failed {SAID} 0 s",
            f"neu-1 1 held {HELD} 0 s",
            "stopped: weu-1 at Ring 0 | Step",
            f"{AGAIN} deploys/steps.py -y",
        ],
        id="the first ring fails",
    ),
]


@pytest.mark.parametrize(("answer", "code", "table"), RUNS)
def test_a_run_leaves_its_report(
    command_line: CommandLine,
    server: ApiServer,
    tmp_path: Path,
    answer: Answer,
    code: int,
    table: list[str],
) -> None:
    server.answer("POST", "/step", answer)
    server.answer("POST", "/step", Answer(), cluster="neu-1")
    folder = tmp_path / "clone"
    folder.mkdir()
    arguments = ("inventory/prod.py", "deploys/steps.py", "-y")
    case = Case("", [], code, TWO_RINGS, arguments, {"deploys/steps.py": STEPS})
    kubeconfig = prepared(folder, case, server)
    begun = len(server.asked)
    outcome = command_line.run(folder, arguments, KUBECONFIG=str(kubeconfig))
    assert outcome.code == code
    [left] = (folder / "runs").iterdir()
    at = outcome.lines.index(table[0])
    assert outcome.lines[at:] == [*table, f"Report: runs/{left.name}/report.html"]
    assert left.name.endswith("Z-steps")
    assert sorted(it.name for it in left.iterdir()) == [
        "journal.jsonl",
        "junit.xml",
        "plan.json",
        "report.html",
        "report.json",
        "report.md",
    ]
    entries, problem = read(left / "journal.jsonl")
    assert problem is None
    assert (entries[0]["event"], entries[-1]["event"], entries[-1]["exit"]) == (
        "run",
        "run ended",
        code,
    )
    document = json.loads((left / "report.json").read_text())
    assert document["exit"] == code
    jsonschema.validate(document, json.loads((ROOT / "docs/report.schema.json").read_text()))
    words = [(it["name"], it["status"]) for it in document["clusters"]]
    assert [" ".join(it.split()[:3]) for it in table[2:4]] == [
        f"{name} {ring} {said}" for ring, (name, said) in enumerate(words)
    ]
    posts = [it.cluster for it in server.asked[begun:] if it.method == "POST"]
    assert posts == (["weu-1"] if code else ["weu-1", "neu-1"])


@pytest.mark.parametrize(
    ("room", "code", "said", "posts"),
    [
        pytest.param(100, 2, "", [], id="nothing begins"),
        pytest.param(2100, 6, "", ["weu-1"], id="half way"),
        pytest.param(4000, 6, "No report, exit 6: ", ["weu-1", "neu-1"], id="no report"),
    ],
)
def test_what_cannot_be_written_down_is_not_done(
    server: ApiServer, tmp_path: Path, room: int, code: int, said: str, posts: list[str]
) -> None:
    """+ room: bytes that a file may have"""
    for cluster in ("weu-1", "neu-1"):
        server.answer("POST", "/step", Answer(), cluster=cluster)
    folder = tmp_path / "clone"
    folder.mkdir()
    arguments = ("inventory/prod.py", "deploys/steps.py", "-y")
    full = f"import resource\nresource.setrlimit(resource.RLIMIT_FSIZE, ({room}, {room}))\n{STEPS}"
    case = Case("", [], code, TWO_RINGS, arguments, {"deploys/steps.py": full})
    kubeconfig = str(prepared(folder, case, server))
    begun = len(server.asked)
    outcome = fresh(folder, arguments, KUBECONFIG=kubeconfig)
    line = (
        r"runs/\S+-steps cannot be written \(File too large\): what is not written down is not "
        "done: make room there, then run the same command again"
    )
    assert outcome.code == code
    assert any(re.fullmatch(said + line, it) for it in outcome.lines)
    assert "Traceback" not in outcome.text
    assert [it.cluster for it in server.asked[begun:] if it.method == "POST"] == posts

    (folder / "deploys" / "steps.py").write_text(STEPS)
    outcome = fresh(folder, arguments, KUBECONFIG=kubeconfig)
    assert outcome.code == 0
    [left] = (folder / "runs").iterdir()
    entries, problem = read(left / "journal.jsonl")
    assert (problem, entries[-1]["event"]) == (None, "run ended")


def test_nobody_listens(server: ApiServer, tmp_path: Path) -> None:
    """Such as a pipe into head, or a terminal that was closed."""
    for cluster in ("weu-1", "neu-1"):
        server.answer("POST", "/step", Answer(), cluster=cluster)
    folder = tmp_path / "clone"
    folder.mkdir()
    arguments = ("inventory/prod.py", "deploys/steps.py", "-y")
    deaf = f"import os\nos.dup2(os.open('/dev/full', os.O_WRONLY), 1)\nos.dup2(1, 2)\n{STEPS}"
    case = Case("", [], 0, TWO_RINGS, arguments, {"deploys/steps.py": deaf})
    outcome = fresh(folder, arguments, KUBECONFIG=str(prepared(folder, case, server)))
    assert outcome.code == 0
    [left] = (folder / "runs").iterdir()
    assert json.loads((left / "report.json").read_text())["exit"] == 0
    assert read(left / "journal.jsonl")[0][-1]["event"] == "run ended"


def test_a_ring_waits_and_the_same_command_goes_on(
    command_line: CommandLine, server: ApiServer, tmp_path: Path
) -> None:
    for cluster in ("weu-1", "neu-1"):
        server.answer("POST", "/step", Answer(), cluster=cluster)
    folder = tmp_path / "clone"
    folder.mkdir()
    arguments = ("inventory/prod.py", "deploys/steps.py", "-y")
    waits = TWO_RINGS.replace('"ring": 1,', '"ring": 1, "approval": True,')
    case = Case("", [], 4, waits, arguments, {"deploys/steps.py": STEPS})
    kubeconfig = str(prepared(folder, case, server))
    outcome = command_line.run(folder, arguments, KUBECONFIG=kubeconfig)
    [left] = (folder / "runs").iterdir()
    why = (
        f"ring 1 waits for approval: python -m tasks.fleet.approve {left.name} 1, then the same "
        "command again"
    )
    at = outcome.lines.index("steps: exit 4")
    assert outcome.lines[at + 3] == f"neu-1 1 waiting {why} 0 s"
    assert outcome.code == 4

    another = {"KUBECONFIG": kubeconfig, "ENVOYFLEET_APPROVE": "yesterday:1"}
    begun = len(server.asked)
    outcome = command_line.run(folder, arguments, **another)
    assert (outcome.code, outcome.lines[-1]) == (
        2,
        f"ENVOYFLEET_APPROVE approves run yesterday, and this is run {left.name}: approve this "
        "one, or unset it",
    )
    assert len(server.asked) == begun

    approves = [sys.executable, "-m", "tasks.fleet.approve", left.name, "1"]
    done = subprocess.run(approves, cwd=folder, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    outcome = command_line.run(folder, arguments, KUBECONFIG=kubeconfig)
    assert outcome.code == 0
    assert [it.name for it in (folder / "runs").iterdir()] == [left.name]
    posts = [it.cluster for it in server.asked[begun:] if it.method == "POST"]
    assert posts == ["weu-1", "neu-1"]


def test_a_stop_by_signal(command_line: CommandLine, server: ApiServer, tmp_path: Path) -> None:
    for cluster in ("weu-1", "neu-1"):
        server.answer("POST", "/step", Answer(), cluster=cluster)
    folder = tmp_path / "clone"
    folder.mkdir()
    arguments = ("inventory/prod.py", "deploys/steps.py", "-y")
    asks = """
import os, signal
from tasks.fleet.guard import fleet_operation
from tasks.fleet.rings import rings

@fleet_operation()
def asks():
    yield from ()
    os.kill(os.getpid(), signal.SIGUSR1)

for _ring in rings():
    asks(name="Asks")
"""
    case = Case("", [], 6, TWO_RINGS, arguments, {"deploys/steps.py": asks})
    kubeconfig = str(prepared(folder, case, server))
    outcome = command_line.run(folder, arguments, KUBECONFIG=kubeconfig)
    assert outcome.code == 6
    assert (
        "stop was asked: the clusters under way finish, all later ones are held; the same command "
        "goes on later"
    ) in outcome.lines
    held = "neu-1 1 held stop was asked (SIGUSR1): run the same command to go on 0 s"
    assert held in outcome.lines
