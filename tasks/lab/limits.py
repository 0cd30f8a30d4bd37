"""What a lab needs more of than this machine allows by default."""

from pathlib import Path

from tasks.lab.progress import say

# setting of the kernel -> (what it must be at least, why); 128 instances do for four clusters
AT_LEAST = {
    "fs/inotify/max_user_instances": (4096, "kubelets and containerds watch files"),
    "fs/inotify/max_user_watches": (524288, "kubelets and containerds watch files"),
}


def raise_limits() -> None:
    """Raise what is too low, until the next start of the machine."""
    for name, (least, why) in AT_LEAST.items():
        setting = Path("/proc/sys") / name
        if int(setting.read_text()) < least:
            setting.write_text(str(least))
            say(f"raised {name.replace('/', '.')} to {least}, because {why}")
