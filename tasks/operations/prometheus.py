"""A Prometheus, inside of the cluster or at an address: its rules, its targets, its series."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyinfra.api.exceptions import DeployError

from tasks.facts.prometheus import ServiceAnswer, answer_of
from tasks.fleet.guard import fact
from tasks.plans import back_ends

Object = Mapping[str, Any]


@dataclass(frozen=True)
class Prometheus:
    """+ place: an address, or such as "monitoring/prometheus-operated:9090" """

    place: str

    @property
    def tells_rules(self) -> bool:
        """Azure answers queries alone (Azure docs, "Query Prometheus metrics using the API")."""
        return not self.place.rstrip("/").endswith(back_ends.AZURE_QUERIES)

    def rules(self) -> list[dict[str, Any]]:
        """Its groups. Raises DeployError."""
        found: list[dict[str, Any]] = self._asked("/api/v1/rules")["groups"]
        return found

    def targets(self) -> list[dict[str, Any]]:
        """Those that it scrapes. Raises DeployError."""
        found: list[dict[str, Any]] = self._asked("/api/v1/targets", state="active")[
            "activeTargets"
        ]
        return found

    def query(self, expression: str) -> list[tuple[dict[str, str], float]]:
        """The labels and value of each series of an instant vector. Raises DeployError."""
        answer = self._asked("/api/v1/query", query=expression)
        return [(it["metric"], float(it["value"][1])) for it in answer["result"]]

    def labels(self, matcher: str) -> list[str]:
        """Names of labels of series such as of '{job="envoy-proxy"}'. Raises DeployError."""
        found: list[str] = self._asked("/api/v1/labels", **{"match[]": matcher})
        return found

    def _asked(self, path: str, **query: str) -> Any:
        return asked(self.place, path, **query)["data"]


def asked(place: str, path: str, **query: str) -> Any:
    """GET of a Service or an address, parsed. Raises DeployError."""
    if back_ends.is_url(place):
        answer = answer_of(place, path, query)
    else:
        answer = fact(ServiceAnswer, place=place, path=path, query=query)
    if not isinstance(answer, dict):
        raise DeployError(f"{place}: {path}: the answer is no object of JSON")
    return answer
