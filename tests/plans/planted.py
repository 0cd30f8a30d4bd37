"""Secrets in every place of a bundle where one can be: what they are, and documents with them."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable
from random import Random
from typing import Any
from urllib.parse import quote

#: Puts a secret into (documents, objects of Kubernetes, lines of logs).
Place = Callable[[str], Any]
LETTERS = "ABCDEFGHJKLMNPQRSTUVWXYZabcdefghijkmnopqrstuvwxyz23456789"


def secret(random: Random) -> str:
    """Long enough to be none by chance."""
    return "".join(random.choice(LETTERS) for _ in range(random.choice((16, 24, 40))))


def _64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()


def _pem(text: str, label: str = "PRIVATE KEY") -> str:
    return f"-----BEGIN {label}-----\n{_64(text * 4)}\n{text}\n-----END {label}-----\n"


def _jwt(it: str) -> str:
    parts = ({"alg": "HS256", "kid": "k1"}, {"iss": "https://a.example", "sub": it, "exp": 5})
    texts = [
        base64.urlsafe_b64encode(json.dumps(one).encode()).decode().rstrip("=") for one in parts
    ]
    return ".".join((*texts, it))


def _object(kind: str, **rest: Any) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": kind,
        "metadata": {"name": "x", "namespace": "shop"},
        **rest,
    }


def _typed(name: str, **rest: Any) -> dict[str, Any]:
    return {"configs": [{"@type": "type.googleapis.com/x", name: rest}]}


OBJECTS: tuple[Place, ...] = (
    lambda it: _object("Secret", type="Opaque", data={"password": _64(it)}),
    lambda it: _object("Secret", type="kubernetes.io/tls", data={"tls.key": _64(_pem(it))}),
    lambda it: _object("Secret", stringData={"any": it}),
    lambda it: _object("Secret", data={"tls.crt": _64(_pem("AAAA", "CERTIFICATE") + _pem(it))}),
    lambda it: _object("Secret", type="helm.sh/release.v1", data={"release": _64(_64(it))}),
    lambda it: {
        "kind": "List",
        "items": [_object("Secret", data={".htpasswd": _64(f"shop:{{SHA}}{it}")})],
    },
    lambda it: _object(
        "Pod", spec={"containers": [{"name": "a", "env": [{"name": "PLAIN", "value": it}]}]}
    ),
    lambda it: _object(
        "EnvoyProxy",
        spec={"provider": {"container": {"env": [{"name": "DB_PASSWORD", "value": it}]}}},
    ),
    lambda it: _object("Pod", spec={"containers": [{"args": ["--api-key", it]}]}),
    lambda it: _object("Pod", spec={"containers": [{"args": [f"--client-secret={it}"]}]}),
    lambda it: {
        "kind": "Pod",
        "metadata": {
            "name": "x",
            "annotations": {
                "kubectl.kubernetes.io/last-applied-configuration": json.dumps({"data": it})
            },
        },
    },
    lambda it: {"kind": "Pod", "metadata": {"name": "x", "annotations": {"example.com/token": it}}},
    lambda it: {
        "kind": "Pod",
        "metadata": {"managedFields": [{"manager": "a", "fieldsV1": {f'v:"{it}"': {}}}]},
    },
    lambda it: _object("ConfigMap", data={"app.yaml": f"db:\n  password: {it}\n  host: a\n"}),
    lambda it: _object("ConfigMap", data={"app.json": json.dumps({"db": {"password": it}})}),
    lambda it: _object("ConfigMap", data={"url": f"postgres://shop:{it}@db.shop.svc:5432/x"}),
    lambda it: _object("ConfigMap", data={"key.pem": _pem(it, "RSA PRIVATE KEY")}),
    lambda it: _object("ConfigMap", data={"api-key": it}),
    lambda it: _object("ConfigMap", data={"a.yaml": f"db:\n  passphrase: 'horse {it} staple'\n"}),
    lambda it: _object(
        "EnvoyProxy",
        spec={"bootstrap": {"value": f"private_key:\n  inline_string: {it}\n"}},
    ),
    lambda it: _object(
        "HTTPRoute",
        spec={
            "rules": [
                {
                    "filters": [
                        {
                            "type": "RequestHeaderModifier",
                            "requestHeaderModifier": {
                                "set": [{"name": "Authorization", "value": f"Basic {it}"}]
                            },
                        }
                    ]
                }
            ]
        },
    ),
    lambda it: _object(
        "HTTPRoute",
        spec={"rules": [{"matches": [{"headers": [{"name": "x-api-key", "value": it}]}]}]},
    ),
    lambda it: _object(
        "HTTPRoute",
        spec={"rules": [{"matches": [{"queryParams": [{"name": "code", "value": it}]}]}]},
    ),
    lambda it: _object(
        "SecurityPolicy",
        spec={"jwt": {"providers": [{"localJWKS": {"inline": json.dumps({"keys": [_oct(it)]})}}]}},
    ),
    lambda it: _object("EnvoyExtensionPolicy", spec={"lua": [{"inline": f'token = "{it}"'}]}),
    lambda it: _object("Event", message=f"failed: Authorization: Bearer {it} was refused"),
)


def _oct(it: str) -> dict[str, Any]:
    return {"kty": "oct", "kid": "k1", "k": it}


DOCUMENTS: tuple[Place, ...] = (
    lambda it: _typed("tls_certificate", private_key={"inline_string": _pem(it)}),
    lambda it: _typed("tls_certificate", private_key={"inline_bytes": _64(_pem(it))}),
    lambda it: _typed("tls_certificate", password={"inline_string": it}),
    lambda it: _typed("secret", generic_secret={"secret": {"inline_bytes": _64(it)}}),
    lambda it: _typed("secret", session_ticket_keys={"keys": [{"inline_bytes": _64(it)}]}),
    lambda it: _typed("oauth2", credentials={"token_secret": {"inline_string": it}}),
    lambda it: _typed("oauth2", credentials={"hmac_secret": {"inline_bytes": _64(it)}}),
    lambda it: _typed("basic_auth", users={"inline_string": f"shop:{{SHA}}{it}"}),
    lambda it: _typed("basic_auth", users={"inline_bytes": _64(f"shop:{{SHA}}{it}")}),
    lambda it: _typed("api_key_auth", credentials=[{"key": it, "client": "shop"}]),
    lambda it: _typed("jwt_authn", local_jwks={"inline_string": json.dumps({"keys": [_oct(it)]})}),
    lambda it: _typed(
        "jwks", inline=json.dumps({"keys": [{"kty": "RSA", "n": "a", "e": "AQAB", "d": it}]})
    ),
    lambda it: _typed(
        "route", request_headers_to_add=[{"header": {"key": "authorization", "value": it}}]
    ),
    lambda it: _typed("route", headers=[{"name": "x-auth-token", "string_match": {"exact": it}}]),
    lambda it: _typed("route", query_parameters=[{"name": "token", "string_match": {"exact": it}}]),
    lambda it: _typed("grpc", initial_metadata=[{"key": "cookie", "value": f"session={it}"}]),
    lambda it: _typed("redis", auth_password={"inline_string": it}),
    lambda it: _typed("aws", inline_credential={"secret_access_key": it, "session_token": it}),
    lambda it: _typed("lua", inline_code=f'local password = "{it}"'),
    lambda it: _typed("uri", uri=f"https://shop:{it}@issuer.example.com/keys"),
    lambda it: _typed("tracing", headers={"x-api-key": it}),
    lambda it: {"request": {"headers": {"Authorization": f"Bearer {it}"}}},
    lambda it: {"request": {"headers": {"authorization": f"Bearer {_jwt(it)}"}}},
    lambda it: {"request": {"headers": {"Cookie": f"theme=dark; session={it}"}}},
    lambda it: {"request": {"headers": {"X-API-Key": it}}},
    lambda it: {"request": {"headers": [["cookie", f"a={it}"]]}},
    lambda it: {"request": {"path": f"/cart?a=1&access_token={it}&b=2"}},
    lambda it: {"headers": {"set-cookie": [f"session={it}; Path=/; HttpOnly"]}},
    lambda it: {"headers": {"location": f"https://a.example/cb?code={it}&state=1"}},
    lambda it: {"body": json.dumps({"access_token": it, "expires_in": 3})},
    lambda it: {"command": f"curl -H 'Authorization: Bearer {it}' https://shop.example.com/"},
    lambda it: {"command": f"curl -u shop:{it} https://shop.example.com/"},
    lambda it: {"command": f"curl -b 'session={it}' https://a.example/"},
    lambda it: {"command": f"curl -H 'Cookie: b={it}' https://a.example/"},
    lambda it: {"proxy_password": it, "values": {"smtp": {"password": it}}},
)

LINES: tuple[Place, ...] = (
    lambda it: json.dumps({"path": f"/x?token={it}", "response_code": 200}),
    lambda it: json.dumps({"authorization": f"Basic {_64(it)}", "response_code": 200}),
    lambda it: json.dumps({"cookie": f"a=b; session={it}", "path": "/"}),
    lambda it: json.dumps({"x-envoy-origin-path": f"/x?sig={quote(it)}&se=1"}),
    lambda it: json.dumps({"x_api_key": it}),
    lambda it: f'[2026-11-21T02:59:26.199Z] "GET /x?a=1&api_key={it} HTTP/1.1" 200 - 0 5 "-"',
    lambda it: f"[2026-11-21 02:59:26.199][1][debug][http] 'authorization', 'Bearer {it}'",
    lambda it: f"[2026-11-21 02:59:26.199][1][debug][http] 'cookie', 'session={it}; b=c'",
    lambda it: f"[debug] request headers: x-api-key: {it} host: a",
    lambda it: f'2026-11-21T02:59:26Z info failed {{"error": "password={it}"}}',
    lambda it: f"level=error msg=refused client_secret={it} issuer=a",
    lambda it: f"upstream https://shop:{it}@db.example.com/x refused",
    lambda it: f"got token {_jwt(it)} of nobody",
    lambda it: json.dumps({"request": {"headers": {"Authorization": f"Bearer {_jwt(it)}"}}}),
    lambda it: f'{{"cut": "line", "authorization": "Bearer {it}", "pa',
)
