"""Before HTTP: certificates, server names, TLS and plain text."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from tasks.diagnosis.asking import bare
from tasks.diagnosis.case import Case
from tasks.diagnosis.causes import AnsweredBy
from tasks.diagnosis.config import Chain, Listener
from tasks.diagnosis.diagnosis import Found, Ref
from tasks.diagnosis.objects import at, covers, listed, namespace, ref, target
from tasks.diagnosis.owners import gateway_of, gateway_with, policy_of

EXPIRED = re.compile(r"certificate (has )?expired|CERT_HAS_EXPIRED|certificate_expired", re.I)
REFUSED = re.compile(
    r"ALERT[ _](PROTOCOL[ _]VERSION|HANDSHAKE[ _]FAILURE|CERTIFICATE[ _]REQUIRED)", re.I
)
#: By field of a ClientTrafficPolicy.
WANTED = {"minVersion": "VERSION", "ciphers": "FAILURE", "clientValidation": "REQUIRED"}
WRONG_NAME = re.compile(
    r"hostname mismatch|hostname '[^']*' doesn't match|no alternative certificate subject name"
    r"|IP address mismatch|not valid for",
    re.I,
)
NO_ADDRESS = re.compile(r"name or service not known|getaddrinfo|could not resolve|NXDOMAIN", re.I)
BROKEN = re.compile(
    r"reset|closed|EOF|RemoteDisconnected|BadStatusLine|empty reply|wrong version|handshake"
    r"|SSL|TLS|WRONG_VERSION|IncompleteRead|protocol error",
    re.I,
)


def certificate_expired(case: Case) -> Found | None:
    """The client broke the handshake off, for the certificate is past its time."""
    told = EXPIRED.search(case.error) is not None
    broken = case.entry is None or not case.entry.status
    if not told and not (case.status is None and broken and case.request.scheme == "https"):
        return None
    passed = list(_expired(case))
    if not told and (not passed or case.details == "filter_chain_not_found"):
        return None
    return _past(case, passed, "client", 0.98 if told else 0.8)


def certificate_unchecked(case: Case) -> Found | None:
    """The client did not look at a certificate that is past its time; others will."""
    if case.request.scheme != "https" or case.answered_by == "client":
        return None
    passed, good = list(_expired(case)), list(_certificates(case, expired=False))
    return _past(case, passed, case.answered_by, 0.9) if passed and not good else None


def _past(case: Case, passed: list[str], by: AnsweredBy, confidence: float) -> Found:
    listener = gateway_of(case)
    secret = _secret(case)
    return case.found(
        "certificate_expired",
        secret or listener,
        'data["tls.crt"]' if secret else "tls.certificateRefs",
        f"The certificate of {listener.text} for {case.request.sni or case.request.host} is past "
        "its time: clients that look at it break the handshake off.",
        _renew(secret),
        f"certs.json: {passed[0]}" if passed else "",
        answered_by=by,
        confidence=confidence,
    )


def _renew(secret: Ref | None) -> str:
    if secret is None:
        return "put a certificate that is valid into the Secret of the listener"
    return (
        f"kubectl -n {secret.namespace} get certificate,secret {secret.name}: renew it "
        f"(cert-manager: cmctl renew -n {secret.namespace} {secret.name})"
    )


def _expired(case: Case) -> Iterator[str]:
    return _certificates(case, expired=True)


def _certificates(case: Case, *, expired: bool) -> Iterator[str]:
    """Certificates of /certs for this name that are past their time, or are not."""
    host = (case.request.sni or bare(case.request.host)).lower()
    certs = case.proxy.certs if case.proxy is not None else None
    for one in listed(at(certs, "certificates")):
        for it in listed(one.get("cert_chain")):
            ends = _seconds(it.get("expiration_time"))
            now = case.evidence.now
            if ends is not None and now is not None and (ends < now) is expired:
                sans = listed(it.get("subject_alt_names"))
                names = [str(v).lower() for san in sans for v in san.values()]
                if any(covers(one, host) for one in names) or not names:
                    yield f"expiration_time {it['expiration_time']} of {', '.join(names)}"


def _seconds(value: Any) -> float | None:
    try:
        return datetime.fromisoformat(str(value).replace("Z", "+00:00")).timestamp()
    except ValueError:
        return None


def _secret(case: Case) -> Ref | None:
    """The Secret of the listener that this name arrives at."""
    host = (case.request.sni or case.request.host.partition(":")[0]).lower()
    found = []
    for gateway in case.objects.of("Gateway", "ListenerSet", "XListenerSet"):
        for it in listed(at(gateway, "spec", "listeners")):
            hostname = str(it.get("hostname") or "").lower()
            refs = listed(at(it, "tls", "certificateRefs"))
            if refs and covers(hostname, host):
                found.append((len(hostname), target(refs[0], namespace(gateway), "Secret")))
    if found:
        return max(found, key=lambda it: it[0])[1]
    named = _sds(case.chain)
    secrets = [it for it in case.objects.of("Secret") if it.get("type") == "kubernetes.io/tls"]
    if not named and len(secrets) == 1:
        return ref(secrets[0])
    parts = named.split("/")
    return Ref("Secret", parts[-1], parts[0] if len(parts) > 1 else "") if named else None


def _sds(chain: Chain | None) -> str:
    """Name of the secret that a chain's handshake uses."""
    socket = at(chain.raw, "transport_socket", "typed_config") if chain is not None else None
    for it in listed(at(socket, "common_tls_context", "tls_certificate_sds_secret_configs")):
        return str(it.get("name", ""))
    return ""


