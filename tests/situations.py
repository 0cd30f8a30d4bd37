"""
Made situations of certificates on one cluster, each with what an audit must find in it and nothing
else. About half of them are healthy and look as if they were not.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import PrivateFormat

from tasks.plans import chains, listeners, roots
from tasks.plans.chains import Held
from tasks.plans.listeners import Listener
from tests.authorities import Pair, chain, issued, rsa_key

Object = dict[str, Any]
CLUSTER = "weu-1"
WARNING, ERROR = timedelta(days=21), timedelta(days=7)
TLS = "kubernetes.io/tls"
GATEWAY_API = "gateway.networking.k8s.io"


@dataclass(frozen=True)
class Situation:
    """
    + objects: as an API server returns them: Gateways, routes, ReferenceGrants, Secrets
    + expected: such as {"error GW601 Secret edge/shop-tls"}, or with a listener {"error GW604
      Gateway edge/public, listener https"}; empty where all is well
    + roots: what clients trust; None where that is not judged
    + untyped: whether Secrets of other types cannot be listed
    """

    objects: Sequence[Object]
    expected: frozenset[str] = frozenset()
    roots: frozenset[str] | None = None
    untyped: bool = False

    def of_kind(self, *kinds: str) -> list[Object]:
        """The objects of these kinds."""
        return [it for it in self.objects if it["kind"] in kinds]

    @property
    def listeners(self) -> list[Listener]:
        """What ends TLS there."""
        return listeners.of_gateways(
            CLUSTER,
            self.of_kind("Gateway"),
            self.of_kind("ReferenceGrant"),
            listener_sets=self.of_kind("ListenerSet"),
            routes=self.of_kind("HTTPRoute"),
        )

    @property
    def held(self) -> Mapping[tuple[str, str], Held]:
        """The Secrets that a field selector on the type returns."""
        found = [chains.of_secret(it) for it in self.of_kind("Secret") if it["type"] == TLS]
        return {(it.namespace, it.name): it for it in found}

    @property
    def types(self) -> Mapping[tuple[str, str], str] | None:
        """Of all Secrets, from their metadata alone."""
        if self.untyped:
            return None
        return {
            (it["metadata"]["namespace"], it["metadata"]["name"]): it["type"]
            for it in self.of_kind("Secret")
        }


@dataclass
class _Situations:
    """Those that a module registers, in their order."""

    known: list[Callable[[], Situation]] = field(default_factory=list)

    def __call__(self, it: Callable[[], Situation]) -> Callable[[], Situation]:
        self.known.append(it)
        return it


situation = _Situations()

ROOT = issued("Root X1", authority=True, begin=-2000, end=4000)
MIDDLE = issued("R10", by=ROOT, authority=True, begin=-400, end=700)
ROOTS = roots.roots(ROOT.pem)
HOST = "shop.example.com"
AT = "Secret edge/shop-tls"
HTTPS = "Gateway edge/public, listener https"


def leaf(*names: str, **how: Any) -> Pair:
    """A server's certificate of the authority R10, good for 60 days where nothing else is said."""
    return issued(names[0] if names else HOST, names or (HOST,), how.pop("by", MIDDLE), **how)


def secret(
    *pairs: Pair,
    name: str = "shop-tls",
    namespace: str = "edge",
    key: bytes | None = None,
    certificate: bytes | None = None,
    of_type: str = TLS,
    **marks: str,
) -> Object:
    """A Secret with these certificates and the key of the first one, where nothing else is said."""
    data = {
        "tls.crt": chain(*pairs) if certificate is None else certificate,
        "tls.key": (pairs[0].key_pem() if pairs else b"") if key is None else key,
    }
    annotations = {it.replace("__", "/").replace("_", "-"): value for it, value in marks.items()}
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"namespace": namespace, "name": name, "annotations": annotations},
        "type": of_type,
        "data": {it: base64.b64encode(value).decode() for it, value in data.items()},
    }


def good(**about: Any) -> Object:
    """A Secret without a fault."""
    return secret(leaf(), MIDDLE, **about)


def listener(
    hostname: str | None = HOST, *refs: str, name: str = "https", mode: str = "Terminate"
) -> Object:
    """One that ends TLS. + refs: such as "shop-tls" or "certs/shop-tls"."""
    found: Object = {
        "name": name,
        "port": 443,
        "protocol": "TLS" if mode == "Passthrough" else "HTTPS",
        "tls": {"mode": mode, "certificateRefs": [_ref(it) for it in refs or ("shop-tls",)]},
    }
    if mode == "Passthrough":
        del found["tls"]["certificateRefs"]
    return found | ({"hostname": hostname} if hostname else {})


