"""Each word that the diagnosis explains is in the Envoys that write it. It needs no cluster."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tasks.diagnosis.flags import FLAGS
from tasks.diagnosis.words import FAILURES, Meaning
from tasks.lab import catalogue
from tests.diagnosis.test_flags import TABLES, every
from tests.scenes.processes import programs

#: Of the system, not of Envoy; and short ones that a compiler puts together from numbers.
NOT_IN_BINARIES = {
    *(it for it in FAILURES if it.istitle() or ("_" in it and not it.isupper())),
    "low_version",
    "ext_authz_error",
    *(it for it in FLAGS if len(it) < 8),
}
MEANT_OTHERWISE = {
    "http/1_premature_upstream_half_close": "HTTP/1 premature upstream half close",
    "remote_error_with_connect_request": "remote error with CONNECT request",
}


@contextmanager
def binary(release: str) -> Iterator[tuple[str, mmap.mmap]]:
    """The release line of Envoy, such as "1.39", and what is in its program."""
    path = programs()[f"envoy-{release}"]
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        yield catalogue.ENVOY[release].rpartition(".")[0], content


@pytest.mark.lab
@pytest.mark.parametrize("release", sorted(catalogue.ENVOY))
def test_each_word_is_in_envoy(release: str) -> None:
    with binary(release) as (line, content):
        missing = {
            word
            for table in TABLES
            for word, it in table.items()
            if word not in NOT_IN_BINARIES
            and (not it.since or it.since <= line)
            and (not it.until or it.until >= line)
            and not any(content.find(form.encode()) >= 0 for form in forms(word, it))
        }
        long_names = {it.long for it in FLAGS.values() if content.find(it.long.encode()) < 0}
    assert missing == set()
    assert long_names == set()


@pytest.mark.lab
@pytest.mark.parametrize("release", sorted(catalogue.ENVOY))
def test_words_of_one_release_alone(release: str) -> None:
    with binary(release) as (line, content):
        there = {
            it.word
            for it in every()
            if ((it.since and it.since > line) or (it.until and it.until < line))
            and any(content.find(form.encode() + b"\0") >= 0 for form in forms(it.word, it))
        }
    assert there == set()


def forms(word: str, it: Meaning) -> tuple[str, ...]:
    """As it stands in the program: spaces become underscores in a log."""
    return (word, word.replace("_", " "), MEANT_OTHERWISE.get(word, it.long or word))