def certificate_wrong_name(case: Case) -> Found | None:
    """The client refused a certificate that is for other names."""
    if case.status is not None or WRONG_NAME.search(case.error) is None:
        return None
    listener, secret = gateway_of(case), _secret(case)
    asked = case.request.sni or bare(case.request.host)
    return case.found(
        "certificate_wrong_name",
        secret or listener,
        'data["tls.crt"]' if secret else "tls.certificateRefs",
        f"The certificate of {listener.text} is not for {asked}: the client broke the handshake "
        "off.",
        f"issue a certificate that covers {asked}, or name the Secret of one in certificateRefs",
        answered_by="client",
        confidence=0.9,
    )


def name_not_resolved(case: Case) -> Found | None:
    """The client found no address, and never came here."""
    if case.status is not None or NO_ADDRESS.search(case.error) is None:
        return None
    return case.found(
        "name_not_resolved",
        gateway_of(case),
        "status.addresses",
        f"The client found no address for {bare(case.request.host)}: its request was never sent.",
        "create the record, or look at what should (external-dns); it must have the addresses in "
        "status.addresses of the Gateway",
        answered_by="client",
        confidence=0.9,
    )


def plaintext_to_tls_listener(case: Case) -> Found | None:
    if not _ends_before_http(case) or case.request.scheme == "https":
        return None
    counted = _counted_plaintext(case)
    if counted is None and (not _is_tls(case) or _tls_was_found(case)):
        return None
    gateway = gateway_with(case, counted) if counted is not None else gateway_of(case)
    return case.found(
        "plaintext_to_tls_listener",
        gateway,
        "spec.listeners",
        f"Plain HTTP was sent to a listener of {gateway.text} that takes TLS alone: Envoy closed "
        "the connection.",
        f"use https://{case.request.host}, or send plain HTTP to the port of an HTTP listener",
        answered_by="envoy",
        confidence=0.95 if case.entry is not None else 0.85,
    )


def _counted_plaintext(case: Case) -> Listener | None:
    """Without a line of the log: the TLS listener that counts connections without a handshake."""
    if case.entry is not None or case.configuration is None or case.exchange is None:
        return None
    if not case.counted(r"^tls_inspector[._]tls_not_found$"):
        return None
    broken = [
        it
        for it in case.configuration.listeners
        if any(one.tls for one in it.every_chain)
        and case.counted(rf"^listener\..*_{it.port}\.ssl[._]connection_error$")
    ]
    return broken[0] if len(broken) == 1 else None


def _tls_was_found(case: Case) -> bool:
    """Without a client that tells, statistics say whether connections began with a handshake."""
    if case.exchange is not None:
        return False
    return case.counted(r"^tls_inspector\.tls_not_found$") == 0


def _ends_before_http(case: Case) -> bool:
    if case.entry is not None:
        return case.details == "filter_chain_not_found" or (
            not case.entry.method and not case.entry.status
        )
    if case.exchange is None or case.status not in (None, 400):
        return False
    return BROKEN.search(case.error) is not None


def _is_tls(case: Case) -> bool:
    """Whether what the connection came to takes TLS, as far as is known."""
    if case.listener is not None:
        chains = case.listener.every_chain
        return bool(chains) and all(it.tls or it.server_names for it in chains)
    return case.details == "filter_chain_not_found"


def tls_not_agreed(case: Case) -> Found | None:
    """Envoy ended the handshake with an alert: it wants another version, cipher or certificate."""
    why = REFUSED.search(case.error)
    if case.request.scheme != "https" or case.status is not None or why is None:
        return None
    policy = policy_of(case, "ClientTrafficPolicy", "tls")
    it = policy or gateway_of(case)
    key = next(key for key, word in WANTED.items() if re.search(word, why.group(), re.I))
    return case.found(
        "tls_not_agreed",
        it,
        f"spec.tls.{key}" if policy else "spec.listeners[].tls",
        f"Envoy refused the handshake of the client ({why.group().lower().replace('_', ' ')}): "
        f"{it.text} wants what the client does not offer.",
        f"have the client offer it, or change tls.{key} of {it.text}",
        answered_by="envoy",
        confidence=0.85,
    )


def sni_no_filter_chain(case: Case) -> Found | None:
    if case.details != "filter_chain_not_found":
        if case.entry is not None or case.request.scheme != "https" or case.status is not None:
            return None
        matched = case.matched
        if matched is None or matched.listener is None or matched.chain is not None:
            return None
    sni = case.entry.sni if case.entry is not None and case.entry.sni else case.request.sni
    gateway = gateway_of(case)
    asked = f"the name {sni}" if sni else "no name"
    near = case.matched.near if case.matched is not None else ""
    known = _server_names(case)
    return case.found(
        "sni_no_filter_chain",
        gateway,
        "spec.listeners[].hostname",
        f"The TLS handshake asked for {asked}, and no HTTPS listener of {gateway.text} is for "
        "that: Envoy closed the connection before any HTTP.",
        f"connect with the name of a listener ({known or 'see spec.listeners[].hostname'}), or add "
        f"a listener with hostname {sni or '...'} and a certificate for it",
        f"nearest: {near}" if near else "",
        answered_by="envoy",
    )


def _server_names(case: Case) -> str:
    listener = case.listener
    names = [n for it in (listener.chains if listener else ()) for n in it.server_names]
    return ", ".join(dict.fromkeys(names))