def _ref(text: str) -> Object:
    namespace, _, name = text.rpartition("/")
    return {"name": name} | ({"namespace": namespace} if namespace else {})


def gateway(*of: Object, name: str = "public") -> Object:
    """Gateway edge/public, with one listener where none is given."""
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "Gateway",
        "metadata": {"namespace": "edge", "name": name},
        "spec": {"gatewayClassName": "envoy", "listeners": list(of or (listener(),))},
        "status": {"addresses": [{"type": "IPAddress", "value": "20.103.0.10"}]},
    }


def listener_set(*of: Object) -> Object:
    """ListenerSet edge/own, which Gateway edge/public has taken."""
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "ListenerSet",
        "metadata": {"namespace": "edge", "name": "own"},
        "spec": {"parentRef": {"name": "public"}, "listeners": list(of)},
        "status": {"conditions": [{"type": "Accepted", "status": "True"}]},
    }


def route(*hosts: str, section: str = "https") -> Object:
    """An HTTPRoute of that listener."""
    parent = {"name": "public", "sectionName": section}
    return {
        "apiVersion": f"{GATEWAY_API}/v1",
        "kind": "HTTPRoute",
        "metadata": {"namespace": "edge", "name": "shop"},
        "spec": {"parentRefs": [parent], "hostnames": list(hosts)},
    }


def grant(namespace: str = "certs", kind: str = "Gateway", name: str | None = None) -> Object:
    """Lets Gateways of the namespace edge use Secrets of another."""
    return {
        "apiVersion": f"{GATEWAY_API}/v1beta1",
        "kind": "ReferenceGrant",
        "metadata": {"namespace": namespace, "name": "edge"},
        "spec": {
            "from": [{"group": GATEWAY_API, "kind": kind, "namespace": "edge"}],
            "to": [{"group": "", "kind": "Secret"} | ({"name": name} if name else {})],
        },
    }


def healthy(*objects: Object, trust: frozenset[str] | None = ROOTS) -> Situation:
    """Where nothing must be found."""
    return Situation(objects, roots=trust)


def faulty(
    expected: Sequence[str], *objects: Object, trust: frozenset[str] | None = ROOTS
) -> Situation:
    """Where just this must be found."""
    return Situation(objects, frozenset(expected), trust)


# Healthy, and some of them look as if they were not.


@situation
def a_plain_listener() -> Situation:
    return healthy(gateway(), good())


@situation
def a_wildcard_that_covers() -> Situation:
    return healthy(gateway(listener("a.example.com")), secret(leaf("*.example.com"), MIDDLE))


@situation
def a_wildcard_for_a_wildcard() -> Situation:
    return healthy(
        gateway(listener("*.example.com")),
        route("a.example.com", "b.example.com"),
        secret(leaf("*.example.com"), MIDDLE),
    )


@situation
def twenty_two_days_left() -> Situation:
    return healthy(gateway(), secret(leaf(end=22), MIDDLE))


@situation
def an_authority_signed_by_two_others() -> Situation:
    old = issued("Old Root", authority=True, begin=-4000, end=900)
    crossed = issued("Root X1", by=old, key=ROOT.key, authority=True)
    return healthy(gateway(), secret(leaf(), MIDDLE, crossed), trust=roots.roots(old.pem))


@situation
def an_authority_that_is_there_by_both_of_its_issuers() -> Situation:
    old = issued("Old Root", authority=True, begin=-4000, end=900)
    crossed = issued("Root X1", by=old, key=ROOT.key, authority=True)
    return healthy(gateway(), secret(leaf(), MIDDLE, ROOT, crossed))


@situation
def a_root_at_the_end() -> Situation:
    return healthy(gateway(), secret(leaf(), MIDDLE, ROOT))


@situation
def a_pair_of_both_kinds_of_key() -> Situation:
    return healthy(
        gateway(listener(HOST, "shop-tls", "shop-rsa")),
        good(),
        secret(leaf(key=rsa_key()), MIDDLE, name="shop-rsa"),
    )


