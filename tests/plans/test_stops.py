"""Where a run stopped, and how it goes on."""

from __future__ import annotations

import pytest

from tasks.plans import stops

AGAIN = "pyinfra inventory/prod.py deploys/upgrade.py -y"


@pytest.mark.parametrize(
    ("stopped", "half_way", "said"),
    [
        pytest.param({}, False, [], id="nothing stopped"),
        pytest.param(
            {"weu-1": "Connect", "weu-2": "Ring 0 | Upgrade | Chart", "weu-3": "Connect"},
            False,
            [
                "stopped: weu-1, weu-3 at Connect",
                "stopped: weu-2 at Ring 0 | Upgrade | Chart",
                f"next: correct what is said above, then the same command again: {AGAIN}",
            ],
            id="a line each step",
        ),
        pytest.param(
            {f"weu-{it}": "Connect" for it in range(1, 62)},
            False,
            [
                "stopped: weu-1, weu-2, weu-3 (and 58 more) at Connect",
                f"next: correct what is said above, then the same command again: {AGAIN}",
            ],
            id="a fleet in one line",
        ),
        pytest.param(
            {"weu-1": "CRDs"},
            True,
            ["stopped: weu-1 at CRDs", f"next: the same command again: {AGAIN}"],
            id="interrupted",
        ),
    ],
)
def test_lines(stopped: dict[str, str], half_way: bool, said: list[str]) -> None:
    assert stops.lines(stopped, AGAIN, half_way) == said


@pytest.mark.parametrize(
    ("arguments", "typed"),
    [
        (["inventory/prod.py", "deploys/status.py"], "inventory/prod.py deploys/status.py"),
        (["a.py", "b.py", "--limit", "weu-1*"], "a.py b.py --limit 'weu-1*'"),
        (
            ["a.py", "--data", "notify=s3cret", "b.py", "--data=key=s3cret", "-y"],
            "a.py --data ... b.py -y",
        ),
        (["a.py", "--ssh-password=s3cret", "b.py"], "a.py --ssh-password ... b.py"),
        (
            ["a.py", "tasks.operations.kube.apply", 'manifests=[{"kind": "Secret"}]', "--dry"],
            "a.py tasks.operations.kube.apply manifests=... --dry",
        ),
        (["a.py", "-v", "exec", "--", "echo", "s3cret"], "a.py -v exec -- ..."),
    ],
)
def test_the_command_is_said_without_what_may_be_secret(arguments: list[str], typed: str) -> None:
    assert stops.command(arguments) == f"pyinfra {typed}"
