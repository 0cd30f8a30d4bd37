"""The age key of a lab: made once, for its owner alone, both halves in one file."""

from __future__ import annotations

from pathlib import Path

from pyrage import decrypt, encrypt, x25519  # type: ignore[import-untyped]

from tasks.lab import agekey


def test_a_lab_has_one_key_for_good(tmp_path: Path) -> None:
    assert (agekey.identity(tmp_path), agekey.recipient(tmp_path)) == (None, None)
    agekey.make(tmp_path)
    file, public = agekey.identity(tmp_path), agekey.recipient(tmp_path)
    assert file is not None
    assert oct(file.stat().st_mode & 0o777) == "0o600"
    secret = x25519.Identity.from_str(file.read_text().splitlines()[1])
    sealed = encrypt(b"x", [x25519.Recipient.from_str(str(public))])
    assert decrypt(sealed, [secret]) == b"x"
    agekey.make(tmp_path)
    assert agekey.recipient(tmp_path) == public