@situation
def one_secret_in_many_listeners() -> Situation:
    names = [f"{it}.example.com" for it in "abcdefgh"]
    of = [listener(it, name=it.partition(".")[0]) for it in names]
    return healthy(gateway(*of), secret(leaf("*.example.com"), MIDDLE))


@situation
def an_expired_certificate_that_nobody_uses() -> Situation:
    return healthy(gateway(), good(), secret(leaf(end=-5), MIDDLE, name="old-tls"))


@situation
def an_expired_certificate_of_a_listener_that_passes_through() -> Situation:
    passing = listener("db.example.com", name="db", mode="Passthrough")
    return healthy(gateway(listener(), passing), good(), secret(leaf(end=-5), name="db-tls"))


@situation
def a_listener_for_all_names() -> Situation:
    return healthy(
        gateway(listener(None)),
        route(HOST, "www.example.com"),
        secret(leaf(HOST, "www.example.com"), MIDDLE),
    )


@situation
def a_listener_for_all_names_without_routes() -> Situation:
    return healthy(gateway(listener(None)), good())


@situation
def several_certificates_cover_together() -> Situation:
    return healthy(
        gateway(listener(None, "shop-tls", "www-tls")),
        route(HOST, "www.example.com"),
        good(),
        secret(leaf("www.example.com"), MIDDLE, name="www-tls"),
    )


@situation
def names_in_capitals() -> Situation:
    return healthy(gateway(), secret(leaf("Shop.Example.COM"), MIDDLE))


@situation
def a_secret_of_another_namespace_with_its_grant() -> Situation:
    return healthy(gateway(listener(HOST, "certs/shop-tls")), grant(), good(namespace="certs"))


@situation
def a_grant_for_one_secret() -> Situation:
    allowed = grant(name="shop-tls")
    return healthy(gateway(listener(HOST, "certs/shop-tls")), allowed, good(namespace="certs"))


@situation
def a_private_authority_where_roots_are_not_judged() -> Situation:
    own = issued("Own CA", authority=True)
    return healthy(gateway(), secret(leaf(by=own)), trust=None)


@situation
def a_private_authority_that_is_trusted() -> Situation:
    own = issued("Own CA", authority=True, identified=False)
    trust = roots.roots(ROOT.pem + own.pem)
    return healthy(gateway(), secret(leaf(by=own, identified=False)), trust=trust)


@situation
def signed_by_itself_where_roots_are_not_judged() -> Situation:
    return healthy(gateway(), secret(issued(HOST, [HOST], authority=True)), trust=None)


@situation
def signed_by_itself_and_trusted() -> Situation:
    own = issued(HOST, [HOST])
    return healthy(gateway(), secret(own), trust=roots.roots(own.pem))


@situation
def line_ends_of_windows() -> Situation:
    it = leaf()
    text = chain(it, MIDDLE).replace(b"\n", b"\r\n")
    key = it.key_pem().replace(b"\n", b"\r\n")
    return healthy(gateway(), secret(certificate=text, key=key))


@situation
def text_between_the_blocks() -> Situation:
    it = leaf()
    text = b"subject=CN = shop\nissuer=CN = R10\n" + it.pem + b"\n1 s:R10\n" + MIDDLE.pem
    return healthy(gateway(), secret(certificate=text, key=it.key_pem()))


@situation
def a_listener_without_tls() -> Situation:
    plain = {"name": "http", "port": 80, "protocol": "HTTP", "hostname": "other.example.com"}
    return healthy(gateway(plain, listener()), good())


@situation
def a_secret_of_another_type_that_nobody_uses() -> Situation:
    return healthy(gateway(), good(), good(name="other", of_type="Opaque"))


@situation
def a_place_where_envoy_fetches_the_certificate() -> Situation:
    return healthy(gateway(), good(of_type="gateway.envoyproxy.io/sds"))


@situation
def an_expired_one_beside_its_successor_of_another_listener() -> Situation:
    return healthy(
        gateway(listener(HOST, "new-tls")), good(name="new-tls"), secret(leaf(end=-1), MIDDLE)
    )


@situation
def a_certificate_without_a_subject() -> Situation:
    """As authorities issue them for a few days."""
    bare = issued("", [HOST], MIDDLE)
    return healthy(gateway(), secret(bare, MIDDLE))


