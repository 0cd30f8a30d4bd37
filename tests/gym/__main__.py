"""
Play the gym on a lab: faults one after the other, each judged live and from its bundle.

    python -m tests.gym --lab gym --only jwt-missing --keep
    python -m tests.gym --lab gym --all --through-deploys --keep
"""

from __future__ import annotations

# As pyinfra does it: the port forward of the product runs in greenlets.
from gevent import monkey

monkey.patch_all()

import argparse  # noqa: E402
import os  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
from collections.abc import Callable, Iterator, Sequence  # noqa: E402
from fnmatch import fnmatchcase  # noqa: E402
from pathlib import Path  # noqa: E402

from tests.gym import backends, base, judge, ledger  # noqa: E402
from tests.gym.cluster import Cluster  # noqa: E402
from tests.gym.fault import Fault  # noqa: E402
from tests.gym.faults import EVERY  # noqa: E402
from tests.gym.page import summed  # noqa: E402
from tests.gym.play import Gym, NotShown, Reader, State  # noqa: E402
from tests.gym.score import total  # noqa: E402
from tests.lab.fleet import NEW  # noqa: E402


def main(arguments: Sequence[str] | None = None) -> int:
    asked = parser().parse_args(arguments)
    chosen = list(choose(asked.only, asked.all))
    names = [it.name for it in chosen]
    chosen = chosen[names.index(asked.after) + 1 :] if asked.after in names else chosen
    if asked.list:
        for it in chosen:
            said = f"{it.truth.cause} {'/'.join(it.truth.thing)}" if it.truth else "nothing wrong"
            print(f"{it.name:30} {it.layer:14} {said} {it.notes}".rstrip())
        return 0
    os.environ["ENVOYFLEET_LAB"] = asked.lab  # where its deploys go
    folder = asked.out or Path(tempfile.mkdtemp(prefix="gym-"))
    begun = time.monotonic()
    bad = sum(
        through_deploys(asked, chosen, folder)
        if asked.through_deploys
        else straight(asked, chosen, folder)
    )
    took = time.monotonic() - begun
    print(f"{len(chosen)} faults in {took:.0f} s, {bad} judgements wrong: {folder}")
    return 1 if bad else 0


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(prog="python -m tests.gym", description=__doc__)
    top.add_argument("--lab", default="gym", help="a lab that is up (gym)")
    top.add_argument("--only", nargs="*", default=(), help="names, * stands for anything")
    top.add_argument("--after", default="", metavar="NAME", help="those behind this one alone")
    top.add_argument("--all", action="store_true", help="those that take a minute, too")
    top.add_argument("--list", action="store_true", help="print the faults and end")
    top.add_argument("--out", type=Path, help="folder for the bundles")
    top.add_argument("--keep", action="store_true", help="record in tests/data/gym what was seen")
    top.add_argument(
        "--through-deploys", action="store_true", help="by the commands of an operator, see docs"
    )
    top.add_argument("--quick", action="store_true", help="without the look-alikes")
    return top


def choose(only: Sequence[str], slow: bool) -> Iterator[Fault]:
    for it in EVERY:
        if any(fnmatchcase(it.name, one) for one in only) or (not only and (slow or not it.slow)):
            yield it


def straight(asked: argparse.Namespace, faults: Sequence[Fault], folder: Path) -> Iterator[int]:
    """How many judgements of each fault are wrong; a line for each state is printed."""
    from tests.gym.archive import keep
    from tests.gym.record import Recorder

    try:
        for _, states, why in played(asked, faults, folder, Recorder):
            for it in states:
                yield told(it)
            if why:
                print(why, flush=True)
                yield 1
    finally:  # whatever ended it
        if asked.keep:
            keep(folder)


def through_deploys(
    asked: argparse.Namespace, faults: Sequence[Fault], folder: Path
) -> Iterator[int]:
    """The same by the commands of an operator, as the rows of a table."""
    from tests.gym import deploys

    print(f"| fault | {' | '.join(ledger.WAYS)} | look-alike, {', '.join(ledger.WAYS)} |")
    print("| --- | --- | --- | --- |")
    every = []
    with tempfile.TemporaryDirectory() as runs:
        for fault, states, why in played(
            asked, faults, folder, lambda it: deploys.Deploys(it, Path(runs))
        ):
            row = deploys.row(fault, states)
            if asked.keep:
                ledger.keep(row, NEW)
            print(deploys.line(row, why), flush=True)
            every.append(row)
            yield deploys.bad(row) + bool(why)
    for way in ledger.WAYS:
        print(summed(total(every, way)))


def played(
    asked: argparse.Namespace,
    faults: Sequence[Fault],
    folder: Path,
    reader: Callable[[Cluster], Reader],
) -> Iterator[tuple[Fault, list[State], str]]:
    """Each fault with what was seen of it, and why that is not all, "" where it is."""
    cluster = Cluster(asked.lab)
    if cluster.get("/apis/gateway.networking.k8s.io/v1/namespaces/edge/gateways/public") is None:
        with tempfile.TemporaryDirectory() as runs:
            base.installed(asked.lab, Path(runs))
    with backends.outside(cluster.lab.gateway):
        gym = Gym(cluster, folder, reader(cluster))
        for fault in faults:
            begun = time.monotonic()
            states: list[State] = []
            why = ""
            try:
                for it in gym.play(fault, alike=not asked.quick):
                    states.append(it)
            except (NotShown, TimeoutError, AssertionError) as error:
                why = f"{fault.name}: {error}"
            yield fault, states, why
            print(f"  {time.monotonic() - begun:.1f} s", file=sys.stderr)


def told(state: State) -> int:
    """Prints what is said of one state. Returns how many of its judgements are wrong."""
    from tests.gym.offline import diagnosed

    truth = state.fault.truth if state.broken else None
    found = {"bundle": diagnosed(state.folder)}
    if state.found is not None:
        found["live"] = state.found
    verdicts = {way: judge.judged(it, truth) for way, it in found.items()}
    said = "; ".join(
        f"{way} {'ok' if it.found else 'MISS' if truth else 'ACCUSES'}: {it.said}"
        for way, it in verdicts.items()
    )
    print(f"{state.name}: {said}", flush=True)
    return sum(not it.found or it.wrong > 0 for it in verdicts.values())


if __name__ == "__main__":
    sys.exit(main())
