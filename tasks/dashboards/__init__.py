"""
Typed source of the dashboards. ``python -m tasks.dashboards`` writes what deploys read:
templates/monitoring/dashboards/<name>.json.
"""

from __future__ import annotations

from tasks.dashboards.certificates import CERTIFICATES
from tasks.dashboards.control_plane import CONTROL_PLANE
from tasks.dashboards.fleet import FLEET
from tasks.dashboards.gateway import GATEWAY
from tasks.dashboards.routes import ROUTES_AND_BACKENDS
from tasks.dashboards.source import Dashboard

DASHBOARDS: tuple[Dashboard, ...] = (
    FLEET,
    GATEWAY,
    ROUTES_AND_BACKENDS,
    CERTIFICATES,
    CONTROL_PLANE,
)


def fault_panels() -> dict[tuple[str, str], dict[str, str]]:
    """
    The queries that say nothing of a healthy Gateway with plain traffic: by title of dashboard and
    panel, by legend when they are empty, such as {"refused": "no proxy has refused anything"}.
    """
    return {
        (dashboard.title, panel.title): found
        for dashboard in DASHBOARDS
        for panel in dashboard.panels
        if (
            found := {
                it.legend: it.empty or panel.empty
                for it in panel.queries
                if it.empty or panel.empty
            }
        )
    }
