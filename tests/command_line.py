"""
pyinfra's command line, as a user starts it. Most of its second goes into imports, so one process
does these once and forks a child a run; ``fresh`` starts one from nothing.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from collections.abc import Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from typing_extensions import override

PARENT = """
import atexit, gc, json, os, sys, traceback
from gevent import monkey
from pyinfra_cli.main import main
from pyinfra.api.connectors import get_all_connectors
import kubernetes.client, kubernetes.config, kubernetes.dynamic
from tasks import doctor, envoy_gateway, status

get_all_connectors()
gc.freeze()
fork, wait = monkey.get_original("os", "fork"), monkey.get_original("os", "waitpid")
for line in sys.stdin:
    order = json.loads(line)
    child = fork()
    if child == 0:
        break
    code = os.waitstatus_to_exitcode(wait(child, 0)[1])
    os.write(1, b"%d\\n" % code)
if child == 0:
    os.chdir(order["folder"])
    os.environ.clear()
    os.environ.update(order["environment"])
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    os.dup2(os.open(order["output"], os.O_WRONLY | os.O_CREAT | os.O_TRUNC), 1)
    os.dup2(1, 2)
    sys.argv = ["pyinfra", *order["arguments"]]
    try:
        main()
    except SystemExit as end:
        code = end.code or 0
    except BaseException:
        traceback.print_exc()
        code = 70
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)  # without taking the parent's modules apart
"""


@dataclass(frozen=True)
class Outcome:
    """+ text: what was printed on both streams"""

    code: int
    text: str

    @property
    def lines(self) -> list[str]:
        """
        What was printed, but for pyinfra's own progress, with single spaces. A table's last column
        says "0 s" however busy the machine was.
        """
        own = re.compile(r"-->|Loading: |\[\S+\] (Connected|Ready: )")
        lines = [re.sub(r" \d+ s$", " 0 s", " ".join(it.split())) for it in self.text.splitlines()]
        return [it for it in lines if it and not own.match(it)]


class CommandLine(AbstractContextManager["CommandLine"]):
    @override
    def __enter__(self) -> Self:
        self._parent = subprocess.Popen(
            [sys.executable, "-c", PARENT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        return self

    @override
    def __exit__(self, *_: object) -> None:
        assert self._parent.stdin
        assert self._parent.stdout
        self._parent.stdin.close()
        self._parent.wait(10)
        self._parent.stdout.close()

    def run(self, folder: Path, arguments: Sequence[str], **environment: str) -> Outcome:
        assert self._parent.stdin
        assert self._parent.stdout
        output = folder.with_name(f"{folder.name}.output")
        order = {
            "folder": str(folder),
            "arguments": list(arguments),
            "environment": _environment(folder, environment),
            "output": str(output),
        }
        self._parent.stdin.write(json.dumps(order) + "\n")
        self._parent.stdin.flush()
        return Outcome(int(self._parent.stdout.readline()), output.read_text())


def fresh(folder: Path, arguments: Sequence[str], **environment: str) -> Outcome:
    done = subprocess.run(
        [str(Path(sys.executable).with_name("pyinfra")), *arguments],
        cwd=folder,
        env=_environment(folder, environment),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=60,
        check=False,
    )
    return Outcome(done.returncode, done.stdout)


def _environment(folder: Path, more: dict[str, str]) -> dict[str, str]:
    """Nothing of whoever runs the tests but where programs are."""
    return {"PATH": os.environ["PATH"], "HOME": str(folder), "PYINFRA_PROGRESS": "off", **more}