@situation
def keys_in_their_old_forms() -> Situation:
    ours, rsa = leaf(), leaf("www.example.com", key=rsa_key())
    old = PrivateFormat.TraditionalOpenSSL
    return healthy(
        gateway(listener(), listener("www.example.com", "www-tls", name="www")),
        secret(ours, MIDDLE, key=ours.key_pem(old)),
        secret(rsa, MIDDLE, name="www-tls", key=rsa.key_pem(old)),
    )


@situation
def a_key_with_its_certificate_behind() -> Situation:
    it = leaf()
    return healthy(gateway(), secret(it, MIDDLE, key=it.key_pem() + chain(it, MIDDLE)))


@situation
def a_long_chain() -> Situation:
    members = [issued("A1", by=MIDDLE, authority=True)]
    for number in range(2, 5):
        members.append(issued(f"A{number}", by=members[-1], authority=True, key=rsa_key(2048, 4)))
    return healthy(gateway(), secret(leaf(by=members[-1]), *reversed(members), MIDDLE))


@situation
def authorities_without_key_identifiers() -> Situation:
    root = issued("Root G1", authority=True, identified=False)
    middle = issued("G1", by=root, authority=True, identified=False)
    it = leaf(by=middle, identified=False)
    return healthy(gateway(), secret(it, middle), trust=roots.roots(root.pem))


@situation
def an_authority_that_is_trusted_itself() -> Situation:
    return healthy(gateway(), secret(leaf()), trust=roots.roots(MIDDLE.pem))


@situation
def names_by_themselves_and_by_wildcard() -> Situation:
    return healthy(
        gateway(listener(None)),
        route("example.com", "a.example.com"),
        secret(leaf("example.com", "*.example.com"), MIDDLE),
    )


@situation
def a_route_for_a_wildcard_below() -> Situation:
    return healthy(
        gateway(listener("*.example.com")),
        route("*.eu.example.com"),
        secret(leaf("*.example.com", "*.eu.example.com"), MIDDLE),
    )


@situation
def a_route_of_another_listener() -> Situation:
    plain = {"name": "http", "port": 80, "protocol": "HTTP"}
    return healthy(gateway(plain, listener()), route("www.example.org", section="http"), good())


@situation
def two_gateways_with_one_secret() -> Situation:
    of = gateway(listener("b.example.com"), name="private")
    return healthy(gateway(), of, secret(leaf("*.example.com"), MIDDLE))


@situation
def two_secrets_of_one_kind_for_different_names() -> Situation:
    of = gateway(listener(None, "shop-tls", "www-tls"))
    return healthy(of, good(), secret(leaf("www.example.com"), MIDDLE, name="www-tls"))


@situation
def a_certificate_that_is_just_valid() -> Situation:
    return healthy(gateway(), secret(leaf(begin=0), MIDDLE))


@situation
def a_certificate_for_servers_and_clients() -> Situation:
    ids = x509.oid.ExtendedKeyUsageOID
    both = x509.ExtendedKeyUsage([ids.CLIENT_AUTH, ids.SERVER_AUTH])
    return healthy(gateway(), secret(leaf(extensions=[both]), MIDDLE))


@situation
def a_certificate_of_another_gateway_that_is_not_ours() -> Situation:
    return healthy(gateway(), good(), secret(leaf("x.example.org", end=-9), namespace="istio"))


@situation
def a_key_of_a_longer_curve() -> Situation:
    odd = leaf(key=ec.generate_private_key(ec.SECP384R1()))
    return healthy(gateway(), secret(odd, MIDDLE))


@situation
def a_listener_set_with_its_grant() -> Situation:
    of = listener("own.example.com", "certs/own-tls", name="own")
    it = secret(leaf("own.example.com"), MIDDLE, name="own-tls", namespace="certs")
    return healthy(gateway(), good(), listener_set(of), grant(kind="ListenerSet"), it)


# Faulty.


@situation
def expired() -> Situation:
    return faulty([f"error GW601 {AT}"], gateway(), secret(leaf(end=-1), MIDDLE))


@situation
def expired_a_minute_ago() -> Situation:
    return faulty([f"error GW601 {AT}"], gateway(), secret(leaf(end=-1 / 1440), MIDDLE))


@situation
def expired_in_five_listeners() -> Situation:
    of = [listener(f"{it}.example.com", name=it) for it in "abcde"]
    return faulty(
        [f"error GW601 {AT}"], gateway(*of), secret(leaf("*.example.com", end=-1), MIDDLE)
    )


