"""The first cluster of a lab with Azure, whose Gateway wants a public IP that outlives it."""

import runpy
from pathlib import Path

_lab = runpy.run_path(str(Path(__file__).parents[3] / "inventory" / "lab.py"))
_ip = {"name": "moved", "resource_group": _lab["_azure"]["groups"]["addresses"]}
_data = _lab["_shared"]
_place = f"@aks/{_lab['_azure']['subscription']}/{_lab['_azure']['groups']['clusters']}"
clusters = [
    (
        f"{_place}/{_lab['_lab']['clusters'][0]['name']}",
        {**_data, "gateways": [{**it, "public_ip": _ip} for it in _data["gateways"]]},
    )
]
