"""
The guard of each read and each operation: what goes wrong on one cluster stays on that cluster.

pyinfra 3.10 ends the run for every host where an operation raises on one, and hands an operation
the default of a fact that could not be read, which then carries on (facts measured with 3.10.0).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import wraps
from json import JSONDecodeError
from typing import TYPE_CHECKING, Any, ParamSpec, TypeVar, cast

from pyinfra import host, logger, state
from pyinfra.api import FactBase, facts, operation
from pyinfra.api.arguments_typed import PyinfraOperation
from pyinfra.api.command import PyinfraCommand, StringCommand
from pyinfra.api.exceptions import DeployError
from pyinfra.api.facts import get_fact
from pyinfra.api.state import StateStage
from pyinfra.connectors.util import CommandOutput, OutputLine
from pyinfra.context import ctx_host
from typing_extensions import override

if TYPE_CHECKING:
    from tasks.connectors.api import Api
    from tasks.connectors.kube import SignIn

T = TypeVar("T")
P = ParamSpec("P")
Steps = Iterator[PyinfraCommand]

#: Hosts that ``fact`` reads at this moment.
_reading: set[Any] = set()


class FactFailed(DeployError):
    """A cluster could not be read; the message says which request and why."""

    @property
    def forbidden(self) -> bool:
        """Whether this identity may not read it."""
        return ": 403 " in str(self)


def fact(cls: type[FactBase[T]], **arguments: Any) -> T:
    """
    A fact of this cluster. Raises FactFailed where it cannot be read, so that None and an empty
    list always mean "nothing there".
    """
    current = ctx_host.get()
    connector = getattr(current, "connector", None)
    if connector is None:  # the stand-in host of pyinfra-testing
        return cast(T, current.get_fact(cls, **arguments))
    connector.last_error = None
    _reading.add(current)
    try:
        value = get_fact(current.state, current, cls, kwargs=arguments, apply_failed_hosts=False)
    finally:
        _reading.discard(current)
    if connector.last_error:
        raise FactFailed(connector.last_error)
    return cast(T, value)


def _said_once(name: str) -> None:
    """
    pyinfra 3.10 prints a failed fact in two lines of its own. Where ``fact`` reads, whoever called
    it says what failed, and a wait that looks again and again says it every ten seconds.
    """
    said = getattr(facts, name)

    def say(current: Any, *arguments: Any, **options: Any) -> None:
        if current not in _reading:
            said(current, *arguments, **options)

    setattr(facts, name, say)


_said_once("print_host_combined_output")
_said_once("log_error_or_warning")


def session() -> Api:
    """This cluster's API server, for loops that look again and again; facts for everything else."""
    return cast("Api", ctx_host.get().connector.api)


def kubernetes_version() -> str:
    """
    The Kubernetes version of this cluster, such as "1.35.4"; the connector read it on connecting.
    """
    return str(ctx_host.get().connector.kubernetes_version)


def sign_in() -> SignIn:
    """How this cluster is signed in to."""
    return cast("SignIn", ctx_host.get().connector.sign_in())


class Fail(StringCommand):
    """
    A command that fails with a message: how an operation fails its own cluster while it executes.
    Whoever yields it has noted the failure.
    """

    def __init__(self, message: str) -> None:
        super().__init__("fail:", message)
        self.message = message

    @override
    def execute(
        self, state: Any, host: Any, connector_arguments: Any
    ) -> tuple[bool, CommandOutput]:
        host.connector.last_error = None  # of a command before this one
        return False, CommandOutput([OutputLine("stderr", self.message)])


def fleet_operation(
    is_idempotent: bool = True,
) -> Callable[[Callable[P, Steps]], PyinfraOperation[P]]:
    """
    ``pyinfra.api.operation`` for fleets: an exception fails the cluster it happened on, in one
    line, and no other. An operation's own ``_if`` adds to the one of the block around it.
    """

    def decorator(func: Callable[P, Steps]) -> PyinfraOperation[P]:
        @wraps(func)
        def guarded(*args: P.args, **kwargs: P.kwargs) -> Steps:
            preparing = getattr(state, "current_stage", None) == StateStage.Prepare
            if preparing and (_failed() or _not_planned()):
                return
            try:
                yield from func(*args, **kwargs)
            except Exception as error:
                message = one_line(error)
                from tasks.fleet.run import current, note_failure

                note_failure(host, message)
                if not preparing:
                    yield Fail(message)
                elif not _failed():
                    host.log_styled(f"Error: {message}", fg="red", log_func=logger.error)
                    names = state.op_meta[_host().current_op_hash].names
                    current().stopped_at[host.name] = ", ".join(names)
                    state.fail_hosts({_host()})

        op: Any = operation(is_idempotent=is_idempotent)(cast(Any, guarded))

        @wraps(op)
        def call(*args: Any, **kwargs: Any) -> Any:
            around: Any = host.current_deploy_kwargs or {}
            outer = around.get("_if")
            if outer and "_if" in kwargs:
                own = kwargs["_if"]
                kwargs["_if"] = [*outer, *(own if isinstance(own, list) else [own])]
            return op(*args, **kwargs)

        call._inner = op._inner  # type: ignore[attr-defined]  # `yield from` and pyinfra-testing
        return cast("PyinfraOperation[P]", call)

    return decorator


def one_line(error: BaseException) -> str:
    """
    The message of our own errors as it is; of any other with its type, which names the defect.
    """
    text = " ".join(str(error).split()) or type(error).__name__
    if isinstance(error, JSONDecodeError):
        return f"an answer is no whole JSON ({text}): look at what stands before the API server"
    ours = type(error) in (LookupError, ValueError) or type(error).__module__.startswith(
        ("tasks.", "pyinfra.")
    )
    return text if ours else f"{type(error).__name__}: {text}"


def _host() -> Any:
    return ctx_host.get()


def _not_planned() -> bool:
    """Whether this operation only makes sense once something failed, see ``attempt.rescue``."""
    return bool((_host().current_op_deploy_data or {}).get("_not_planned"))


def _failed() -> bool:
    return _host() in state.failed_hosts
