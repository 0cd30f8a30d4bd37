"""The age key of a lab: what its clusters are backed up to, and what opens that again."""

from pathlib import Path

from tasks.lab import state


def make(folder: Path) -> None:
    """Make ``age-identity`` in this folder, once, as age-keygen writes it."""
    from pyrage import x25519  # type: ignore[import-untyped]

    if identity(folder) is None:
        made = x25519.Identity.generate()
        text = f"# public key: {made.to_public()}\n{made}\n"
        state.write(folder / "age-identity", text)


def identity(folder: Path) -> Path | None:
    """The file, or ``None`` in a lab that came up before it had one."""
    file = folder / "age-identity"
    return file if file.exists() else None


def recipient(folder: Path) -> str | None:
    """The public half, such as "age1ql3z7h..."."""
    file = identity(folder)
    return file.read_text().splitlines()[0].rpartition(" ")[2] if file else None
