"""
Who this machine is for Azure, where Azure is, and tokens: one a tenant and audience, shared by all
clusters of a run and renewed before it ends. No token is written anywhere.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from pyinfra.api.exceptions import InventoryError

from tasks.plans import entra

#: AKS's own application in Entra ID, in every cloud (AKS docs, "Use kubelogin").
KUBERNETES = "6dae42f8-4368-4678-94ff-3960e28e3630"
#: Seconds before its end that a token is renewed. MSAL gives a token that ends within 300 s no
#: more, so that what is asked for then is a new one.
BEFORE_END = 290
#: Seconds until a renewal that failed is tried again, while the old token is still good.
TRY_AGAIN = 30
#: Seconds to connect to Entra ID and to wait for its answer, and how often it is asked again.
CONNECT, READ, RETRIES = 5, 30, 3
#: Seconds for a program such as az to give a token.
PROGRAM = 30


@dataclass(frozen=True)
class Cloud:
    authority: str
    arm: str
    audience: str


#: Azure docs, "Compare Azure Government and global Azure", "Azure operated by 21Vianet".
CLOUDS: Mapping[str, Cloud] = {
    "AzureCloud": Cloud(
        "https://login.microsoftonline.com",
        "https://management.azure.com",
        "https://management.azure.com",
    ),
    "AzureUSGovernment": Cloud(
        "https://login.microsoftonline.us",
        "https://management.usgovcloudapi.net",
        "https://management.core.usgovcloudapi.net",
    ),
    "AzureChinaCloud": Cloud(
        "https://login.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
        "https://management.chinacloudapi.cn",
    ),
}


@dataclass(frozen=True)
class Settings:
    """
    Where Azure is.

    + authority: Entra ID; + own_authority: it was named, so Microsoft's directory of authorities is
      not asked whether it is one
    + arm, arm_scope: Azure Resource Manager, and what its tokens are for
    + kubernetes_scope: what tokens for API servers are for; + own_audience: it was named
    """

    authority: str
    own_authority: bool
    arm: str
    arm_scope: str
    kubernetes_scope: str
    own_audience: bool


class SignInError(Exception):
    """No token; the message is one line that says what to do. + code: such as AADSTS7000222"""

    def __init__(self, code: str, line: str) -> None:
        super().__init__(line)
        self.code = code


def settings() -> Settings:
    """
    From the environment alone: clusters are listed before there is any data of an inventory.
    Raises InventoryError, in one line.
    """
    name = os.environ.get("AZURE_CLOUD") or "AzureCloud"
    cloud = CLOUDS.get(name)
    if cloud is None:
        raise InventoryError(f"AZURE_CLOUD is {name!r}: set it to one of {', '.join(CLOUDS)}")
    authority, own_authority = _url("AZURE_AUTHORITY_HOST", cloud.authority)
    arm, own_arm = _url("AZURE_RESOURCE_MANAGER_URL", cloud.arm)
    audience = os.environ.get("AZURE_RESOURCE_MANAGER_AUDIENCE") or (
        arm if own_arm else cloud.audience
    )
    kubernetes = os.environ.get("AZURE_KUBERNETES_AUDIENCE") or ""
    return Settings(
        authority,
        own_authority,
        arm,
        scope(audience),
        scope(kubernetes or KUBERNETES),
        bool(kubernetes),
    )


def scope(audience: str) -> str:
    """Such as "6dae42f8-4368-4678-94ff-3960e28e3630/.default"."""
    return f"{audience.rstrip('/')}/.default"


def _url(variable: str, otherwise: str) -> tuple[str, bool]:
    """What a variable says, and whether it says anything."""
    text = (os.environ.get(variable) or "").rstrip("/")
    if not text:
        return otherwise, False
    if "://" not in text and variable == "AZURE_AUTHORITY_HOST":  # azure-identity takes a host too
        text = f"https://{text}"
    if not text.startswith("https://") or len(text) == len("https://"):
        raise InventoryError(f"{variable} is {text!r}: it must be an address such as {otherwise}")
    return text, True


@dataclass
class _Held:
    """+ ends: when it is of no use; + renew: from when on it is renewed, both of ``time.time``"""

    token: str
    ends: float
    renew: float


@dataclass
class Tokens:
    """
    The tokens of whoever this machine is: a service principal in the environment, a workload
    identity, a managed identity, az login, in azure-identity's own order. Its tools that open a
    browser or a broker are left out.
    """

    settings: Settings
    _credential: Any = None
    _held: dict[tuple[str | None, str], _Held] = field(default_factory=dict)
    _failed: dict[tuple[str | None, str], tuple[float, SignInError]] = field(default_factory=dict)
    _lock: Any = field(default_factory=threading.Lock)

    def get(self, tenant: str | None, scope: str) -> str:
        """
        Those who ask while it is fetched wait for the one, and fail with it. Raises SignInError.

        + tenant: None is the identity's own
        """
        return self.held(tenant, scope).token

    def held(self, tenant: str | None, scope: str) -> _Held:
        held = self._held.get((tenant, scope))
        if held is not None and time.time() < held.renew:
            return held
        asked = time.monotonic()
        with self._lock:
            held = self._held.get((tenant, scope))
            if held is not None and time.time() < held.renew:
                return held
            failed, why = self._failed.get((tenant, scope), (0.0, None))
            if why is not None and asked < failed:
                raise SignInError(why.code, str(why))
            try:
                held = self._fetched(tenant, scope)
            except SignInError as error:
                if held is None or held.ends <= time.time():
                    self._failed[tenant, scope] = (time.monotonic(), error)
                    raise
                held.renew = time.time() + TRY_AGAIN
            self._held[tenant, scope] = held
            return held

    def refused(self, tenant: str | None, scope: str, token: str) -> None:
        """
        Somebody answered 401 to this token: the next that asks gets a new one, and not from what
        azure-identity keeps.
        """
        with self._lock:
            held = self._held.get((tenant, scope))
            if held is not None and held.token == token:
                del self._held[tenant, scope]
                self._credential = None

    def _fetched(self, tenant: str | None, scope: str) -> _Held:
        from azure.core.exceptions import AzureError

        options = {"tenant_id": tenant} if tenant else {}
        try:
            if self._credential is None:
                self._credential = _credential(self.settings)
            now = time.time()
            found = self._credential.get_token(scope, **options)
        except (AzureError, OSError, ValueError) as error:
            why = entra.explained(str(error), self.settings.authority)
            raise SignInError(why.code, why.line) from None
        lasts = max(found.expires_on - now, 0.0)
        return _Held(found.token, found.expires_on, found.expires_on - min(BEFORE_END, lasts / 5))


@cache
def tokens(settings: Settings) -> Tokens:
    """One a run and place."""
    return Tokens(settings)


def token(tenant: str | None, scope: str) -> str:
    """
    Such as ``token(None, settings().arm_scope)``. Raises SignInError, and InventoryError where the
    settings are wrong.
    """
    return tokens(settings()).get(tenant, scope)


def credential() -> Any:
    """
    The same tokens for clients of the SDK, which get SignInError from it. Raises InventoryError
    where the settings are wrong.
    """
    from tasks.connectors.arm_pipeline import Shared

    return Shared(tokens(settings()))


def first_line(error: BaseException) -> str:
    """What an SDK says, without the ids and traces that follow."""
    text = str(error).strip()
    return " ".join(text.splitlines()[0].split())[:200] if text else type(error).__name__


def _credential(settings: Settings) -> Any:
    import logging

    from azure.identity import DefaultAzureCredential

    # Which credentials a chain tried is in its error; without a handler it would be printed too.
    logging.getLogger("azure").addHandler(logging.NullHandler())
    return DefaultAzureCredential(
        authority=settings.authority,
        disable_instance_discovery=settings.own_authority,
        additionally_allowed_tenants=["*"],
        exclude_shared_token_cache_credential=True,
        exclude_visual_studio_code_credential=True,
        exclude_broker_credential=True,
        exclude_interactive_browser_credential=True,
        connection_timeout=CONNECT,
        read_timeout=READ,
        retry_total=RETRIES,
        process_timeout=PROGRAM,
    )
