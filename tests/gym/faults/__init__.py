"""All faults of the gym, by layer, from the client to what controls the proxies."""

from __future__ import annotations

from tests.gym.fault import Fault
from tests.gym.faults import applications, control_plane, gateways, policies, routes

EVERY: list[Fault] = [
    *gateways.EVERY,
    *routes.EVERY,
    *applications.EVERY,
    *policies.EVERY,
    *control_plane.EVERY,
]
