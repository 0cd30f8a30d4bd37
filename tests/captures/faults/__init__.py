"""The faults, by the layer that they are in."""

from importlib import import_module

LAYERS = ("connections", "routing", "policies", "endpoints", "upstream", "answers", "mixed")


def load() -> None:
    """Have every layer register its faults."""
    for it in LAYERS:
        import_module(f"{__name__}.{it}")
