"""
Entra ID: what it says of itself, and the tokens it gives (Microsoft identity platform docs,
"OpenID Connect", "client credentials flow", and "error codes" for the AADSTS numbers).
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from cryptography.hazmat.primitives.asymmetric import rsa

from tasks.lab.azure import tokens
from tasks.lab.azure.answers import Answer, Request
from tasks.lab.azure.proofs import Aadsts, Proof
from tasks.lab.azure.state import Azure, Identity

KUBERNETES = "6dae42f8-4368-4678-94ff-3960e28e3630"
MANAGEMENT = (
    "https://management.azure.com",
    "https://management.core.windows.net",
    "https://management.usgovcloudapi.net",
    "https://management.core.usgovcloudapi.net",
    "https://management.chinacloudapi.cn",
)
#: Blob Storage takes tokens of version 1, whose issuer is the same for every authority.
STORAGE, ISSUER_V1 = "https://storage.azure.com", "https://sts.windows.net"
OTHERS = (
    KUBERNETES,
    STORAGE,
    "https://vault.azure.net",
    "https://graph.microsoft.com",
)


_CONFIGURATION = (".well-known/openid-configuration", "v2.0/.well-known/openid-configuration")
_KEYS = ("discovery/v2.0/keys", "discovery/keys")
_TOKEN = ("oauth2/v2.0/token", "oauth2/token")


def _endpoint(path: str) -> tuple[str, str]:
    """Tenant and the rest of a path."""
    tenant, _, rest = path.strip("/").partition("/")
    return tenant, rest


@dataclass
class Entra:
    """
    + base: of its address, such as "https://127.0.0.1:8443"; + lifetime: of a token, in seconds
    """

    azure: Azure
    key: rsa.RSAPrivateKey
    base: str
    lifetime: int = 3600
    _checked: dict[str, dict[str, Any]] = field(default_factory=dict)

    def answers(self, request: Request) -> bool:
        """Whether a path is one of its own."""
        return _endpoint(request.path)[1] in (*_CONFIGURATION, *_KEYS, *_TOKEN)

    def answer(self, request: Request) -> Answer:
        tenant, endpoint = _endpoint(request.path)
        if endpoint in _CONFIGURATION:
            return Answer(body=self.configuration(tenant))
        if endpoint in _KEYS:
            return Answer(body={"keys": [tokens.public(self.key.public_key())]})
        try:
            return Answer(body=self.token(tenant, request.body or {}))
        except Aadsts as refusal:
            return refusal.answer(self.azure.clock())

    def issuer(self, tenant: str) -> str:
        return f"{self.base}/{tenant}/v2.0"

    def configuration(self, tenant: str) -> dict[str, Any]:
        here = f"{self.base}/{tenant}"
        return {
            "issuer": self.issuer(tenant),
            "authorization_endpoint": f"{here}/oauth2/v2.0/authorize",
            "token_endpoint": f"{here}/oauth2/v2.0/token",
            "device_authorization_endpoint": f"{here}/oauth2/v2.0/devicecode",
            "jwks_uri": f"{here}/discovery/v2.0/keys",
            "token_endpoint_auth_methods_supported": ["client_secret_post", "private_key_jwt"],
            "response_types_supported": ["code", "id_token", "token"],
            "subject_types_supported": ["pairwise"],
            "id_token_signing_alg_values_supported": ["RS256"],
            "scopes_supported": ["openid", "profile", "email", "offline_access"],
            "claims_supported": ["sub", "iss", "aud", "exp", "iat", "oid", "tid", "groups"],
        }

    def token(self, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """The answer of the token endpoint; raises `Aadsts`."""
        self._check_tenant(tenant)
        grant = form.get("grant_type")
        if grant == "refresh_token":
            return self._refreshed(tenant, form)
        if grant != "client_credentials":
            raise Aadsts(
                70003,
                "unsupported_grant_type",
                f"The app requested an unsupported grant type '{grant}'.",
            )
        identity = self._identity(tenant, form)
        Proof(self.base, tenant, identity, self.azure.clock()).check(form)
        resource = form.get("resource")  # of the older endpoint
        scope = f"{resource}/.default" if resource else form.get("scope", "")
        return self._given(identity, self.audience(tenant, scope))

    def _given(self, identity: Identity, audience: str) -> dict[str, Any]:
        return {
            "token_type": "Bearer",
            "expires_in": self.lifetime,
            "ext_expires_in": self.lifetime,
            "access_token": self.access(identity, audience),
        }

    def refresh_token(self, identity: Identity, lifetime: int = 90 * 86400) -> str:
        """What a user gets a token with, without signing in again."""
        ends = int(self.azure.clock()) + lifetime
        return tokens.signed({"refreshes": identity.object_id, "exp": ends}, self.key)

    def _refreshed(self, tenant: str, form: Mapping[str, str]) -> dict[str, Any]:
        """Raises `Aadsts`."""
        text = form.get("refresh_token", "")
        try:
            tokens.check(text, self.key.public_key())
        except tokens.BadToken:
            raise Aadsts(
                70000, "invalid_grant", "Provided grant is invalid or malformed."
            ) from None
        claims = tokens.read(text)[1]
        identity = self.azure.by_object(claims.get("refreshes", ""))
        if identity is None or claims["exp"] <= self.azure.clock():
            raise Aadsts(
                700082, "invalid_grant", "The refresh token has expired due to inactivity."
            )
        scopes = [it for it in form.get("scope", "").split() if "/" in it]
        audience = self.audience(tenant, scopes[0] if scopes else "")
        client, user = form.get("client_id", ""), {"uid": identity.object_id, "utid": tenant}
        return {
            **self._given(identity, audience),
            "scope": " ".join(scopes),
            "refresh_token": self.refresh_token(identity),
            "id_token": self.access(identity, client),
            "client_info": tokens.encoded(json.dumps(user).encode()),
        }

    def access(self, identity: Identity, audience: str, lifetime: int | None = None) -> str:
        """A token of an identity for an audience."""
        now = int(self.azure.clock())
        v1 = f"{ISSUER_V1}/{identity.tenant}/"
        issuer = v1 if audience == STORAGE else self.issuer(identity.tenant)
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": issuer,
            "iat": now,
            "nbf": now,
            "exp": now + (self.lifetime if lifetime is None else lifetime),
            "appid": identity.client_id,
            "azp": identity.client_id,
            "idtyp": "app",
            "oid": identity.object_id,
            "sub": identity.object_id,
            "tid": identity.tenant,
            "uti": uuid.uuid4().hex,
            "ver": "2.0",
        }
        if identity.groups:
            claims["groups"] = list(identity.groups)
        return tokens.signed(claims, self.key)

    def audience(self, tenant: str, scope: str) -> str:
        """What a scope such as "https://management.azure.com//.default" asks for."""
        resource = scope.split(" ")[0].removesuffix("/.default")
        plain = resource.rstrip("/")
        if not scope.split(" ")[0].endswith("/.default") and "/" not in resource:
            raise Aadsts(
                1002012,
                "invalid_scope",
                f"The provided value for scope {scope} is not valid. Client credential flows must "
                "have a scope value with /.default suffixed to the resource identifier "
                "(application ID URI).",
            )
        if plain in (*MANAGEMENT, *OTHERS, self.base) or ".vault." in plain:
            return resource
        raise Aadsts(
            500011,
            "invalid_resource",
            f"The resource principal named {plain} was not found in the tenant named {tenant}. "
            "This can happen if the application has not been installed by the administrator of "
            "the tenant or consented to by any user in the tenant.",
        )

    def caller(self, token: str) -> dict[str, Any]:
        """The claims of a token for ARM; raises `tokens.BadToken`."""
        claims = self._checked.get(token)
        if claims is None:
            tokens.check(token, self.key.public_key())
            claims = self._checked[token] = tokens.read(token)[1]
        if claims["exp"] <= self.azure.clock():
            raise tokens.BadToken("expired")
        if claims["aud"].rstrip("/") not in (*MANAGEMENT, self.base):
            raise tokens.BadToken("audience")
        return claims

    def _check_tenant(self, tenant: str) -> None:
        known = {self.azure.tenant, *(it.tenant for it in self.azure.identities.values())}
        if tenant.lower() not in {it.lower() for it in known}:
            raise Aadsts(
                90002,
                "invalid_request",
                f"Tenant '{tenant}' not found. Check to make sure you have the correct tenant ID "
                "and are signing into the correct cloud. This may happen if there are no active "
                "subscriptions for the tenant.",
            )

    def _identity(self, tenant: str, form: Mapping[str, str]) -> Identity:
        client = form.get("client_id", "")
        found = self.azure.by_client(client)
        if found is None or found.tenant.lower() != tenant.lower():
            raise Aadsts(
                700016,
                "unauthorized_client",
                f"Application with identifier '{client}' was not found in the directory "
                f"'{tenant}'. This can happen if the application has not been installed by the "
                "administrator of the tenant or consented to by any user in the tenant. You may "
                "have sent your authentication request to the wrong tenant.",
            )
        return found
