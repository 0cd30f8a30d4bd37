"""
Taking a lab down, whatever is left of it.

Nothing here trusts the lab's own files: processes are found by control group, interfaces by alias,
namespaces by name, mounts by path. So it works after any part of the lab was killed or half
written, and a second time.
"""

from pathlib import Path

from tasks.lab import network, state
from tasks.lab.processes import hierarchies, kill_group, remove_group
from tasks.lab.progress import LabError

GROUPS = "/envoyfleet"


def down(name: str) -> bool:
    """Remove every trace of a lab; whether there was any."""
    group = f"{GROUPS}/{name}"
    root = state.LABS / name
    traces = [path for path in hierarchies() if (path / group.lstrip("/")).exists()]
    links = [link for link, alias in network.links().items() if alias == f"envoyfleet/{name}"]
    spaces = network.namespaces(name)
    found = bool(traces or links or spaces or root.exists())

    left = kill_group(group)
    if left:
        raise LabError(f"lab {name!r}: processes {left} do not end, even when killed")
    for path in reversed(network.mounts()):
        if path == str(root) or path.startswith(f"{root}/"):
            unmount(path)
    for space in spaces:
        network.run("ip", "netns", "delete", space)
    for link in links:
        remove_link(link)
    remove_group(group)
    state.remove_folder(name)
    remove_when_empty()
    return found


def remove_link(link: str) -> None:
    """Delete an interface, unless it goes by itself: a cable does, moments after its namespace."""
    try:
        network.run("ip", "link", "delete", link)
    except LabError:
        if link in network.links():
            raise


def unmount(path: str) -> None:
    """Unmount, also where something still uses it."""
    try:
        network.run("umount", path)
    except LabError:
        network.run("umount", "--lazy", path)


def remove_when_empty() -> None:
    """The folders all labs have in common, where no lab is left to use them."""
    if state.LABS.exists():
        return
    remove_group(GROUPS)
    for folder in network.OWN_FOLDERS:
        try:
            Path(folder).rmdir()
        except OSError:
            continue
