"""What an operator sees while the lab works: plain lines, written at once."""

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

_one_line_at_a_time = threading.Lock()


class LabError(Exception):
    """
    The lab cannot go on: what happened, where, and what to do, in one line. ``code`` is the exit
    code.
    """

    code = 1


class UsageError(LabError):
    """The command line asks for something that does not exist."""

    code = 2


def say(text: str) -> None:
    """Print one line."""
    with _one_line_at_a_time:
        print(text, flush=True)


@contextmanager
def step(text: str) -> Iterator[None]:
    """Announce a step, and say how long it took once it is done."""
    say(f"{text} ...")
    began = time.monotonic()
    yield
    say(f"{text}: done in {time.monotonic() - began:.1f} s")


def wait_for(
    what: str, check: Callable[[], bool], seconds: float, otherwise: str, every: float = 0.2
) -> None:
    """
    Wait until ``check`` holds, with a line every ten seconds that says what is still awaited.

    Raises `LabError` with ``otherwise`` once ``seconds`` have passed.
    """
    began = time.monotonic()
    spoken = began
    while not check():
        now = time.monotonic()
        if now - began > seconds:
            raise LabError(f"{what}: not after {seconds:.0f} s: {otherwise}")
        if now - spoken > 10:
            say(f"{what}: waiting since {now - began:.0f} s")
            spoken = now
        time.sleep(every)
