"""
PEM text, read as Go's encoding/pem reads it, for that is what Envoy Gateway does: a block begins at
the start of a line, and one that is damaged is passed over without a word. Here it is named.
"""

from __future__ import annotations

import base64
import binascii
import re
from dataclasses import dataclass, field

BEGIN, END, DASHES = b"-----BEGIN", b"-----END", b"-----"
#: Object identifiers inside a PFX and a P7B, as DER writes them.
_PKCS7_DATA, _PKCS7_SIGNED = (bytes.fromhex(f"06092a864886f70d01070{it}") for it in (1, 2))
_LABEL = 40
_HEADER = re.compile(rb"[A-Za-z0-9-]+\s*:")
_BASE64 = re.compile(rb"[A-Za-z0-9+/=\s]+")


@dataclass(frozen=True)
class Block:
    """
    + label: such as "CERTIFICATE"; + encrypted: whether its headers say so ("Proc-Type:
      4,ENCRYPTED"), as old private keys do
    """

    label: str
    der: bytes = field(repr=False)
    encrypted: bool = False


@dataclass(frozen=True)
class Flaw:
    """+ what: such as "is empty", after the name of what was read; + fix: how to get it right"""

    what: str
    fix: str


@dataclass(frozen=True)
class Text:
    """+ flaws: of blocks that a reader passes over, or why there is no block at all"""

    blocks: tuple[Block, ...]
    flaws: tuple[Flaw, ...] = ()


def read(data: bytes) -> Text:
    """The blocks of a text. Never raises."""
    found: list[Block] = []
    flaws: list[Flaw] = []
    lines = [it.rstrip(b" \t\r") for it in data.split(b"\n")]
    number = 0
    while number < len(lines):
        if BEGIN in lines[number]:
            end = _end(lines, number)
            read = _block(lines, number, end)
            (found if isinstance(read, Block) else flaws).append(read)  # type: ignore[arg-type]
            number = end
        elif END in lines[number]:
            flaws.append(Flaw(f"has an END without its BEGIN in line {number + 1}", _AGAIN))
        number += 1
    if not found:
        return Text((), (_no_pem(data) or (flaws or [_NO_BLOCK])[0],))
    return Text(tuple(found), tuple(flaws))


_AGAIN = "take the file once more from where it was made"
_NO_BLOCK = Flaw("is text without PEM", "give the text that begins with a line -----BEGIN ...-----")


def _end(lines: list[bytes], begin: int) -> int:
    """The line that ends a block: its END, or the one before the next BEGIN, or the last one."""
    for number in range(begin, len(lines)):
        if END in lines[number]:
            return number
        if number > begin and BEGIN in lines[number]:
            return number - 1
    return len(lines) - 1


def _block(lines: list[bytes], begin: int, end: int) -> Block | Flaw:
    first, last = lines[begin], lines[end]
    where = f"in line {begin + 1}"
    if not first.startswith(BEGIN):
        return _not_at_the_start(first, where)
    if first.count(DASHES) > 2:
        return Flaw(
            f"has a block on one line {where}, without the line breaks of PEM",
            'keep the line breaks: quote a shell variable ("$pem"), use | in YAML',
        )
    label = first[len(BEGIN) + 1 : -len(DASHES)]
    if not first.endswith(DASHES) or not first.startswith(BEGIN + b" "):
        return Flaw(f"has a damaged BEGIN {where}", _AGAIN)
    if last != END + b" " + label + DASHES:
        return Flaw(f"has a block without its END {where}", f"it is cut off: {_AGAIN}")
    headers, body = _parts(lines[begin + 1 : end])
    try:
        der = base64.b64decode(b"".join(body.split()), validate=True)
    except (binascii.Error, ValueError):
        return Flaw(f"has a block whose base64 is damaged {where}", _AGAIN)
    name = printable(label[:_LABEL].decode("ascii", "replace"))
    return Block(name, der, b"ENCRYPTED" in headers)


def printable(text: str) -> str:
    """One line that a terminal prints as it is: what a certificate says is anybody's text."""
    if text.isprintable():
        return text
    return "".join(it if it.isprintable() else f"\\x{ord(it):02x}" for it in text)


