"""
What looks like a credential, by its name or by its form: in headers, in query strings, in text.

Sources: RFC 9110 (11.6.2 Authorization), RFC 6265 (cookies), RFC 7519 (tokens), RFC 7468 (PEM),
RFC 6750 (2.3, tokens in query strings), RFC 7517 (keys as JSON).
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any

#: (secret, what it is) becomes what is written in its place.
Mark = Callable[[str, str], str]

#: Headers, and names of metadata and environment variables, that hold a credential.
_NAMES = re.compile(
    r"(?i)^(?:(?:proxy-)?authorization|(?:set-)?cookie2?|x-forwarded-client-cert"
    r"|(?:.*[-_./])?(?:api[-_]?key|api[-_]?token|token|secret|password|passwd|passphrase|pwd|credentials?"
    r"|secret[-_]?key|access[-_]?key|private[-_]?key|account[-_]?key|signature|jwt|session[-_]?id|sid"
    r"|assertion)|auth)$"
)
#: Parameters of a query string that do.
_PARAMETERS = (
    "access_token|id_token|refresh_token|token|api_key|api-key|apikey|key|sig|signature|password|"
    "passwd|pwd|secret|client_secret|code|auth|authorization|jwt|session|session_id|sessionid|sid|"
    "samlresponse|samlrequest|assertion|client_assertion|x-amz-signature|x-amz-security-token|"
    "x-amz-credential|x-goog-signature|credential|credentials"
)
_PARAMETER = re.compile(f"(?i)^(?:{_PARAMETERS})$")
_SCHEME = re.compile(
    r"(?i)^(basic|bearer|digest|negotiate|ntlm|token|apikey|hmac|aws4-hmac-sha256|gnap) +(?=\S)"
)
_TOKEN = re.compile(r"eyJ[\w-]{5,}\.[\w-]*\.[\w-]*(?:\.[\w-]*\.[\w-]*)?")
_PEM = re.compile(r"-----BEGIN ([A-Z0-9 ]*PRIVATE KEY)-----.*?(?:-----END \1-----|\Z)", re.DOTALL)
_QUERY = re.compile(rf"(?i)(?<=[?&;])((?:{_PARAMETERS})=)([^&;#\s\"'<>]+)")
_USER = re.compile(r"(?i)(?<=://)([^/\s:@\"'?#]*):([^/\s@\"'?#]+)(?=@)")
_CURL = re.compile(
    r"(?<!\S)(-u|--user|--proxy-user|--oauth2-bearer|-b|--cookie)([ =]+)(['\"]?)([^\s'\"]+)"
)
#: As a header, a flag, a field of a log line or of JSON: name, what parts them, value.
_HEADER = re.compile(
    r"(?i)(?<![\w-])((?:proxy-)?authorization|x-[\w-]{0,40}(?:api-?key|token|secret|signature)"
    r"|x-forwarded-client-cert|api-?key)(\\?['\"]?\s*(?:=>|[:=,])\s*\\?['\"]?)"
    r"((?:(?:basic|bearer|digest|negotiate|token|apikey)\s+)?[^\s'\"\\,;<>\[\]{}()]+)"
)
_COOKIE = re.compile(
    r"(?i)(?<![\w-])((?:set-)?cookie)(\\?['\"]?\s*(?:=>|[:=,])\s*\\?['\"]?)([^'\"\\\n\r]+)"
)
_WORD = re.compile(
    r"(?i)(?<![\w.-])([\w.-]{0,60}?(?:api[-_]?key|token|secret|password|passwd|pwd|passphrase"
    r"|access[-_]?key|secret[-_]?key|account[-_]?key|private[-_]?key|signature|connection[-_]?string))"
    r"(\s{0,3}=\s{0,3}\\?['\"]|=|\\?['\"]\s*[:,=]\s*\\?['\"])([^\s'\"\\&;<>]+)"
)
#: A line of YAML; one whose value is a word alone, so that sentences about a Secret stay.
_LINE = re.compile(
    r"(?im)^([ \t]*(?:- +)?[\w.-]{0,60}?(?:api[-_]?key|token|secret|password|passwd|passphrase"
    r"|access[-_]?key|secret[-_]?key|private[-_]?key))(:[ \t]+['\"]?)([^\s'\"]+)(?=['\"]?[ \t]*$)"
)
#: The same of several words, under names that nobody begins a sentence with; and what configuration
#: in YAML has inline, but for certificates.
_PHRASE = re.compile(
    r"(?im)^([ \t]*(?:- +)?(?:[\w.-]{0,60}[_.-])?(?:password|passwd|passphrase|client[-_]?secret))"
    r"(:[ \t]+)(\S.*?)[ \t]*$"
)
_INLINE = re.compile(
    r"(?m)^([ \t]*(?:- +)?inline_?(?:string|bytes|String|Bytes))(:[ \t]+['\"]?)"
    r"(?!LS0tLS1CRUdJTiBDRVJU|-----BEGIN|[|>])([^\s'\"]+)(?=['\"]?[ \t]*$)"
)
_SPOKEN = re.compile(r"(?i)(?<![\w-])(basic|bearer)( +)(?!realm=|error=|scope=)([\w+/=.~-]{12,})")
_KNOWN = re.compile(
    r"\b(?:AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}|xox[abprs]-[A-Za-z0-9-]{10,}"
    r"|glpat-[\w-]{20,}|sk_(?:live|test)_[A-Za-z0-9]{16,})"
)
#: None of the above can match without one of these.
_HINT = re.compile(
    r"(?i)authoriz|cookie|token|secret|passw|pwd|passphrase|api-?_?key|[_-]key|accesskey|privatekey"
    r"|accountkey|signature|connection.?string|bearer|basic |eyj|private key|://[^/\s]*@|client-cert"
    r"|inline_?(?:string|bytes)|akia|gh[pousr]_|xox|glpat|sk_|(?<!\S)-[ub]\b|--user|[?&;]"
)
#: What Envoy writes in place of what is secret, as text and as bytes.
REDACTED = ("[redacted]", "W3JlZGFjdGVkXQ==")
#: Parts of a token that say why it is refused, and open nothing.
_CLAIMS = ("iss", "aud", "exp", "nbf", "iat")
_HEADS = ("alg", "kid", "typ")
PUBLIC_OF_KEYS = frozenset(
    ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y", "x5c", "x5t", "x5t#S256", "key_ops")
)


@lru_cache(maxsize=10_000)
def is_name(name: str) -> bool:
    """Whether a header or variable of this name holds a credential."""
    return _NAMES.match(name) is not None


def is_parameter(name: str) -> bool:
    """Whether a parameter of a query string does."""
    return _PARAMETER.match(name) is not None


def without(name: str, value: str, mark: Mark) -> str:
    """The value of a header without its credential: scheme, names of cookies and claims stay."""
    lower = name.lower()
    if lower == "cookie":
        return _cookies(value, mark)
    if lower.startswith("set-cookie"):
        first, semicolon, rest = value.partition(";")
        return _cookies(first, mark) + semicolon + rest
    scheme = _SCHEME.match(value)
    begin = scheme.end() if scheme else 0
    secret = value[begin:]
    if _TOKEN.fullmatch(secret):
        return value[:begin] + token(secret, mark)
    return value[:begin] + (mark(secret, f"value of {lower}") if secret else "")


def _cookies(text: str, mark: Mark) -> str:
    parts = []
    for it in text.split(";"):
        name, equals, value = it.partition("=")
        if equals and value:
            parts.append(f"{name}={mark(value, 'cookie')}")
        elif it.strip() and not equals:
            parts.append(mark(it, "cookie"))
        else:
            parts.append(it)
    return ";".join(parts)


def token(text: str, mark: Mark) -> str:
    """
    A JWT of the claims that say why it is refused (issuer, audience, times, key), without the rest
    and without a signature.
    """
    parts = text.split(".")
    if len(parts) != 3 or (parts[2] and mark(parts[2], "") == parts[2]):
        return text if len(parts) == 3 else mark(text, "token")
    try:
        head, claims = _decoded(parts[0]), _decoded(parts[1])
    except (ValueError, RecursionError):
        return mark(text, "token")
    kept = _encoded(head, _HEADS), _encoded(claims, _CLAIMS), mark(parts[2] or parts[1], "token")
    return ".".join(kept)


def _decoded(part: str) -> Mapping[str, Any]:
    found = json.loads(base64.urlsafe_b64decode(part + "=" * (-len(part) % 4)))
    if not isinstance(found, dict):
        raise ValueError("no object")
    return found


def _encoded(claims: Mapping[str, Any], names: tuple[str, ...]) -> str:
    kept = {key: claims[key] for key in names if _plain(claims.get(key))}
    return base64.urlsafe_b64encode(json.dumps(kept).encode()).decode().rstrip("=")


def _plain(claim: Any) -> bool:
    if isinstance(claim, list):
        return all(isinstance(it, str) for it in claim)
    return isinstance(claim, str | int | float)


def without_credentials(text: str, mark: Mark) -> str:
    """A text without what looks like a credential in it; the rest stays as it is."""
    if _HINT.search(text) is None:
        return text
    text = _PEM.sub(lambda it: mark(it[0], "private key"), text)
    text = _QUERY.sub(lambda it: it[1] + mark(it[2], "query parameter"), text)
    text = _USER.sub(lambda it: f"{it[1]}:{mark(it[2], 'password in a URL')}", text)
    text = _CURL.sub(_of_curl(mark), text)
    text = _COOKIE.sub(lambda it: it[1] + it[2] + without(it[1], it[3], mark), text)
    text = _HEADER.sub(lambda it: it[1] + it[2] + without(it[1], it[3], mark), text)
    text = _TOKEN.sub(lambda it: token(it[0], mark), text)
    text = _SPOKEN.sub(lambda it: it[1] + it[2] + _spoken(it[3], mark), text)
    text = _WORD.sub(lambda it: it[1] + it[2] + _spoken(it[3], mark), text)
    text = _PHRASE.sub(lambda it: it[1] + it[2] + _quoted(it[3], mark), text)
    text = _LINE.sub(lambda it: it[1] + it[2] + _spoken(it[3], mark), text)
    text = _INLINE.sub(lambda it: it[1] + it[2] + mark(it[3], "inline value"), text)
    return _KNOWN.sub(lambda it: mark(it[0], "access key"), text)


def _of_curl(mark: Mark) -> Callable[[re.Match[str]], str]:
    def one(it: re.Match[str]) -> str:
        user, colon, password = it[4].partition(":")
        kept = f"{user}:{mark(password, 'password')}" if colon else mark(it[4], "password")
        return it[1] + it[2] + it[3] + kept

    return one


def _quoted(value: str, mark: Mark) -> str:
    quote = value[0] if len(value) > 2 and value[0] in "'\"" and value[-1] == value[0] else ""
    plain = value[1:-1] if quote else value
    return quote + _spoken(plain, mark) + quote


def _spoken(secret: str, mark: Mark) -> str:
    return secret if _TOKEN.fullmatch(secret) else mark(secret, "credential in a text")
