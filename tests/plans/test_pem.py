"""PEM text: what is read of it, what is passed over and named, and what a terminal prints of it."""

from __future__ import annotations

import base64

import pytest

from tasks.plans import pem
from tasks.plans.pem import Block, Flaw

ONE = b"-----BEGIN ONE-----\nb25l\n-----END ONE-----\n"
TWO = b"-----BEGIN TWO-----\nProc-Type: 4,ENCRYPTED\nDEK-Info: X,1\n\ndHdv\n-----END TWO-----\n"
BLOCKS = (Block("ONE", b"one"), Block("TWO", b"two", encrypted=True))


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(ONE + TWO, id="as it is written"),
        pytest.param((ONE + TWO).replace(b"\n", b"\r\n"), id="CRLF"),
        pytest.param(b"about\n" + ONE + b"between\n\n" + TWO + b"behind", id="text around"),
        pytest.param(ONE + TWO.rstrip(), id="without the last line end"),
        pytest.param((ONE + TWO).replace(b"\n", b" \t\n"), id="blanks behind"),
    ],
)
def test_blocks(text: bytes) -> None:
    assert pem.read(text) == pem.Text(BLOCKS)


@pytest.mark.parametrize(
    ("text", "what"),
    [
        pytest.param(ONE[:25] + TWO, "has a block without its END in line 1", id="no END"),
        pytest.param(ONE[25:] + TWO, "has an END without its BEGIN in line 1", id="no BEGIN"),
        pytest.param(
            ONE.replace(b"END ONE", b"END TWO") + TWO,
            "has a block without its END in line 1",
            id="another END",
        ),
        pytest.param(
            ONE.replace(b"b25l", b"b2!l") + TWO,
            "has a block whose base64 is damaged in line 1",
            id="damaged",
        ),
        pytest.param(
            b"x: " + ONE + TWO,
            "has text before BEGIN in line 1, so that Envoy Gateway passes over the block",
            id="quoted",
        ),
        pytest.param(
            ONE.replace(b"BEGIN ONE-----", b"BEGIN ONE--") + TWO,
            "has a damaged BEGIN in line 1",
            id="too few dashes",
        ),
    ],
)
def test_a_block_that_readers_pass_over_is_named(text: bytes, what: str) -> None:
    found = pem.read(text)
    assert (found.blocks, [it.what for it in found.flaws]) == (BLOCKS[1:], [what])


@pytest.mark.parametrize(
    ("data", "what"),
    [
        (bytes.fromhex("feedfeed") + b"x" * 30, "is a Java keystore (JKS)"),
        (b"\0\0\0", "is empty"),
        (base64.b64encode(ONE), "is base64 twice"),
        (ONE.decode().encode("utf-16-le"), "is UTF-16"),
        (b"abc", "is text without PEM"),
    ],
)
def test_what_holds_no_block(data: bytes, what: str) -> None:
    found = pem.read(data)
    assert (found.blocks, [it.what for it in found.flaws]) == ((), [what])


def test_what_a_file_says_is_printed_as_one_short_line() -> None:
    [block] = pem.read(ONE.replace(b"ONE", b"\x1b[31m" + b"a" * 100)).blocks
    assert block.label == r"\x1b[31m" + "a" * 35
    assert pem.printable("é\n") == r"é\x0a"
    assert "b25l" not in repr(Block("ONE", b"b25l"))


def test_a_flaw_is_one_line() -> None:
    assert all(
        f"{it.what} {it.fix}".isprintable() for it in vars(pem).values() if isinstance(it, Flaw)
    )
