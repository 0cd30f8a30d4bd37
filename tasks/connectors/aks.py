"""
``@aks/<subscription>[/<group>[/<cluster>]][?<filters>]``: the AKS clusters of a subscription, each
a host of its cluster's name, reached with credentials from Azure instead of a kubeconfig. The
filters are in docs/azure.md.
"""

from __future__ import annotations

from base64 import b64decode
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from pyinfra.api.exceptions import InventoryError
from pyinfra.connectors.base import DataMeta
from typing_extensions import override

from tasks.connectors import kubeconfig
from tasks.connectors.aks_clusters import found, managed
from tasks.connectors.arm import ArmError, session
from tasks.connectors.kube import KubeConnector, KubeData, SignIn, claim_name
from tasks.plans import aks, entries
from tasks.plans.aks import ManagedCluster
from tasks.plans.arm import KINDS, parse
from tasks.plans.entries import Entry, Subscription

if TYPE_CHECKING:
    from tasks.connectors.api import Api, ApiError
    from tasks.connectors.azure import Tokens
    from tasks.connectors.plugin import Plugin


class AksData(KubeData, total=False):
    aks_id: str
    aks_tenant: str | None
    aks_state: str | None


class AksConnector(KubeConnector):
    """
    Like ``@kube``; an entry is all clusters that it asks for, and its data are theirs. What tags
    say stands behind what stands beside the entry.
    """

    data_cls = AksData
    data_meta = {  # noqa: RUF012  # pyinfra's own form
        **KubeConnector.data_meta,
        "aks_id": DataMeta("id of the cluster in Azure Resource Manager"),
        "aks_tenant": DataMeta("Entra ID tenant that signs in to it", None),
        "aks_state": DataMeta("provisioningState when it was listed", None),
    }

    def __init__(self, state: Any, host: Any) -> None:
        super().__init__(state, host)
        self._received: dict[str, Any] | None = None
        self._plugin: Plugin | None = None

    @staticmethod
    @override
    def make_names_data(name: str) -> Iterator[tuple[str, dict[str, Any], list[str]]]:
        """pyinfra asks twice for each entry of an inventory; Azure is asked once."""
        whole = f"@aks/{name or ''}"
        try:
            wanted = entries.entry(name or "")
            subscription, clusters = found(wanted)
        except (ValueError, ArmError) as error:
            raise InventoryError(f"{whole}: {error}") from None
        for it in clusters:
            host = f"{wanted.prefix}{it.name}"
            claim_name(host, it.id, whole, _apart(wanted, it))
            yield host, _data(it, subscription), aks.groups(it, subscription.name)

    @staticmethod
    @override
    def problem(data: Mapping[str, Any]) -> str | None:
        return None

    @override
    def sign_in(self) -> SignIn:
        if self._bearer() is not None:
            return SignIn("Entra ID")
        return SignIn.of(self._config()["users"][0]["user"])

    @property
    def cluster(self) -> ManagedCluster | None:
        """As the run listed it; None where nobody did."""
        try:
            listed = managed(parse(self.data["aks_id"]).subscription)
        except ArmError:
            return None
        return next((it for it in listed if it.id == self.data["aks_id"]), None)

    @override
    def _config(self) -> dict[str, Any]:
        """One call to Azure a cluster and run. Raises ApiError."""
        if self._received is None:
            self._received = _received(self.data["aks_id"], self.data["kube_context"])
        return self._received

    @override
    def _opened(self) -> Api:
        from tasks.connectors.api import Api

        config, bearer = self._config(), self._bearer()
        if bearer is not None:
            config = {**config, "users": [{**config["users"][0], "user": {}}]}
        return Api(config, float(self.data["kube_timeout"]), bearer)

    def _bearer(self) -> _Token | None:
        """None for a cluster with accounts of its own."""
        from tasks.connectors import azure

        user = self._config()["users"][0]["user"]
        if not user.get("exec") and not user.get("auth-provider"):
            return None
        here = azure.settings()
        server = kubeconfig.argument(user, "--server-id")
        scope = here.kubernetes_scope
        if server and not here.own_audience:
            scope = azure.scope(server)
        return _Token(azure.tokens(here), self.data["aks_tenant"], scope)

    @override
    def _for_programs(self) -> dict[str, Any]:
        """Credentials stay in this process; programs ask it for them."""
        from tasks.connectors.plugin import Plugin

        config = self._config()
        if self._plugin is None:
            self._plugin = Plugin(self.scratch, _handed(config, self._bearer()))
        return {**config, "users": [{**config["users"][0], "user": self._plugin.user}]}

    @override
    def disconnect(self) -> None:
        if self._plugin is not None:
            self._plugin.close()
            self._plugin = None
        super().disconnect()

    @override
    def explained(self, error: ApiError) -> str:
        cluster = self.cluster
        if cluster is None:
            return str(error)
        return aks.unreachable(cluster, error.status, str(error))


@dataclass(frozen=True)
class _Token:
    """The token of a tenant, for ``Api``."""

    tokens: Tokens
    tenant: str | None
    scope: str

    def token(self) -> str:
        from tasks.connectors.api import ApiError
        from tasks.connectors.azure import SignInError

        try:
            return self.tokens.get(self.tenant, self.scope)
        except SignInError as error:
            raise ApiError(0, str(error), final=True) from None

    def refused(self, token: str) -> None:
        self.tokens.refused(self.tenant, self.scope, token)


def _apart(wanted: Entry, cluster: ManagedCluster) -> str:
    return (
        "write an entry for each group and give one of them other names: "
        f"@aks/{wanted.subscription}/{cluster.group}?prefix={cluster.group}-"
    )


def _data(cluster: ManagedCluster, subscription: Subscription) -> dict[str, Any]:
    tags = aks.tagged(cluster)
    return {
        "kube_context": cluster.name,
        "aks_id": cluster.id,
        "aks_tenant": cluster.tenant or subscription.tenant,
        "aks_state": cluster.state,
        "aks_tags": tags,
        **{name: aks.value(name, text) for name, text in tags.items()},
    }


def _received(id_: str, name: str) -> dict[str, Any]:
    """The kubeconfig that Azure gives to a user of a cluster. Raises ApiError."""
    from tasks.connectors.api import ApiError

    try:
        answer = session().post(
            f"{id_}/listClusterUserCredential", KINDS["managedClusters"].api_version, format="exec"
        )
        return kubeconfig.received(b64decode(answer["kubeconfigs"][0]["value"]).decode(), name)
    except ArmError as error:
        raise ApiError(0, str(error), final=True) from None
    except (IndexError, KeyError, TypeError, ValueError):
        raise ApiError(
            0, f"Azure sent no kubeconfig for {id_}: az aks get-credentials says why", final=True
        ) from None


def _handed(config: Mapping[str, Any], bearer: _Token | None) -> Callable[[], dict[str, str]]:
    """What a program that asks is given: the status of an ExecCredential."""

    def token() -> dict[str, str]:
        assert bearer is not None
        held = bearer.tokens.held(bearer.tenant, bearer.scope)
        until = datetime.fromtimestamp(held.renew, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return {"token": held.token, "expirationTimestamp": until}

    def account() -> dict[str, str]:
        user = config["users"][0]["user"]
        given = {
            "token": user.get("token"),
            "clientCertificateData": _plain(user.get("client-certificate-data")),
            "clientKeyData": _plain(user.get("client-key-data")),
        }
        return {key: it for key, it in given.items() if it}

    return account if bearer is None else token


def _plain(text: str | None) -> str | None:
    return None if text is None else b64decode(text).decode()
