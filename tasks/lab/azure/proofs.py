"""
How a client proves who it is, and why it cannot sign in (Microsoft identity platform docs, "error
codes" for the AADSTS numbers, "certificate credentials" for the tokens that a client signs).
"""

from __future__ import annotations

import datetime
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from tasks.lab.azure import tokens
from tasks.lab.azure.answers import Answer
from tasks.lab.azure.state import Identity

AUDIENCE = "api://AzureADTokenExchange"


class Aadsts(Exception):
    """Why somebody cannot sign in."""

    def __init__(self, number: int, error: str, text: str, status: int = 400) -> None:
        super().__init__(f"AADSTS{number}: {text}")
        self.number, self.error, self.text, self.status = number, error, text, status

    def answer(self, now: float) -> Answer:
        trace, correlation = str(uuid.uuid4()), str(uuid.uuid4())
        when = datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%d %H:%M:%SZ")
        said = f"{self} Trace ID: {trace} Correlation ID: {correlation} Timestamp: {when}"
        body = {
            "error": self.error,
            "error_description": said,
            "error_codes": [self.number],
            "timestamp": when,
            "trace_id": trace,
            "correlation_id": correlation,
        }
        return Answer(self.status, body)


@dataclass(frozen=True)
class Proof:
    """
    How a client shows that it is an identity.

    + base: of Entra ID's own address; + now: seconds since the epoch
    """

    base: str
    tenant: str
    identity: Identity
    now: float

    def check(self, form: Mapping[str, str]) -> None:
        """Raises `Aadsts`."""
        if "client_assertion" in form:
            self._assertion(form["client_assertion"])
        elif "client_secret" in form:
            self._secret(form["client_secret"])
        else:
            raise Aadsts(
                7000218,
                "invalid_client",
                "The request body must contain the following parameter: 'client_assertion' or "
                "'client_secret'.",
                status=401,
            )

    def _secret(self, secret: str) -> None:
        identity = self.identity
        if identity.secret is None or secret != identity.secret:
            raise self._refused(
                7000215,
                "Invalid client secret provided. Ensure the secret being sent in the request is "
                "the client secret value, not the client secret ID, for a secret added to app "
                f"'{identity.client_id}'.",
            )
        if identity.secret_ends is not None and identity.secret_ends <= self.now:
            raise self._refused(
                7000222,
                f"The provided client secret keys for app '{identity.client_id}' are expired. "
                "Visit the Azure portal to create new keys for your app.",
            )

    def _assertion(self, text: str) -> None:
        try:
            header, claims = tokens.read(text)
        except tokens.BadToken:
            raise Aadsts(50027, "invalid_request", "JWT token is invalid or malformed.") from None
        if claims.get("iss") == self.identity.client_id:
            self._certificate(text, header, claims)
        else:
            self._federated(text, claims)
        if claims.get("exp", 0) <= self.now:
            raise self._refused(
                700024,
                "Client assertion is not within its valid time range. Current time: "
                f"{_moment(self.now)}, assertion valid from {_moment(claims.get('nbf', 0))}, "
                f"expiry time of assertion {_moment(claims.get('exp', 0))}.",
            )

    def _certificate(self, text: str, header: tokens.Claims, claims: tokens.Claims) -> None:
        """A token that the client itself signed with the key of a certificate of its own."""
        print_ = str(header.get("x5t#S256") or header.get("x5t")).rstrip("=")
        known = [x509.load_pem_x509_certificate(it.encode()) for it in self.identity.certificates]
        found = next((it for it in known if print_ in _prints(it)), None)
        if found is None:
            raise self._refused(
                700027,
                "The certificate with identifier used to sign the client assertion is not "
                f"registered on application. [Reason - The key was not found., Thumbprint of key "
                f"used by client: '{print_}']",
            )
        self._signed(text, found.public_key())
        here = self.base
        accepted = (f"{here}/{self.tenant}/oauth2/v2.0/token", f"{here}/{self.tenant}/v2.0")
        if claims.get("aud") not in accepted:
            raise self._refused(
                700023, "Client assertion audience claim does not match Realm issuer."
            )

    def _federated(self, text: str, claims: tokens.Claims) -> None:
        """
        A token of somebody else, such as of a service account (Entra docs, "Workload identity
        federation"). It is checked with the keys that were given for its issuer, if any were.
        """
        trusted = self.identity.federated
        for number, word, claim in (
            (700211, "issuer", "iss"),
            (700213, "subject", "sub"),
            (700212, "audience", "aud"),
        ):
            said = claims.get(claim)
            values = said if isinstance(said, list) else [said]
            trusted = [it for it in trusted if it.get(word, AUDIENCE) in values]
            if not trusted:
                raise self._refused(
                    number,
                    f"No matching federated identity record found for presented assertion {word} "
                    f"'{said}'. Check your federated identity credential Subject, Audience and "
                    "Issuer against the presented assertion.",
                )
        if "key" in trusted[0]:
            self._signed(text, serialization.load_pem_public_key(trusted[0]["key"].encode()))

    def _signed(self, text: str, key: Any) -> None:
        try:
            tokens.check(text, key)
        except tokens.BadToken:
            raise self._refused(
                700027,
                "Client assertion failed signature validation. [Reason - The provided signature "
                "value did not match the expected signature value.]",
            ) from None

    def _refused(self, number: int, text: str) -> Aadsts:
        return Aadsts(number, "invalid_client", text, status=401)


def _prints(certificate: x509.Certificate) -> tuple[str, str]:
    """The thumbprints of a certificate, as a token names it."""
    algorithms = (hashes.SHA256(), hashes.SHA1())  # x5t is SHA-1
    longer, shorter = (tokens.encoded(certificate.fingerprint(it)) for it in algorithms)
    return longer, shorter


def _moment(seconds: float) -> str:
    found = datetime.datetime.fromtimestamp(seconds, datetime.UTC)
    return found.strftime("%Y-%m-%dT%H:%M:%S.0000000Z")
