"""
The lab as a place for rehearsals: its last cluster is empty, and upgrades of the others are tried
there. ``ENVOYFLEET_LAB`` names another lab.
"""

import runpy
from pathlib import Path

_lab = runpy.run_path(str(Path(__file__).with_name("lab.py")))
_sources = _lab["clusters"][:-1]
_target, _data = _lab["clusters"][-1]
_names = [_host.removeprefix("@kube/") for _host, _ in _sources]

clusters = [*_sources, (_target, {**_data, "rehearsal_source": _names})]
