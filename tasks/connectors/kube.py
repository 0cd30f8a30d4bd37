"""
``@kube/<context>``: one context of a kubeconfig is one pyinfra host, called as the context is.

The single funnel of a run: a ``KubeCommand`` becomes one HTTP request in this process, anything
else (helm) runs here with a private kubeconfig that knows this one cluster and nothing else.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypedDict

from pyinfra import logger
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import ConnectError, InventoryError
from pyinfra.api.output import echo
from pyinfra.connectors.base import BaseConnector, DataMeta
from pyinfra.connectors.util import (
    CommandOutput,
    OutputLine,
    make_unix_command_for_host,
    run_local_process,
)
from typing_extensions import override

from tasks.connectors import kubeconfig, scratch
from tasks.connectors.command import KubeCommand

if TYPE_CHECKING:
    from tasks.connectors.api import Api, ApiError


class KubeData(TypedDict, total=False):
    kube_context: str
    kube_config: str | None
    kube_timeout: int


@dataclass(frozen=True)
class SignIn:
    """
    How a cluster is signed in to, in a word, and the program it needs, if any: ("kubelogin",
    "kubelogin"), ("token", None).
    """

    how: str
    program: str | None = None

    @classmethod
    def of(cls, user: Mapping[str, Any]) -> Self:
        """Of a user of a kubeconfig."""
        if user.get("exec"):
            command = str(user["exec"].get("command"))
            return cls(Path(command).name, command)
        if user.get("token") or user.get("tokenFile"):
            return cls("token")
        certificate = user.get("client-certificate") or user.get("client-certificate-data")
        return cls("certificate" if certificate else "none")


class KubeConnector(BaseConnector):
    """
    Inventory entries look like ``("@kube/weu-1", {"ring": 1})``; data keys as in ``KubeData``.
    """

    handles_execution = True
    data_cls = KubeData
    data_meta = {  # noqa: RUF012  # pyinfra's own form
        "kube_context": DataMeta("name of the context in the kubeconfig"),
        "kube_config": DataMeta(
            "kubeconfig file; None means KUBECONFIG, then ~/.kube/config", None
        ),
        "kube_timeout": DataMeta("seconds for one request", 30),
    }

    #: Why the newest command failed, or None where it did not; ``tasks.fleet.guard.fact`` reads it.
    last_error: str | None = None
    #: The cluster's Kubernetes version, such as "1.35.4", known once connected.
    kubernetes_version: str = ""

    def __init__(self, state: Any, host: Any) -> None:
        from tasks.fleet.begin import checked_before_connecting

        checked_before_connecting(state)  # before pyinfra's own check, which names no cluster
        super().__init__(state, host)
        self._api: Api | None = None
        self._scratch: Path | None = None
        self._read_config: dict[str, Any] | None = None

    @staticmethod
    @override
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        if not name:
            raise InventoryError("@kube needs a context, such as @kube/weu-1")
        apart = "call one of them otherwise, with its context beside it: docs/inventory.md"
        claim_name(name, f"context {name}", f"@kube/{name}", apart)
        yield name, {"kube_context": name}, ["@kube"]

    @staticmethod
    def problem(data: Mapping[str, Any]) -> str | None:
        """What is wrong with how this host is reached, before any connection, or None."""
        try:
            kubeconfig.one_context(data["kube_context"], data.get("kube_config"))
        except InventoryError as error:
            return str(error)
        return None

    def sign_in(self) -> SignIn:
        """How it is signed in, as its kubeconfig says."""
        return SignIn.of(self._config()["users"][0]["user"])

    @property
    def api(self) -> Api:
        """The session; polling loops use it directly, everything else goes through commands."""
        if self._api is None:
            raise ConnectError(f"{self.host.name}: not connected")
        return self._api

    @override
    def connect(self) -> None:
        """
        Two requests: the version, and which cluster this really is (the UID of namespace
        kube-system, the usual identity of a cluster: OpenTelemetry semantic conventions,
        ``k8s.cluster.uid``).

        None for a deploy that works on this machine alone: its clusters may be lost.

        Raises ConnectError for this cluster alone; anything else would end the run for all.
        """
        from tasks.connectors.api import ApiError
        from tasks.fleet.run import claim_identity, current

        if current().offline:
            return
        try:
            self._api = self._opened()
            limit = float(self.state.config.CONNECT_TIMEOUT)
            version = self._read("/version", "gitVersion", limit)
            uid = self._read("/api/v1/namespaces/kube-system", "metadata.uid", limit)
        except ApiError as error:
            why = self.explained(error)
            raise ConnectError(f"cannot reach this cluster: {why}") from error
        except Exception as error:
            text = str(error).splitlines()[0] if str(error) else type(error).__name__
            raise ConnectError(f"cannot reach this cluster: {text}") from error
        self.kubernetes_version = version.lstrip("v").split("-")[0].split("+")[0]
        claim_identity(self.state, self.host, uid)

    def _config(self) -> dict[str, Any]:
        """
        A kubeconfig of this one cluster, as it was first read: a file that is replaced while the
        run goes on must not lead its programs to another one.
        """
        if self._read_config is None:
            context, file = self.data["kube_context"], self.data["kube_config"]
            self._read_config = kubeconfig.one_context(context, file)
        return self._read_config

    def _opened(self) -> Api:
        from tasks.connectors.api import Api

        return Api(self._config(), float(self.data["kube_timeout"]))

    def explained(self, error: ApiError) -> str:
        """What an operator is told."""
        return str(error)

    def _read(self, path: str, key: str, limit: float) -> str:
        try:
            answer = self.api.json("GET", path, timeout=limit)
            for part in key.split("."):
                answer = answer[part]
        except (KeyError, TypeError, ValueError) as error:
            raise ConnectError(
                f"GET {path} has no {key}: is it an API server, and is server in the kubeconfig "
                "right?"
            ) from error
        return str(answer)

    @override
    def disconnect(self) -> None:
        if self._scratch is not None:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch = None
        if self._api is not None:
            self._api.close()

    @override
    def run_shell_command(
        self,
        command: StringCommand,
        print_output: bool = False,
        print_input: bool = False,
        **arguments: Any,
    ) -> tuple[bool, CommandOutput]:
        if print_input:
            echo(f"{self.host.print_prefix}>>> {command}", err=True)
        if isinstance(command, KubeCommand):
            ok, output = self._request(command, arguments)
            # Bodies are not printed with -vvv: they may be Secrets.
        else:
            ok, output = self._run_program(command, print_output, arguments)
        self.last_error = None if ok else output.stderr or "no message"
        return ok, output

    def _request(
        self, command: KubeCommand, arguments: dict[str, Any]
    ) -> tuple[bool, CommandOutput]:
        from tasks.connectors.api import ApiError

        call = command.call
        where = f"{call.method} {call.path}"
        try:
            text = self.api.text(call, arguments.get("_timeout") or None)
        except ApiError as error:
            if error.status in call.ok:
                return True, CommandOutput([])
            return False, _stderr(f"{where}: {self.explained(error)}")
        except Exception as error:  # pyinfra ends the run for every cluster where one leaves here
            return False, _stderr(f"{where}: {type(error).__name__}: {error}")
        return True, CommandOutput([OutputLine("stdout", text)])

    def _run_program(
        self, command: StringCommand, print_output: bool, arguments: dict[str, Any]
    ) -> tuple[bool, CommandOutput]:
        try:
            return self._run_here(command, print_output, arguments)
        except OSError as error:  # pyinfra ends the run for every cluster where one leaves here
            place = error.filename or tempfile.gettempdir()
            return False, _stderr(
                f"no program can be started: {place}: {error.strerror}: mend that"
            )

    def _run_here(
        self, command: StringCommand, print_output: bool, arguments: dict[str, Any]
    ) -> tuple[bool, CommandOutput]:
        stdin = arguments.pop("_stdin", None)
        timeout = arguments.pop("_timeout", None)
        good = arguments.pop("_success_exit_codes", None) or [0]
        known = {"_env", "_chdir", "_shell_executable"}
        kept = {key: value for key, value in arguments.items() if key in known}
        kept["_env"] = {**(kept.get("_env") or {}), **self.environment()}
        kept["_chdir"] = str(self.scratch)
        unix = make_unix_command_for_host(self.state, self.host, command, **kept)
        try:
            code, output = run_local_process(
                unix.get_raw_value(),
                stdin=stdin,
                timeout=timeout,
                print_output=print_output,
                print_prefix=self.host.print_prefix,
            )
        except TimeoutError:
            return False, _stderr(f"no end within {timeout} s; it may still run: {command}")
        if code in good or output.stderr.strip() not in ("", "Killed"):  # the shell's own word
            return code in good, output
        return False, _stderr(_without_a_word(code))

    @property
    def scratch(self) -> Path:
        """A folder of this cluster and run alone, 0700, gone when the run ends."""
        if self._scratch is None:
            self._scratch = scratch.made()
        return self._scratch

    def environment(self) -> dict[str, str]:
        """What a program started for this cluster gets: it can reach this cluster and no other."""
        path = self.scratch / "kubeconfig"
        if not path.exists():
            path.touch(mode=0o600)
            path.write_text(json.dumps(self._for_programs()), encoding="utf-8")
        from tasks.fleet.run import current

        return {
            "KUBECONFIG": str(path),
            "HELM_CACHE_HOME": str(self.scratch / "helm"),
            "ENVOYFLEET_RUN": current().id,
            "ENVOYFLEET_CLUSTER": self.host.name,
        }

    def _for_programs(self) -> dict[str, Any]:
        return self._config()

    def _no_files(self) -> bool:
        self.last_error = "a cluster has no files: use kube.apply, or server.shell"
        self.host.log_styled(self.last_error, fg="red", log_func=logger.error)
        return False

    @override
    def put_file(self, *args: Any, **kwargs: Any) -> bool:
        return self._no_files()

    @override
    def get_file(self, *args: Any, **kwargs: Any) -> bool:
        return self._no_files()


def _without_a_word(code: int) -> str:
    """Why a program that said nothing ended, by its exit code; a shell adds 128 to a signal."""
    number = code - 128 if code > 128 else -code
    if number > 0:
        return f"killed by signal {number}: see what kills programs here, such as too little memory"
    return f"ended with exit {code} and said nothing"


def _stderr(text: str) -> CommandOutput:
    return CommandOutput([OutputLine("stderr", text)])


def claim_name(name: str, cluster: str, entry: str, apart: str) -> None:
    """
    pyinfra 3.10 makes one host of two that have one name. Raises InventoryError.

    + cluster: what says which one it is; + entry: of the inventory; + apart: how to tell it from
      another one of its name
    """
    from tasks.fleet.run import current

    first = current().names.setdefault(name, (cluster, entry))
    if first == (cluster, entry):
        return
    if first[0] == cluster:
        raise InventoryError(
            f"{name} is in {first[1]} and in {entry}: leave it out of one, such as with ?name!="
            f"{name}"
        )
    raise InventoryError(f"{name} is the name of {first[0]} and of {cluster}: {apart}")