def _not_at_the_start(line: bytes, where: str) -> Flaw:
    before = line.partition(BEGIN)[0]
    if before.startswith((b"\xef\xbb\xbf", b"\xff\xfe", b"\xfe\xff")):
        return _BOM
    if not before.strip():
        return Flaw(
            f"has blanks before BEGIN {where}, so that Envoy Gateway passes over the block",
            "remove the indentation, such as with: sed 's/^[[:blank:]]*//' IN > OUT",
        )
    return Flaw(
        f"has text before BEGIN {where}, so that Envoy Gateway passes over the block",
        "put -----BEGIN at the start of a line of its own",
    )


_BOM = Flaw(
    "begins with a byte order mark, so that Envoy Gateway passes over the first block",
    r"save it as UTF-8 without BOM, such as with: sed '1s/^\xEF\xBB\xBF//' IN > OUT",
)


def _parts(lines: list[bytes]) -> tuple[bytes, bytes]:
    """Headers such as "Proc-Type: 4,ENCRYPTED", and the base64 below them."""
    count = 0
    while count < len(lines) and _HEADER.match(lines[count]):
        count += 1
    return b"\n".join(lines[:count]), b"\n".join(lines[count:])


def _no_pem(data: bytes) -> Flaw | None:
    """What it is that holds no PEM, or None where it is anything."""
    if not data.strip(b"\0 \t\r\n"):
        return Flaw("is empty", "give the PEM text, which begins with a line -----BEGIN ...-----")
    if data[:2] in (b"\xff\xfe", b"\xfe\xff") or data[1:12:2] == b"\0" * 6:
        return Flaw("is UTF-16", "save it as UTF-8 without BOM: iconv -f UTF-16 -t UTF-8 IN > OUT")
    if rb"\n" in data and BEGIN in data:
        return Flaw(
            r"has \n as two characters where line breaks belong",
            "write real line breaks, such as with: printf '%b' \"$pem\"",
        )
    if b"\r" in data and b"\n" not in data and BEGIN in data:
        return Flaw("has line ends of an old Mac (CR alone)", r"use: tr '\r' '\n' < IN > OUT")
    return _binary(data) or _bare_base64(data)


def _binary(data: bytes) -> Flaw | None:
    if data.startswith(bytes.fromhex("feedfeed")):
        return Flaw(
            "is a Java keystore (JKS)",
            "use: keytool -importkeystore -srckeystore IN -destkeystore x.pfx -deststoretype "
            "pkcs12, then: openssl pkcs12 -in x.pfx -nodes",
        )
    if data[:1] != b"\x30" or len(data) < 16 or data[1] not in (0x80, 0x81, 0x82, 0x83):
        return None
    if _PKCS7_SIGNED in data[:64]:
        return Flaw(
            "is PKCS7 (P7B) in DER, not PEM", "use: openssl pkcs7 -inform der -in IN -print_certs"
        )
    if _PKCS7_DATA in data[:64]:
        return Flaw(
            "is a PFX (PKCS12), not PEM",
            "take both parts out: openssl pkcs12 -in x.pfx -nodes (with -legacy for an old one)",
        )
    return Flaw(
        "is DER, not PEM",
        "use: openssl x509 -inform der -in IN (a certificate), openssl pkey -inform der -in IN "
        "(a key)",
    )


def _bare_base64(data: bytes) -> Flaw | None:
    if not _BASE64.fullmatch(data):
        return None
    try:
        inside = base64.b64decode(b"".join(data.split()), validate=True)
    except (binascii.Error, ValueError):
        return None
    if BEGIN in inside:
        return Flaw(
            "is base64 twice", "encode it once, or put the PEM text into stringData as it is"
        )
    if inside[:1] == b"\x30":
        return Flaw(
            "is base64 without the lines BEGIN and END of PEM",
            "add -----BEGIN CERTIFICATE----- (or the key's) before it and END behind, 64 "
            "characters a line",
        )
    return None