@situation
def not_yet_valid() -> Situation:
    return faulty([f"error GW602 {AT}"], gateway(), secret(leaf(begin=1), MIDDLE))


@situation
def twenty_days_left() -> Situation:
    return faulty([f"warning GW603 {AT}"], gateway(), secret(leaf(end=20), MIDDLE))


@situation
def six_days_left() -> Situation:
    return faulty([f"error GW603 {AT}"], gateway(), secret(leaf(end=6), MIDDLE))


@situation
def an_authority_with_twenty_days_left() -> Situation:
    short = issued("R9", by=ROOT, authority=True, end=20)
    return faulty([f"warning GW603 {AT}"], gateway(), secret(leaf(by=short), short))


@situation
def the_name_of_another_host() -> Situation:
    return faulty([f"error GW604 {HTTPS}"], gateway(), secret(leaf("www.example.com"), MIDDLE))


@situation
def a_wildcard_is_not_the_apex() -> Situation:
    return faulty(
        [f"error GW604 {HTTPS}"],
        gateway(listener("example.com")),
        secret(leaf("*.example.com"), MIDDLE),
    )


@situation
def a_wildcard_is_one_label() -> Situation:
    return faulty(
        [f"error GW604 {HTTPS}"],
        gateway(listener("*.example.com")),
        route("a.b.example.com"),
        secret(leaf("*.example.com"), MIDDLE),
    )


@situation
def a_cn_without_san() -> Situation:
    bare = issued(HOST, by=MIDDLE)
    return faulty([f"error GW604 {HTTPS}"], gateway(), secret(bare, MIDDLE))


@situation
def a_route_of_a_listener_for_all_names() -> Situation:
    return faulty(
        [f"error GW604 {HTTPS}"], gateway(listener(None)), route(HOST, "api.example.com"), good()
    )


@situation
def a_wildcard_listener_with_the_names_of_its_routes_alone() -> Situation:
    return faulty(
        [f"warning GW604 {HTTPS}"], gateway(listener("*.example.com")), route(HOST), good()
    )


@situation
def one_listener_of_three_is_not_covered() -> Situation:
    of = [listener(f"{it}.example.com", name=it) for it in "abc"]
    return faulty(
        ["error GW604 Gateway edge/public, listener c"],
        gateway(*of),
        secret(leaf("a.example.com", "b.example.com"), MIDDLE),
    )


@situation
def no_authority_between() -> Situation:
    return faulty([f"error GW605 {AT}"], gateway(), secret(leaf()))


@situation
def served_one_last() -> Situation:
    it = leaf()
    return faulty([f"error GW605 {AT}"], gateway(), secret(MIDDLE, it, key=it.key_pem()))


@situation
def authorities_in_the_wrong_order() -> Situation:
    return faulty([f"warning GW605 {AT}"], gateway(), secret(leaf(), ROOT, MIDDLE))


@situation
def the_authority_of_another() -> Situation:
    other = issued("R11", by=ROOT, authority=True)
    expected = [f"warning GW605 {AT}", f"error GW605 {AT}"]
    return faulty(expected, gateway(), secret(leaf(), other))


@situation
def the_same_name_and_another_authority() -> Situation:
    """As an authority that was made anew under its old name, with another key."""
    other = issued("R10", by=ROOT, authority=True)
    expected = [f"warning GW605 {AT}", f"error GW605 {AT}"]
    return faulty(expected, gateway(), secret(leaf(), other))


@situation
def signed_by_itself() -> Situation:
    return faulty([f"warning GW605 {AT}"], gateway(), secret(issued(HOST, [HOST])))


@situation
def an_expired_authority() -> Situation:
    old = issued("R3", by=ROOT, authority=True, end=-2)
    return faulty([f"error GW606 {AT}"], gateway(), secret(leaf(by=old), old))


@situation
def an_expired_root_at_the_end() -> Situation:
    old = issued("Old Root", authority=True, begin=-4000, end=-2)
    crossed = issued("Root X1", by=old, key=ROOT.key, authority=True)
    return faulty([f"error GW606 {AT}"], gateway(), secret(leaf(), MIDDLE, crossed, old))


@situation
def the_key_of_another() -> Situation:
    return faulty([f"error GW607 {AT}"], gateway(), secret(leaf(), MIDDLE, key=leaf().key_pem()))


