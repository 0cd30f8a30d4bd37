"""
What a bundle holds without its secrets: each becomes "removed-3f2a91bc", the same for the same
value in one bundle, so that a diagnosis still sees that two are equal.

Stays: names, types, certificates, the claims of a token that say why it is refused.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import re
from collections import Counter
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any

from tasks.plans import credentials

Object = Mapping[str, Any]

REMOVED = "removed-"
_MARKED = re.compile(rf"{REMOVED}[0-9a-f]{{8}}")
_BASE64_PEM = "LS0tLS1CRUdJTi"
_CERTIFICATE = re.compile(
    r"-----BEGIN (CERTIFICATE|X509 CRL|PUBLIC KEY)-----[A-Za-z0-9+/=\s]+-----END \1-----\n?"
)
#: Fields whose text is a secret, or whose value below "inline_string" and the like is. Without
#: "-", "_" and upper case.
FIELDS = frozenset(
    (
        *("privatekey", "password", "passwd", "passphrase", "authpassword", "authusername"),
        *("secret", "inlinesecret", "clientsecret", "hmacsecret", "tokensecret", "genericsecret"),
        *("token", "accesstoken", "bearertoken", "idtoken", "refreshtoken", "sessiontoken"),
        *("accesskeyid", "accountkey", "apikey", "hmackey", "masterkey", "secretaccesskey"),
        *("sessionticketkeys", "sharedaccesskey", "sharedkey", "connectionstring", "pkcs12"),
        *("credential", "credentials", "users"),
    )
)
#: Below such a field, where the text of it is.
_INLINE = frozenset(("inlinestring", "inlinebytes", "value", "text", "string"))
#: What a matcher of headers or parameters compares with.
_COMPARED = frozenset(
    (
        *("value", "values", "stringmatch", "exactmatch", "prefixmatch", "suffixmatch"),
        *("containsmatch", "saferegexmatch", "exact", "prefix", "suffix", "contains"),
        *("saferegex", "regex", "string", "matcher"),
    )
)
#: What is public below any field.
_PUBLIC = frozenset(("certificatechain", "trustedca", "crl", "ocspstaple", "cacertificate"))
_NAMED = ("name", "key", "header", "headerName", "header_name")
_LAST_APPLIED = "kubectl.kubernetes.io/last-applied-configuration"
#: Characters of a text that comes again and again, and how many of these are remembered.
SHORT, REMEMBERED = 200, 100_000
#: Deeper than anything that Envoy or Kubernetes has.
DEEPEST = 100


class Redaction:
    """
    + key: random bytes of one bundle, forgotten afterwards: nobody can try values against marks
    + counts: what was removed so far, such as {"header authorization": 3, "Secret data": 2}
    """

    def __init__(self, key: bytes) -> None:
        self._key = key
        self._harmless: set[str] = set()
        self.counts: Counter[str] = Counter()

    def mark(self, secret: str, what: str) -> str:
        """What is written in place of a secret; a mark stays as it is."""
        if _MARKED.fullmatch(secret) or secret in credentials.REDACTED:
            return secret
        if what:
            self.counts[what] += 1
        digest = hmac.new(self._key, secret.encode(errors="surrogatepass"), hashlib.sha256)
        return REMOVED + digest.hexdigest()[:8]

    def text(self, text: str) -> str:
        """A text, such as lines of a log, without what looks like a credential."""
        return credentials.without_credentials(text, self.mark)

    def line(self, line: str) -> str:
        """One line of a log, as it was where it holds no secret."""
        found = _parsed(line)
        if found is None:
            return self.text(line)
        clean = self.data(found)
        return line if clean == found else json.dumps(clean, ensure_ascii=False)

    def lines(self, text: str) -> str:
        """All lines of a log."""
        return "\n".join(self.line(it) for it in text.split("\n"))

    def file(self, name: str, content: bytes) -> bytes:
        """
        A file of a bundle: JSON, or lines; what Envoy counts has names and numbers alone. Raises
        ValueError for JSON that is none: nobody knows what would be left in it.
        """
        if name.startswith("stats") or name == "clusters.txt":
            return content
        text = content.decode("utf-8", "replace")
        if not name.endswith(".json"):
            return self.lines(text).encode("utf-8", "replace")
        try:
            found = json.loads(text)
        except RecursionError as error:
            raise ValueError("nested too deep") from error
        return (json.dumps(self.data(found), indent=1) + "\n").encode()

    def objects(self, objects: Iterable[Object]) -> list[dict[str, Any]]:
        """Objects of Kubernetes."""
        return [self._mapping(it, "", 0) for it in objects]

    def data(self, thing: Any) -> Any:
        """Anything parsed from JSON: a config dump, a List, what a client saw."""
        return self._walk(thing, "", 0)

    def _walk(self, thing: Any, above: str, depth: int) -> Any:
        if depth > DEEPEST:
            return self.mark(str(type(thing)), "too deep to look at")
        if isinstance(thing, str):
            return self._leaf(thing)
        if isinstance(thing, Mapping):
            return self._mapping(thing, above, depth)
        if isinstance(thing, list | tuple):
            return self._list(thing, above, depth)
        return thing

    def _leaf(self, text: str) -> str:
        if text in self._harmless:
            return text
        clean = self._cleaned(text)
        if clean == text and len(text) < SHORT and len(self._harmless) < REMEMBERED:
            self._harmless.add(text)
        return clean

    def _cleaned(self, text: str) -> str:
        if text.startswith(_BASE64_PEM):
            return self._base64(text)
        return self.line(text)

    def _base64(self, text: str) -> str:
        try:
            plain = base64.b64decode(text, validate=False).decode()
        except ValueError:
            return self.mark(text, "private key") if "PRIVATE" in text else text
        clean = self.text(plain)
        return text if clean == plain else base64.b64encode(clean.encode()).decode()

    def _mapping(self, thing: Object, above: str, depth: int) -> dict[str, Any]:
        if isinstance(thing.get("kty"), str):
            return {key: self._of_key(key, value) for key, value in thing.items()}
        if thing.get("kind") == "Secret" and isinstance(thing.get("metadata"), Mapping):
            return self._secret(thing, depth)
        pair = _credential_of(thing, above)
        return {
            key: self._field(str(key), value, pair, depth)
            for key, value in thing.items()
            if key != _LAST_APPLIED or self._counted("annotation last-applied")
        }

    def _counted(self, what: str) -> bool:
        self.counts[what] += 1
        return False

    def _field(self, key: str, value: Any, pair: str | None, depth: int) -> Any:
        flat = _flat(key)
        if pair is not None and flat in _COMPARED:
            return self._all(value, pair, depth)
        if key == "managedFields" and isinstance(value, list):
            return [_without(it, "fieldsV1") for it in value]
        if flat in FIELDS:
            return self._secretive(value, key, depth)
        if credentials.is_name(key) and _is_value(value):
            return self._all(value, key, depth)
        return self._walk(value, key, depth + 1)

    def _secretive(self, value: Any, key: str, depth: int) -> Any:
        """What is below a field that holds a secret, or says where one is."""
        if depth > DEEPEST:
            return self.mark(str(type(value)), "too deep to look at")
        if _is_value(value):
            return self._all(value, key, depth)
        if isinstance(value, list | tuple):
            return [self._secretive(it, key, depth + 1) for it in value]
        if not isinstance(value, Mapping):
            return value
        if value.get("kind") == "Secret" and isinstance(value.get("metadata"), Mapping):
            return self._secret(value, depth)
        return {
            name: self._below(str(name), it, key, "client" in value, depth)
            for name, it in value.items()
        }

    def _below(self, name: str, value: Any, key: str, of_client: bool, depth: int) -> Any:
        """+ of_client: {"key": "...", "client": "shop"} of an API key is a secret, else a name"""
        if _flat(name) in _PUBLIC:
            return self._walk(value, name, depth + 1)
        if _flat(name) in _INLINE or (name == "key" and of_client):
            return self._all(value, key, depth + 1)
        if _flat(name) in FIELDS or isinstance(value, Mapping | list | tuple):
            return self._secretive(value, name if _flat(name) in FIELDS else key, depth + 1)
        return self._walk(value, name, depth + 1)

    def _all(self, value: Any, name: str, depth: int) -> Any:
        """Every text below, whole, but for what a scheme or a cookie is called."""
        if depth > DEEPEST:
            return self.mark(str(type(value)), "too deep to look at")
        if isinstance(value, str):
            return credentials.without(name, value, self.mark) if value else value
        if isinstance(value, bool) or value is None:
            return value
        if isinstance(value, int | float):
            return self.mark(str(value), f"field {name}")
        if isinstance(value, Mapping):
            return {key: self._all(it, name, depth + 1) for key, it in value.items()}
        return [self._all(it, name, depth + 1) for it in value]

    def _of_key(self, name: str, value: Any) -> Any:
        """Of a key in JSON (RFC 7517) what is public."""
        if name in credentials.PUBLIC_OF_KEYS or not isinstance(value, str):
            return value if not isinstance(value, list | dict) or name in ("x5c", "key_ops") else []
        return self.mark(value, "key of a key set")

    def _list(self, things: Iterable[Any], above: str, depth: int) -> list[Any]:
        """["--token", "abc"] and ["cookie", "a=b"] are pairs as well."""
        found: list[Any] = []
        for it in things:
            before = found[-1] if found else None
            if (
                isinstance(it, str)
                and isinstance(before, str)
                and not before.startswith("--") * ("=" in before)
                and credentials.is_name(before.lstrip("-"))
            ):
                found.append(credentials.without(before.lstrip("-"), it, self.mark))
            else:
                found.append(self._walk(it, above, depth + 1))
        return found

    def _secret(self, secret: Object, depth: int) -> dict[str, Any]:
        """Names of what it holds, and certificates."""
        held = {
            part: {key: self._held(it, part) for key, it in secret[part].items()}
            for part in ("data", "stringData")
            if isinstance(secret.get(part), Mapping)
        }
        others = {key: it for key, it in secret.items() if key not in ("data", "stringData")}
        return {**{key: self._walk(it, key, depth + 1) for key, it in others.items()}, **held}

    def _held(self, value: Any, part: str) -> Any:
        text = str(value) if value is not None else ""
        if part == "data":
            try:
                text = base64.b64decode(text, validate=True).decode()
            except ValueError:
                return base64.b64encode(self.mark(text, "Secret data").encode()).decode()
        public = "".join(it[0] for it in _CERTIFICATE.finditer(text))
        rest = _CERTIFICATE.sub("", text).strip()
        clean = public + (self.mark(rest, "Secret data") if rest else "")
        return base64.b64encode(clean.encode()).decode() if part == "data" else clean


def _credential_of(thing: Object, above: str) -> str | None:
    """
    What a pair of name and value keeps, such as "authorization", None where it is no credential.

    + above: the field that lists it: every variable is taken for one
    """
    named = next((thing[it] for it in _NAMED if isinstance(thing.get(it), str)), None)
    if named is None:
        return None
    if _flat(above) in ("queryparameters", "queryparams"):
        return named if credentials.is_parameter(named) else None
    return named if above == "env" or credentials.is_name(named) else None


def _parsed(text: str) -> Any:
    """What a text is as JSON, where it is an object or a list; else None."""
    if text.lstrip()[:1] not in ("{", "["):
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@lru_cache(maxsize=10_000)
def _flat(name: str) -> str:
    return name.replace("_", "").replace("-", "").lower()


def _is_value(value: Any) -> bool:
    """A text or number, or a list of texts: no object that says where a value is."""
    if isinstance(value, list | tuple):
        return bool(value) and all(isinstance(it, str) for it in value)
    return isinstance(value, str | int | float) and not isinstance(value, bool)


def _without(thing: Any, name: str) -> Any:
    return (
        {key: it for key, it in thing.items() if key != name}
        if isinstance(thing, Mapping)
        else thing
    )