@situation
def a_short_key() -> Situation:
    short = leaf(key=rsa_key(1024))
    return faulty([f"error GW608 {AT}"], gateway(), secret(short, MIDDLE))


@situation
def a_curve_that_envoy_refuses() -> Situation:
    odd = leaf(key=ec.generate_private_key(ec.SECP224R1()))
    return faulty([f"error GW608 {AT}"], gateway(), secret(odd, MIDDLE))


@situation
def a_missing_secret() -> Situation:
    return faulty([f"error GW609 {HTTPS}"], gateway())


@situation
def a_missing_secret_where_types_cannot_be_listed() -> Situation:
    expected = frozenset([f"error GW609 {HTTPS}"])
    return Situation([gateway(), good(of_type="Opaque")], expected, ROOTS, untyped=True)


@situation
def a_secret_of_the_same_name_elsewhere() -> Situation:
    return faulty([f"error GW609 {HTTPS}"], gateway(), good(namespace="shop"))


@situation
def a_secret_of_another_type() -> Situation:
    return faulty([f"error GW610 {AT}"], gateway(), good(of_type="Opaque"))


@situation
def no_grant() -> Situation:
    of = gateway(listener(HOST, "certs/shop-tls"))
    return faulty([f"error GW611 {HTTPS}"], of, good(namespace="certs"))


@situation
def a_grant_for_listener_sets_alone() -> Situation:
    of = gateway(listener(HOST, "certs/shop-tls"))
    return faulty([f"error GW611 {HTTPS}"], of, grant(kind="ListenerSet"), good(namespace="certs"))


@situation
def a_listener_set_without_a_grant_of_its_own() -> Situation:
    of = listener("own.example.com", "certs/own-tls", name="own")
    it = secret(leaf("own.example.com"), MIDDLE, name="own-tls", namespace="certs")
    expected = ["error GW611 ListenerSet edge/own, listener own"]
    return faulty(expected, gateway(), good(), listener_set(of), grant(), it)


@situation
def a_grant_in_the_wrong_namespace() -> Situation:
    of = gateway(listener(HOST, "certs/shop-tls"))
    return faulty([f"error GW611 {HTTPS}"], of, grant("edge"), good(namespace="certs"))


@situation
def der() -> Situation:
    it = leaf()
    return faulty([f"error GW612 {AT}"], gateway(), secret(certificate=it.der, key=it.key_pem()))


@situation
def an_encrypted_key() -> Situation:
    it = leaf()
    key = it.key_pem(password=b"0123456789")
    return faulty([f"error GW612 {AT}"], gateway(), secret(it, MIDDLE, key=key))


@situation
def a_byte_order_mark() -> Situation:
    it = leaf()
    text = b"\xef\xbb\xbf" + chain(it, MIDDLE)
    of = secret(certificate=text, key=it.key_pem())
    return faulty([f"error GW612 {AT}"], gateway(), of)


@situation
def an_empty_secret() -> Situation:
    return faulty([f"error GW612 {AT}"], gateway(), secret())


@situation
def an_authority_alone() -> Situation:
    return faulty([f"error GW613 {AT}"], gateway(), secret(MIDDLE))


@situation
def a_certificate_of_a_client() -> Situation:
    of_clients = x509.ExtendedKeyUsage([x509.oid.ExtendedKeyUsageOID.CLIENT_AUTH])
    it = leaf(extensions=[of_clients])
    return faulty([f"error GW613 {AT}"], gateway(), secret(it, MIDDLE))


@situation
def must_staple() -> Situation:
    it = leaf(extensions=[x509.TLSFeature([x509.TLSFeatureType.status_request])])
    return faulty([f"error GW613 {AT}"], gateway(), secret(it, MIDDLE))


@situation
def two_secrets_of_one_kind_for_one_name() -> Situation:
    of = gateway(listener(HOST, "shop-tls", "again-tls"))
    return faulty([f"warning GW618 {HTTPS}"], of, good(), good(name="again-tls"))


@situation
def an_expired_one_beside_its_successor() -> Situation:
    of = gateway(listener(HOST, "shop-tls", "new-tls"))
    return faulty([f"error GW601 {AT}"], of, secret(leaf(end=-1), MIDDLE), good(name="new-tls"))


@situation
def a_key_behind_parameters() -> Situation:
    it = leaf()
    text = b"-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    return faulty([f"warning GW612 {AT}"], gateway(), secret(it, MIDDLE, key=text + it.key_pem()))
