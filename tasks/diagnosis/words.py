"""
Every response flag and response code detail that Envoy 1.38 and 1.39 can write, and what each
means: the table that ``flags`` looks into, and docs/response-flags.md is made of.

Read in the source of Envoy v1.38 and v1.39 (envoy/stream_info/stream_info.h,
source/common/stream_info/utility.h, source/common/http, source/extensions/filters) and held against
the strings of both binaries by tests/diagnosis/test_flags.py.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from tasks.diagnosis.causes import AnsweredBy, Cause


@dataclass(frozen=True)
class Meaning:
    """
    Of one word in a log.

    + word: such as "UF", "route_not_found", "rbac_access_denied_matched_policy[...]"
    + means: in a sentence; + next: what to look at, or to do
    + answered_by: who wrote the response or broke off; None where this word alone does not tell
    + cause: None where it is not one of them, or one of several
    + long: name of a flag in %RESPONSE_FLAGS_LONG%, "" for details
    + since: release that first writes it, "" where both have it; + until: last one that does
    """

    word: str
    means: str
    answered_by: AnsweredBy | None
    cause: Cause | None
    next: str
    long: str = ""
    since: str = ""
    until: str = ""


Row = tuple[str, Cause | None, str, str]

_CLIENT = "Look at the client, or at what stands between it and Envoy."
_ENDPOINTS = "Compare /clusters of the proxy with the EndpointSlices of the Service."
_BACKEND = "Read the log of the backend's Pod at this time."
_REQUEST = "Correct the request of the client."

FLAGS: Mapping[str, Meaning] = {
    it.word: it
    for it in (
        Meaning(
            "DC",
            "The client closed its connection before the response was complete.",
            "client",
            "client_disconnected",
            "Compare duration with the timeout of the client or load balancer: a slow backend "
            "makes clients give up.",
            "DownstreamConnectionTermination",
        ),
        Meaning(
            "DF",
            "A name of the backend could not be resolved.",
            "envoy",
            None,
            "Resolve the name from a Pod of the proxy's namespace; read dns_cache.* in its stats.",
            "DnsResolutionFailed",
        ),
        Meaning(
            "DI",
            "A fault rule delayed the request before it was forwarded; it says nothing of the end.",
            None,
            None,
            "Look for faultInjection in the BackendTrafficPolicy of this route.",
            "DelayInjected",
        ),
        Meaning(
            "DO",
            "The control plane told Envoy to drop a share of requests, and this was one.",
            "envoy",
            None,
            "Look for drop_overloads in the endpoints of the cluster.",
            "DropOverload",
        ),
        Meaning(
            "DPE",
            "The client broke the rules of HTTP, or sent a header that is refused.",
            "envoy",
            None,
            "Read response_code_details: it names the rule. TLS sent to a plain port looks so too.",
            "DownstreamProtocolError",
        ),
        Meaning(
            "DR",
            "The client reset its HTTP/2 or HTTP/3 stream; with a detail such as "
            "http2.unexpected_underscore Envoy did.",
            "client",
            "client_disconnected",
            _CLIENT,
            "DownstreamRemoteReset",
        ),
        Meaning(
            "DT",
            "The connection or request lived longer than it may.",
            "envoy",
            None,
            "Compare with timeouts and maxConnectionDuration of the ClientTrafficPolicy.",
            "DurationTimeout",
        ),
        Meaning(
            "FI",
            "A fault rule ended the request with an error on purpose.",
            "envoy",
            "fault_injected",
            "Remove faultInjection.abort from the BackendTrafficPolicy of this route.",
            "FaultInjected",
        ),
        Meaning(
            "IH",
            "An x-envoy-* header of the request has a value that is not valid.",
            "envoy",
            None,
            _REQUEST,
            "InvalidEnvoyRequestHeaders",
        ),
        Meaning(
            "LH",
            "The proxy itself answers its health check with failure, so it takes no requests.",
            "envoy",
            None,
            "The proxy drains, or /healthcheck/fail was asked of its admin interface.",
            "FailedLocalHealthCheck",
        ),
        Meaning(
            "LR",
            "Envoy reset the stream to the backend itself.",
            "envoy",
            "envoy_internal_error",
            "Read response_code_details, and Envoy's own log with http and router on debug.",
            "LocalReset",
        ),
        Meaning(
            "NC",
            "The route names a cluster that the proxy does not have.",
            "envoy",
            "cluster_not_found",
            "Compare the route with /clusters; look for rejected updates in the control plane.",
            "NoClusterFound",
        ),
        Meaning(
            "NFCF",
            "The configuration of a filter did not arrive in time.",
            "envoy",
            "envoy_internal_error",
            "Look whether the extension config discovery of the control plane answers.",
            "NoFilterConfigFound",
        ),
        Meaning(
            "NR",
            "No route fits the request, or no filter chain the connection.",
            "envoy",
            None,
            "Compare Host, SNI, path, method and headers with the hostnames and rules of the "
            "listener where it arrived.",
            "NoRouteFound",
        ),
        Meaning(
            "OM",
            "The overload manager of the proxy ended the request: it is short of memory or "
            "connections.",
            "envoy",
            "envoy_internal_error",
            "Read overload.* in the stats; give the proxy more memory or more replicas.",
            "OverloadManagerTerminated",
        ),
        Meaning(
            "RFCF",
            "The response came from the cache filter, no backend was asked.",
            "envoy",
            None,
            "Nothing is wrong by itself.",
            "ResponseFromCacheFilter",
        ),
        Meaning(
            "RL",
            "A rate limit was used up.",
            "envoy",
            "rate_limited",
            "Compare the limit in the BackendTrafficPolicy of this route with its traffic.",
            "RateLimited",
        ),
        Meaning(
            "RLSE",
            "The rate limit service could not be asked, and requests are refused without it.",
            "envoy",
            "envoy_internal_error",
            "Look at the Pods of envoy-ratelimit and of its Redis.",
            "RateLimitServiceError",
        ),
        Meaning(
            "SI",
            "Nothing moved on the stream for longer than its idle timeout.",
            "envoy",
            None,
            "Look who waited: duration_request tells the client's part, upstream_host the "
            "backend's.",
            "StreamIdleTimeout",
        ),
        Meaning(
            "UAEX",
            "The external authorization service refused, or could not be asked.",
            "envoy",
            None,
            "response_code_details tells which: ext_authz_denied or ext_authz_error.",
            "UnauthorizedExternalService",
        ),
        Meaning(
            "UC",
            "The backend closed its connection before it had answered.",
            "envoy",
            "upstream_closed_connection",
            _BACKEND + " A keepalive of the backend that is shorter than Envoy's looks so too.",
            "UpstreamConnectionTermination",
        ),
        Meaning(
            "UDO",
            "The control plane told Envoy to drop all requests for this cluster.",
            "envoy",
            None,
            "Look for drop_overloads in the endpoints of the cluster.",
            "UnconditionalDropOverload",
        ),
        Meaning(
            "UF",
            "No connection to the backend came about.",
            "envoy",
            None,
            "upstream_transport_failure_reason has why: refused, timed out, or TLS.",
            "UpstreamConnectionFailure",
        ),
        Meaning(
            "UH",
            "The cluster has no endpoint that may be used.",
            "envoy",
            None,
            _ENDPOINTS + " None, failing health checks, or ejected ones look the same here.",
            "NoHealthyUpstream",
        ),
        Meaning(
            "UMSDR",
            "The stream to the backend reached the longest duration that is allowed.",
            "envoy",
            "upstream_timeout",
            "Compare with maxStreamDuration of the BackendTrafficPolicy.",
            "UpstreamMaxStreamDurationReached",
        ),
        Meaning(
            "UO",
            "A circuit breaker of the cluster was full.",
            "envoy",
            "circuit_breaker_overflow",
            "Compare circuitBreaker of the BackendTrafficPolicy with upstream_rq_pending_overflow "
            "and upstream_cx_overflow.",
            "UpstreamOverflow",
        ),
        Meaning(
            "UPE",
            "The backend answered what is no HTTP of the version that Envoy speaks with it.",
            "envoy",
            "upstream_protocol_error",
            "Compare the protocol of the backend's port with appProtocol of its Service.",
            "UpstreamProtocolError",
        ),
        Meaning(
            "UR",
            "The backend reset the stream.",
            "envoy",
            "upstream_closed_connection",
            _BACKEND,
            "UpstreamRemoteReset",
        ),
        Meaning(
            "URX",
            "All retries were used up, or too many connections were tried; the response is that "
            "of the last attempt.",
            None,
            None,
            "Read the other flags and response_code_details: they are of the last attempt.",
            "UpstreamRetryLimitExceeded",
        ),
        Meaning(
            "UT",
            "The backend did not answer within the timeout of the route.",
            "envoy",
            "upstream_timeout",
            "Compare duration with timeouts of the HTTPRoute's rule and of the "
            "BackendTrafficPolicy.",
            "UpstreamRequestTimeout",
        ),
    )
}

# fmt: off
_ROUTER: tuple[Row, ...] = (
    ("absolute_path_rejected", None,
     "The request line holds a whole URL, which this listener does not take.", _REQUEST),
    ("admin_filter_response", None, "The admin interface answered.",
     "The admin port is reachable through a route: close it."),
    ("cluster_not_found", "cluster_not_found",
     "The route names a cluster that the proxy does not have.",
     "Compare the route with /clusters; look for rejected updates in the control plane."),
    ("direct_response", None, "The route itself holds the response or redirect; no backend was "
     "asked.", "Read the route in the config dump: Envoy Gateway writes 503 where no endpoint is "
     "ready and 500 where a backendRef is wrong; anything else somebody wanted."),
    ("drop_overload", None, "The control plane told Envoy to drop a share of requests.",
     "Look for drop_overloads in the endpoints of the cluster."),
    ("unconditional_drop_overload", None,
     "The control plane told Envoy to drop all requests for this cluster.",
     "Look for drop_overloads in the endpoints of the cluster."),
    ("duration_timeout", None, "The connection reached the longest duration that is allowed.",
     "Compare with maxConnectionDuration of the ClientTrafficPolicy."),
    ("downstream_header_timeout", None, "The client took too long to send its headers.", _CLIENT),
    ("early_connect_data", None,
     "The client sent data on a CONNECT request before it was accepted.", _CLIENT),
    ("filter_added_invalid_request_data", "envoy_internal_error",
     "A filter added data to a request where it may not.",
     "Look at extensions of this route (Lua, Wasm, ext_proc)."),
    ("filter_added_invalid_response_data", "envoy_internal_error",
     "A filter added data to a response where it may not.",
     "Look at extensions of this route (Lua, Wasm, ext_proc)."),
    ("filter_chain_not_found", None, "No filter chain of the listener fits the connection: an SNI "
     "that no listener has, none at all, or plain HTTP on a TLS port.",
     "Compare requested_server_name with the hostnames of the Gateway's listeners."),
    ("filter_removed_required_request_headers{...}", "envoy_internal_error",
     "A filter removed a header that requests must have.",
     "Look at extensions and header filters of this route."),
    ("filter_removed_required_response_headers{...}", "envoy_internal_error",
     "A filter removed a header that responses must have.",
     "Look at extensions and header filters of this route."),
    ("internal_redirect", None, "Envoy followed the redirect of the backend itself; the line of "
     "the new request tells the end.", "Read the line with the same x-request-id."),
    ("invalid_path", None, "The path has characters that no path may have.", _REQUEST),
    ("low_version", None, "The client speaks HTTP/1.0 or 0.9, which is not enabled.",
     "Enable http1.http10 in the ClientTrafficPolicy, or let the client speak HTTP/1.1."),
    ("maintenance_mode", None, "The cluster is in maintenance by a runtime key.",
     "Read upstream.maintenance_mode.* in the runtime of the proxy."),
    ("max_duration_timeout", None,
     "The request took longer than the longest duration of a stream.",
     "Compare duration with maxStreamDuration."),
    ("missing_host_header", None, "The request has no Host.", _REQUEST),
    ("missing_path_rejected", None, "The request has no path.", _REQUEST),
    ("no_healthy_upstream", None, "The cluster has no endpoint that may be used.", _ENDPOINTS +
     " None, failing health checks, or ejected ones look the same here."),
    ("overload", "envoy_internal_error",
     "The overload manager refuses new requests: the proxy is short of memory or connections.",
     "Read overload.* in the stats; give the proxy more memory or more replicas."),
    ("path_normalization_failed", None, "The path could not be brought into its normal form.",
     _REQUEST),
    ("rejecting_because_detection_failed", None,
     "The address of the client could not be found where it must be.",
     "Compare clientIPDetection of the ClientTrafficPolicy with what stands before Envoy."),
    ("request_header_timeout", None, "The client took longer for its headers than it may.",
     "Compare with requestHeaders timeouts of the ClientTrafficPolicy, and look at the client."),
    ("request_headers_failed_strict_check", None,
     "An x-envoy-* header of the request has a value that is not valid.", _REQUEST),
    ("request_overall_timeout", None, "The client took longer to send its request than it may.",
     "Compare with timeout.http.requestReceivedTimeout of the ClientTrafficPolicy, and look at "
     "the client."),
    ("request_payload_exceeded_retry_buffer_limit", None,
     "The body is larger than what is kept for a retry.",
     "Raise the buffer limit of the connection, or do without retries for large bodies."),
    ("request_payload_too_large", None,
     "The body is larger than a filter that has to hold it may take.",
     "Raise requestBuffer or the connection's bufferLimit, or send less."),
    ("response_payload_too_large", None,
     "The response is larger than a filter that has to hold it may take.",
     "Raise bufferLimit of the connection, or let the filter stream."),
    ("response_timeout", "upstream_timeout",
     "The backend did not answer within the timeout of the route.",
     "Compare duration with timeouts of the HTTPRoute's rule and of the BackendTrafficPolicy."),
    ("route_configuration_not_found", "envoy_internal_error",
     "The listener has no route configuration at all.",
     "Look whether the proxy has its RDS: rejected updates, a control plane that is away."),
    ("route_not_found", None, "No virtual host has this Host, or none of its routes fits the "
     "request.", "Compare Host, path, method and headers with the listener where it arrived; with "
     "an SNI that is not the Host, the connection was opened for another host."),
    ("stream_idle_timeout", None, "Nothing moved on the stream for longer than its idle timeout.",
     "Look who waited: the client with its body, or the backend with its answer."),
    ("upgrade_failed", None, "The client asked for an upgrade (WebSocket) that this route does "
     "not allow.", "Allow it in the BackendTrafficPolicy (httpUpgrade), or take Upgrade out of "
     "the request."),
    ("upstream_max_stream_duration_reached", "upstream_timeout",
     "The stream to the backend reached the longest duration that is allowed.",
     "Compare with maxStreamDuration of the BackendTrafficPolicy."),
    ("upstream_per_try_idle_timeout", "upstream_timeout",
     "Nothing came from the backend for longer than one try may be idle.",
     "Compare with retry.perRetry of the BackendTrafficPolicy."),
    ("upstream_per_try_timeout", "upstream_timeout", "The last try took longer than one try may.",
     "Compare with retry.perRetry.timeout of the BackendTrafficPolicy."),
    ("upstream_reset_after_response_started{...}", "upstream_closed_connection",
     "The backend broke off after it had begun to answer: the client got a part, and Envoy closed.",
     _BACKEND),
    ("upstream_reset_before_response_started{...}", None,
     "The backend could not be reached or broke off before it answered; the braces say how.",
     "Read what stands in the braces: the table of resets explains it."),
    ("websocket_handshake_unsuccessful", None, "The backend did not accept the upgrade.",
     _BACKEND),
)

_CODECS: tuple[Row, ...] = (
    ("http.async_response_buffer_limit", "envoy_internal_error",
     "The answer of a service that a filter asked is larger than Envoy holds.",
     "Let that service answer with less."),
    ("http.connect_not_supported", None, "CONNECT is not allowed here.", _REQUEST),
    ("http.invalid_authority", None, "The Host has characters that none may have.", _REQUEST),
    ("http.invalid_method", None, "The method is none that HTTP knows.", _REQUEST),
    ("http.invalid_path", None, "The path has characters that none may have.", _REQUEST),
    ("http.invalid_scheme", None, "The scheme is neither http nor https.", _REQUEST),
    ("http1.body_disallowed", None, "A body came where none may be.", _REQUEST),
    ("http1.codec_error", None,
     "What came is no HTTP/1: often TLS that was sent to a plain port.",
     "Look at the scheme and port that the client uses."),
    ("http1.connection_header_rejected", None, "The Connection header is malformed.", _REQUEST),
    ("http1.content_length_and_chunked_not_allowed", None,
     "The message has both Content-Length and Transfer-Encoding: a way to smuggle requests.",
     _REQUEST),
    ("http1.content_length_not_allowed", None, "Content-Length came where it may not be.",
     _REQUEST),
    ("http1.headers_too_large", None, "The headers are larger than 60 KiB, or than what is set.",
     "Look at cookies and tokens of the client; raise headers limits in ClientTrafficPolicy."),
    ("http1.https_url_on_plaintext_connection", None,
     "The request line holds an https URL on a connection without TLS.", _REQUEST),
    ("http1.invalid_characters", None, "A header has characters that none may have.", _REQUEST),
    ("http1.invalid_scheme", None, "The scheme in the request line is not valid.", _REQUEST),
    ("http1.invalid_transfer_encoding", None, "Transfer-Encoding is not valid.", _REQUEST),
    ("http1.invalid_url", None, "The request line holds no valid URL.", _REQUEST),
    ("http1.too_many_headers", None, "There are more headers than allowed (100).", _REQUEST),
    ("http1.transfer_encoding_not_allowed", None, "Transfer-Encoding came where it may not be.",
     _REQUEST),
    ("http1.unexpected_underscore", "rejected_underscore_header",
     "A header name has an underscore, and such requests are refused.",
     "Rename the header, or set withUnderscoresAction: Allow in ClientTrafficPolicy."),
    ("http2.cookies_total_bytes_too_large", None, "The cookies together are larger than allowed.",
     "Look at cookies of the client."),
    ("http2.header_list_size_too_large", None, "The headers together are larger than allowed.",
     "Look at cookies and tokens of the client."),
    ("http2.inbound_empty_frames_flood", None,
     "Too many empty frames came: an attack or a broken client.", _CLIENT),
    ("http2.invalid.header.field", None, "A header is not valid in HTTP/2.", _REQUEST),
    ("http2.outbound_frames_flood", None,
     "The client makes Envoy send more frames than it takes.", _CLIENT),
    ("http2.remote_refuse", "client_disconnected", "The client refused the stream.", _CLIENT),
    ("http2.remote_reset", "client_disconnected", "The client reset the stream.", _CLIENT),
    ("http2.too_many_headers", None, "There are more headers than allowed (100).", _REQUEST),
    ("http2.unexpected_underscore", "rejected_underscore_header",
     "A header name has an underscore, and such requests are refused.",
     "Rename the header, or set withUnderscoresAction: Allow in ClientTrafficPolicy."),
    ("http2.unknown.nghttp2.error", None, "The HTTP/2 of the client is broken.", _CLIENT),
    ("http2.unknown.oghttp2.error", None, "The HTTP/2 of the client is broken.", _CLIENT),
    ("http2.violation.of.messaging.rule", None,
     "The message breaks a rule of HTTP/2 (pseudo headers, connection headers).", _REQUEST),
    ("http3.headers_too_large", None, "The headers are larger than allowed.", _REQUEST),
    ("http3.inconsistent_content_length", None, "The body is not as long as content-length says.",
     _REQUEST),
    ("http3.invalid_header_field", None, "A header is not valid in HTTP/3.", _REQUEST),
    ("http3.too_many_headers", None, "There are more headers than allowed.", _REQUEST),
    ("http3.too_many_trailers", None, "There are more trailers than allowed.", _REQUEST),
    ("http3.unexpected_underscore", "rejected_underscore_header",
     "A header name has an underscore, and such requests are refused.",
     "Rename the header, or set withUnderscoresAction: Allow in ClientTrafficPolicy."),
    ("uhv.empty_header_name", None, "A header has no name.", _REQUEST),
    ("uhv.escaped_slashes_in_url_path", None, "The path has %2F or %5C, which are refused.",
     "See path.escapedSlashesAction of the ClientTrafficPolicy."),
    ("uhv.fragment_in_url_path", None, "The path has a #fragment.", _REQUEST),
    ("uhv.http1.content_length_not_allowed", None, "Content-Length came where it may not be.",
     _REQUEST),
    ("uhv.http1.transfer_encoding_not_allowed", None,
     "Transfer-Encoding came where it may not be.", _REQUEST),
    ("uhv.http2.connection_header_rejected", None, "A Connection header came over HTTP/2.",
     _REQUEST),
    ("uhv.http2.invalid_te", None, "TE over HTTP/2 is not trailers.", _REQUEST),
    ("uhv.invalid_content_length", None, "Content-Length is no number.", _REQUEST),
    ("uhv.invalid_host", None, "The Host is not valid.", _REQUEST),
    ("uhv.invalid_host_deprecated_user_info", None, "The Host has user@ before it.", _REQUEST),
    ("uhv.invalid_method", None, "The method is not valid.", _REQUEST),
    ("uhv.invalid_name_characters", None, "A header name has characters that none may have.",
     _REQUEST),
    ("uhv.invalid_pseudo_header", None, "A pseudo header is not valid.", _REQUEST),
    ("uhv.invalid_scheme", None, "The scheme is not valid.", _REQUEST),
    ("uhv.invalid_status", None, "The status of the response is not valid.", _BACKEND),
    ("uhv.invalid_value_characters", None, "A header value has characters that none may have.",
     _REQUEST),
    ("uhv.path_normalization_redirect", None,
     "The client is sent to the normal form of its path.", "Nothing is wrong by itself."),
    ("uhv.percent_00_in_url_path", None, "The path has %00.", _REQUEST),
    ("uhv.unexpected_underscore", "rejected_underscore_header",
     "A header name has an underscore, and such requests are refused.",
     "Rename the header, or set withUnderscoresAction: Allow in ClientTrafficPolicy."),
)

_AUTH: tuple[Row, ...] = (
    ("client_not_allowed", None, "The API key is valid, but its client may not use this route.",
     "Compare apiKeyAuth of the SecurityPolicy with the client of this key."),
    ("missing_api_key", None, "The request has no API key.",
     "Send it where extractFrom of the SecurityPolicy says."),
    ("missing_credentials", None, "The API key filter has no keys at all.",
     "Look at the Secret that credentialRefs of the SecurityPolicy names."),
    ("missing_key_sources", None, "The API key filter does not know where keys are.",
     "Set extractFrom in the SecurityPolicy."),
    ("unkonwn_api_key", None, "The API key is none of those that are known (Envoy spells it so).",
     "Compare it with the Secret that credentialRefs of the SecurityPolicy names."),
    ("no_credential_for_basic_auth", None, "The request has no Authorization header.", _REQUEST),
    ("invalid_scheme_for_basic_auth", None, "Authorization is not Basic.", _REQUEST),
    ("invalid_format_for_basic_auth", None, "What follows Basic is no user:password.", _REQUEST),
    ("invalid_credential_for_basic_auth", None, "User or password is wrong.",
     "Compare with the Secret that basicAuth.users of the SecurityPolicy names."),
    ("csrf_origin_mismatch", None, "Origin or Referer is of another host.",
     "Allow the origin in the CSRF filter, or correct the client."),
    ("cors_response", None, "Envoy answered a CORS preflight itself.",
     "Nothing is wrong by itself; compare Access-Control-* with cors of the SecurityPolicy."),
    ("ext_authz_denied", "ext_authz_denied", "The external authorization service said no.",
     "Read the log of the service that extAuth of the SecurityPolicy names: Envoy only passes its "
     "answer on."),
    ("ext_authz_error", "ext_authz_error", "The external authorization service could not be "
     "asked, and requests are refused without it.",
     "Look at the Pods and the port of the service that extAuth of the SecurityPolicy names."),
    ("ext_authz_invalid", "ext_authz_error",
     "The external authorization service answered with headers that are not valid.",
     "Read the log of the service that extAuth of the SecurityPolicy names."),
    ("jwt_authn_access_denied{...}", "jwt_denied",
     "The token is missing or not accepted; the braces say why.",
     "Read the braces, and compare the token with jwt.providers of the SecurityPolicy."),
    ("oauth.logged_in", None, "A login ended well: the client is sent back to where it was.",
     "Nothing is wrong by itself; over and over, the cookie does not come back (domain, https)."),
    ("oauth.missing_credentials", None, "The client has no session and is sent to log in.",
     "Nothing is wrong by itself; over and over, cookies do not come back (domain, https)."),
    ("oauth.race_redirect", None, "The client has logged in meanwhile and is sent on.",
     "Nothing is wrong by itself."),
    ("oauth.sign_out", None, "The client logged out.", "Nothing is wrong by itself."),
    ("CSRF_token_validation_failed", None, "The login came back with a state that is not of this "
     "browser: an old tab, lost cookies, or another HMAC secret.",
     "Look whether cookies come back, and whether all proxies share the OIDC HMAC Secret."),
    ("Failed_to_get_access_token", None, "The OIDC provider gave no token for the login.",
     "Look at clientID, client Secret and tokenEndpoint of oidc in the SecurityPolicy."),
    ("rbac_access_denied_matched_policy[...]", "rbac_denied",
     "A rule for authorization refused; the brackets name it, DENY or none is the default.",
     "Compare the client with authorization.rules of the SecurityPolicy."),
)

_LIMITS: tuple[Row, ...] = (
    ("denied_by_admission_control", "rate_limited",
     "Too many requests of this route failed of late, so a share is refused.",
     "Find why they fail: read the lines before these."),
    ("local_rate_limited", "rate_limited", "The rate limit of this proxy is used up.",
     "Compare rateLimit.local of the BackendTrafficPolicy with the traffic of this route."),
    ("rate_limited_by_quota", "rate_limited", "The quota of the rate limit service is used up.",
     "Look at the quota of this bucket."),
    ("rate_limiter_error", "envoy_internal_error",
     "The rate limit service could not be asked, and requests are refused without it.",
     "Look at the Pods of envoy-ratelimit and of its Redis."),
    ("reached_concurrency_limit", "rate_limited",
     "Adaptive concurrency found the backend at its limit.",
     "Give the backend more replicas, or find what slows it."),
    ("request_rate_limited", "rate_limited", "The global rate limit is used up.",
     "Compare rateLimit.global of the BackendTrafficPolicy with the traffic of this route."),
)

_FILTERS: tuple[Row, ...] = (
    ("a2a_filter_body_too_large", None, "The A2A message is larger than allowed.", _REQUEST),
    ("a2a_filter_not_valid_jsonrpc", None, "The body is no JSON-RPC.", _REQUEST),
    ("a2a_filter_parse_error", None, "The A2A message could not be read.", _REQUEST),
    ("a2a_filter_reject", None, "The request is no A2A, and others are refused.", _REQUEST),
    ("ai_protocol_manager_external_buffer_error", "envoy_internal_error",
     "The AI protocol filter could not keep the body.", "Read Envoy's own log at this time."),
    ("cache.aborted_body", None, "Reading the cached body broke off.",
     "Read Envoy's own log at this time."),
    ("cache.aborted_headers", None, "Reading the cached headers broke off.",
     "Read Envoy's own log at this time."),
    ("cache.aborted_lookup", None, "The look-up in the cache broke off.",
     "Read Envoy's own log at this time."),
    ("cache.aborted_trailers", None, "Reading the cached trailers broke off.",
     "Read Envoy's own log at this time."),
    ("cache.response_from_cache_filter", None,
     "The response came from the cache, no backend was asked.", "Nothing is wrong by itself."),
    ("cache_no_cluster", "cluster_not_found", "The cache filter has no cluster to ask.",
     "Compare the route with /clusters."),
    ("cache_no_route", None, "The cache filter has no route to ask.",
     "Look at the route of this request."),
    ("cache_upstream_reset", "upstream_closed_connection",
     "The backend broke off while the cache was filled.", _BACKEND),
    ("cdn_loop_detected", None, "The request has come through this proxy before.",
     "Look for two CDNs or proxies that send to each other."),
    ("invalid_cdn_loop_header", None, "The CDN-Loop header is not valid.", _REQUEST),
    ("connect_bridge_unary_request_too_large", None,
     "The Connect request is larger than Envoy holds.", "Raise bufferLimit of the connection."),
    ("connect_bridge_unary_response_too_large", None,
     "The response is larger than Envoy holds for a Connect client.",
     "Raise bufferLimit of the connection."),
    ("custom_response_invalid_uri", "envoy_internal_error",
     "The URL of a custom response is not valid.",
     "Look at responseOverride of the BackendTrafficPolicy."),
    ("custom_response_redirect_no_route", None, "The URL of a custom response has no route.",
     "Look at responseOverride of the BackendTrafficPolicy."),
    ("dns_cache_overflow", None, "The cache of names is full: no other host can be asked.",
     "Raise max_hosts of the DNS cache."),
    ("dns_resolution_failure{...}", None, "A name of the backend could not be resolved.",
     "Resolve the name from a Pod of the proxy's namespace; read dns_cache.* in its stats."),
    ("dynamic_forward_proxy_pending_request_overflow", "circuit_breaker_overflow",
     "Too many requests wait for a name to be resolved.",
     "Raise max_pending_requests of the DNS cache, or look at the DNS servers."),
    ("sub_cluster_overflow", None, "There are too many clusters made for names.",
     "Raise max_sub_clusters."),
    ("sub_cluster_warming_timeout", None, "The cluster for this name was not ready in time.",
     "Look at the DNS servers."),
    ("ext_proc_error...", "envoy_internal_error",
     "The external processing service failed or could not be asked; what follows says how.",
     "Look at the Pods and the log of the service that the EnvoyExtensionPolicy names."),
    ("ext_proc_local_response", None, "The external processing service answered itself.",
     "Read the log of the service that the EnvoyExtensionPolicy names."),
    ("ext_proc_reset_requested", None, "The external processing service had the stream reset.",
     "Read the log of the service that the EnvoyExtensionPolicy names."),
    ("failed_to_inject_credential", "envoy_internal_error",
     "The credential for the backend could not be added.",
     "Look at the Secret that credentialInjection of the HTTPRouteFilter names."),
    ("fault_filter_abort", "fault_injected", "A fault rule ended the request on purpose.",
     "Remove faultInjection.abort from the BackendTrafficPolicy of this route."),
    ("file_server_list_not_implemented", None, "A folder cannot be listed.", _REQUEST),
    ("file_server_no_valid_directory_behavior", None, "Nothing is set for a folder.", _REQUEST),
    ("file_server_open_error", None, "The file could not be opened.",
     "Look at the file and its permissions in the proxy."),
    ("file_server_opened_file_stat_failed", None, "The file could not be read.",
     "Look at the file and its permissions in the proxy."),
    ("file_server_range_not_satisfiable", None, "The file has no such range.", _REQUEST),
    ("file_server_read_operation_failed", None, "The file could not be read.",
     "Look at the file and its permissions in the proxy."),
    ("file_server_rejected_method", None, "Files are read with GET or HEAD alone.", _REQUEST),
    ("file_server_rejected_missing_method", None, "The request has no method.", _REQUEST),
    ("file_server_rejected_non_normalized_path", None, "The path has .. or //.", _REQUEST),
    ("file_server_rejected_not_end_stream", None, "A body came with a request for a file.",
     _REQUEST),
    ("file_server_stat_error", None, "The file could not be found.", _REQUEST),
    ("grpc_base_64_decode_failed", None, "The body of grpc-web-text is no base64.", _REQUEST),
    ("grpc_base_64_decode_failed_bad_size", None,
     "The body of grpc-web-text is no base64: its length is wrong.", _REQUEST),
    ("grpc_bridge_content_length_missing", None,
     "The backend's response has no Content-Length, which the gRPC bridge needs.", _BACKEND),
    ("grpc_bridge_content_length_wrong", None,
     "The backend's Content-Length is not that of its body.", _BACKEND),
    ("grpc_bridge_content_type_wrong", None,
     "The backend answered the gRPC bridge with another content type.", _BACKEND),
    ("grpc_bridge_data_too_small", None, "The gRPC request has no whole frame.", _REQUEST),
    ("early_grpc_json_transcode_failure{...}", None,
     "The JSON request fits no gRPC method; the braces say why.", _REQUEST),
    ("grpc_json_transcode_failure{...}", None,
     "The JSON body fits no message of this gRPC method; the braces say why.", _REQUEST),
    ("early_grpc_json_reverse_transcode_failure{...}", None,
     "The gRPC request cannot be made JSON; the braces say why.", _REQUEST),
    ("grpc_json_reverse_transcode_failure{...}", None,
     "The gRPC message cannot be made JSON; the braces say why.", _REQUEST),
    ("header_mutation_remove_contains_invalid_character", "envoy_internal_error",
     "An extension wants to remove a header whose name is not valid.", "Look at the extension."),
    ("health_check_cached", None, "Envoy answered a health check with what it knew.",
     "Nothing is wrong by itself."),
    ("health_check_failed", None, "The proxy answers its health check with failure: it drains.",
     "See why the Pod of the proxy is going away."),
    ("health_check_failed_cluster_empty", None,
     "The health check asks for a cluster without endpoints.", _ENDPOINTS),
    ("health_check_failed_cluster_unhealthy", None,
     "The health check asks for a cluster with too few healthy endpoints.", _ENDPOINTS),
    ("health_check_failed_no_cluster_found", "cluster_not_found",
     "The health check asks for a cluster that the proxy does not have.",
     "Compare the health check filter with /clusters."),
    ("health_check_ok", None, "Envoy answered a health check itself.",
     "Nothing is wrong by itself."),
    ("health_check_ok_cluster_healthy", None, "Envoy answered a health check itself.",
     "Nothing is wrong by itself."),
    ("lua_response", None, "A Lua script answered.",
     "Read the script in the EnvoyExtensionPolicy of this route."),
    ("mcp_body_too_large", None, "The MCP message is larger than allowed.", _REQUEST),
    ("mcp_duplicate_keys", None, "The MCP message has a key twice.", _REQUEST),
    ("mcp_filter_not_jsonrpc", None, "The body is no JSON-RPC.", _REQUEST),
    ("mcp_filter_parse_error", None, "The MCP message could not be read.", _REQUEST),
    ("mcp_filter_reject_no_mcp", None, "The request is no MCP, and others are refused.", _REQUEST),
    ("mcp_json_rest_bridge_filter_...", None,
     "The MCP request cannot be made a REST call; the rest of the word says why.", _REQUEST),
    ("mcp_not_jsonrpc", None, "The body is no JSON-RPC.", _REQUEST),
    ("mcp_parse_error", None, "The MCP message could not be read.", _REQUEST),
    ("mcp_reject_no_mcp", None, "The request is no MCP, and others are refused.", _REQUEST),
    ("on_demand_cluster_missing", "cluster_not_found",
     "The cluster was asked for on demand, and there is none.",
     "Look at the control plane of on-demand discovery."),
    ("on_demand_cluster_timeout", "cluster_not_found",
     "The cluster was asked for on demand, and did not come in time.",
     "Look at the control plane of on-demand discovery."),
    ("proto_api_scrubber...", None,
     "The gRPC message could not be read or is blocked; what follows says how.", _REQUEST),
    ("proto_message_extraction...", None,
     "The gRPC message could not be read; what follows says how.", _REQUEST),
    ("wasm_close_stream", None, "A Wasm extension closed the stream.",
     "Read Envoy's own log for lines of the extension."),
    ("wasm_fail_stream", "envoy_internal_error",
     "A Wasm extension failed, and requests are refused without it.",
     "Read Envoy's own log for the crash, and failurePolicy of the EnvoyExtensionPolicy."),
)

_OF_CLIENT: tuple[Row, ...] = (
    ("downstream_remote_disconnect", "client_disconnected",
     "The client closed its connection before the response was complete.",
     "Compare duration with the timeout of the client or load balancer: a slow backend makes "
     "clients give up."),
    ("downstream_remote_reset", "client_disconnected",
     "The client reset its connection before the response was complete.",
     "Compare duration with the timeout of the client or load balancer."),
)

_OF_BACKEND: tuple[Row, ...] = (
    ("via_upstream", None, "The backend's own answer.", _BACKEND),
    ("cache.insert_via_upstream", None,
     "The backend answered, and its answer was put into the cache.",
     "The backend's own answer: see its log."),
)

_LOCAL: tuple[Row, ...] = (
    ("downstream_local_disconnect(...)", None,
     "Envoy closed the client's connection; the parentheses say why.",
     "Read the parentheses: codec errors and timeouts of the client are named there."),
)

# fmt: on
#: Words that one of the two releases alone has, or that came with the next.
_SINCE = dict.fromkeys(
    (
        "a2a_filter_body_too_large",
        "ai_protocol_manager_external_buffer_error",
        "mcp_body_too_large",
        "mcp_duplicate_keys",
        "mcp_not_jsonrpc",
        "mcp_parse_error",
        "mcp_reject_no_mcp",
    ),
    "1.39",
)
_UNTIL = dict.fromkeys(
    ("mcp_filter_not_jsonrpc", "mcp_filter_parse_error", "mcp_filter_reject_no_mcp"), "1.38"
)

#: Groups of details, as documentation shows them.
GROUPS: Mapping[str, tuple[AnsweredBy, tuple[Row, ...]]] = {
    "Backend": ("upstream", _OF_BACKEND),
    "Client": ("client", _OF_CLIENT),
    "Router and connection manager": ("envoy", _ROUTER + _LOCAL),
    "Authentication and authorization": ("envoy", _AUTH),
    "Rate limits": ("envoy", _LIMITS),
    "Codecs": ("envoy", _CODECS),
    "Other filters": ("envoy", _FILTERS),
}


def _meanings(by: AnsweredBy, rows: Iterable[Row]) -> Iterable[Meaning]:
    for word, cause, means, following in rows:
        who: AnsweredBy = "client" if cause == "client_disconnected" else by
        yield Meaning(
            word,
            means,
            who,
            cause,
            following,
            since=_SINCE.get(word, ""),
            until=_UNTIL.get(word, ""),
        )


def stem(word: str) -> str:
    """What a word begins with, such as "rbac_access_denied_matched_policy"."""
    for mark in ("...", "{", "[", "("):
        word = word.partition(mark)[0]
    return word


#: By what they begin with.
DETAILS: Mapping[str, Meaning] = {
    stem(it.word): it for by, rows in GROUPS.values() for it in _meanings(by, rows)
}

# fmt: off
_RESETS: tuple[Row, ...] = (
    ("connection_termination", "upstream_closed_connection",
     "The backend closed the connection before it had answered.", _BACKEND +
     " A keepalive of the backend that is shorter than Envoy's looks so too."),
    ("connection_timeout", "upstream_connect_timeout", "The backend did not take the connection "
     "in time: packets are dropped, or the address is of a Pod that is gone.",
     "Look for a NetworkPolicy, and compare upstream_host with the EndpointSlices."),
    ("http/1_premature_upstream_half_close", "upstream_closed_connection",
     "The backend closed its half of the connection too early.", _BACKEND),
    ("local_connection_failure", "envoy_internal_error",
     "The proxy could not open a connection at all: no free port, no such network.",
     "Look at the network of the proxy's node: source ports, routes."),
    ("local_refused_stream_reset", "envoy_internal_error",
     "Envoy refused the stream before it reached the backend.",
     "Read Envoy's own log at this time."),
    ("local_reset", "envoy_internal_error", "Envoy reset the stream to the backend itself.",
     "Read Envoy's own log at this time."),
    ("overflow", "circuit_breaker_overflow", "A circuit breaker of the cluster was full.",
     "Compare circuitBreaker of the BackendTrafficPolicy with the traffic of this route."),
    ("overload_manager_reset", "envoy_internal_error",
     "The overload manager of the proxy reset the stream: it is short of memory.",
     "Give the proxy more memory or more replicas."),
    ("protocol_error", "upstream_protocol_error",
     "The backend answered what is no HTTP of the version that Envoy speaks with it.",
     "Compare the protocol of the backend's port with appProtocol of its Service."),
    ("remote_connection_failure", None,
     "The connection to the backend failed; what follows says how.",
     "Read what follows: refused, no route, or TLS."),
    ("remote_error_with_connect_request", "upstream_closed_connection",
     "The backend refused a CONNECT.", _BACKEND),
    ("remote_refused_stream_reset", "upstream_closed_connection",
     "The backend refused the stream: it is going away, or has too many.", _BACKEND),
    ("remote_reset", "upstream_closed_connection", "The backend reset the stream.", _BACKEND),
    ("remote_reset_(no_error)", "upstream_closed_connection",
     "The backend ended the stream without an error before the request was complete.", _BACKEND),
)
# fmt: on
#: What stands in the braces of upstream_reset_..._response_started{...}, before the first "|".
RESETS: Mapping[str, Meaning] = {
    word: Meaning(
        word, means, "envoy", cause, following, since="1.39" if "no_error" in word else ""
    )
    for word, cause, means, following in _RESETS
}

# fmt: off
_FAILURES: tuple[Row, ...] = (
    ("Connection_refused", "upstream_connection_refused",
     "Nothing listens on this port of the backend.",
     "Compare targetPort of the Service with the port where the container listens."),
    ("Cannot_assign_requested_address", "envoy_internal_error",
     "The proxy has no free source port for this backend.",
     "Spread it over more proxies, and let connections live longer."),
    ("Connection_reset_by_peer", "upstream_closed_connection",
     "The backend reset the connection while it was made.", _BACKEND),
    ("Connection_timed_out", "upstream_connect_timeout",
     "The backend did not take the connection in time.",
     "Look for a NetworkPolicy, and compare upstream_host with the EndpointSlices."),
    ("No_route_to_host", "upstream_connect_timeout",
     "The backend's address cannot be reached: its Pod or node is gone.",
     "Compare upstream_host with the EndpointSlices of the Service."),
    ("Network_is_unreachable", "upstream_connect_timeout",
     "The proxy has no route to this network.",
     "Compare upstream_host with the networks of the node (IPv6 without IPv6?)."),
    ("CERTIFICATE_VERIFY_FAILED", "upstream_tls_failure",
     "The backend's certificate is not trusted: another authority, another name, or expired.",
     "Compare the certificate with caCertificateRefs and hostname of the BackendTLSPolicy."),
    ("WRONG_VERSION_NUMBER", "upstream_tls_failure",
     "The backend's port speaks no TLS, and Envoy does.",
     "Take the BackendTLSPolicy away, or let it name the port that has TLS."),
    ("TLSV1_ALERT_", "upstream_tls_failure",
     "The backend refused the TLS handshake; the alert says why.",
     "CERTIFICATE_REQUIRED asks for a client certificate: set one in the EnvoyProxy."),
    ("SSLV3_ALERT_", "upstream_tls_failure",
     "The backend refused the TLS handshake; the alert says why.",
     "Compare TLS versions, ciphers and client certificates of both."),
    ("TLS_error", "upstream_tls_failure", "The TLS handshake with the backend failed.",
     "Read what follows: it is BoringSSL's own reason."),
)
# fmt: on
#: What upstream_transport_failure_reason, or the braces behind "|", has in it; the first that fits.
FAILURES: Mapping[str, Meaning] = {
    word: Meaning(word, means, "envoy", cause, following)
    for word, cause, means, following in _FAILURES
}

# fmt: off
_TOKENS: tuple[Row, ...] = (
    ("Jwt_is_missing", "jwt_denied", "The request has no token.", _REQUEST),
    ("Jwt_is_expired", "jwt_denied", "The token has expired.",
     "Let the client get a new one; compare the clocks of issuer and nodes."),
    ("Jwt_not_yet_valid", "jwt_denied", "The token is not valid yet.",
     "Compare the clocks of issuer and nodes."),
    ("Jwt_issuer_is_not_configured", "jwt_denied",
     "The token is of an issuer that the policy does not have.",
     "Compare iss of the token with jwt.providers[].issuer of the SecurityPolicy."),
    ("Audiences_in_Jwt_are_not_allowed", "jwt_denied", "The token is for another audience.",
     "Compare aud of the token with jwt.providers[].audiences of the SecurityPolicy."),
    ("Jwt_verification_fails", "jwt_denied",
     "The signature is not of a key that the issuer publishes.",
     "Compare kid of the token with the JWKS."),
    ("Jwks_doesn't_have_key_to_match_kid_or_alg_from_Jwt", "jwt_denied",
     "The issuer publishes no key of this kid and algorithm.",
     "Keys may have been rotated: compare kid of the token with the JWKS."),
    ("Jwks_remote_fetch_is_failed", "jwt_denied",
     "The keys of the issuer could not be fetched: no token can be accepted.",
     "Ask remoteJWKS.uri of the SecurityPolicy from a Pod of the proxy's namespace."),
    ("Jwks_", "jwt_denied", "The keys of the issuer cannot be used.",
     "Read the JWKS at remoteJWKS.uri of the SecurityPolicy."),
    ("Jwt_", "jwt_denied", "The token is malformed; the rest of the word says how.", _REQUEST),
    ("JWT_", "jwt_denied", "The token is malformed; the rest of the word says how.", _REQUEST),
)
# fmt: on
#: What stands in the braces of jwt_authn_access_denied{...}; the first that begins so.
TOKENS: Mapping[str, Meaning] = {
    word: Meaning(word, means, "envoy", cause, following)
    for word, cause, means, following in _TOKENS
}

# fmt: off
_CLOSES: tuple[Row, ...] = (
    ("close_for_connect_request_or_tcp_tunneling", None, "A tunnel ended.",
     "Nothing is wrong by itself."),
    ("codec_error:", None, "What the client sent breaks the rules of HTTP; what follows says "
     "how.", _CLIENT),
    ("deferred_close_on_drained_connection", None,
     "The proxy drained: it was replaced, or its listener changed.",
     "Compare with changes of the Gateway and restarts of its proxies at this time."),
    ("filter_chain_is_being_removed", None,
     "The filter chain was replaced by a new configuration.",
     "Compare with changes of the Gateway at this time."),
    ("http2_connection_protocol_violation", None, "The client broke the rules of HTTP/2.",
     _CLIENT),
    ("http2_ping_timeout", "client_disconnected",
     "The client did not answer keepalives of HTTP/2 any more.", _CLIENT),
    ("max_connection_duration_reached", None,
     "The connection reached the longest duration that is allowed.",
     "Compare with maxConnectionDuration of the ClientTrafficPolicy."),
    ("on_idle_timeout", None, "Nothing moved on the connection for longer than its idle timeout.",
     "Compare with idleTimeout of the ClientTrafficPolicy."),
    ("overload_error:", "envoy_internal_error",
     "The overload manager closed the connection; what follows says why.",
     "Read overload.* in the stats; give the proxy more memory or more replicas."),
    ("ratelimit_close_over_limit", "rate_limited", "The rate limit of connections is used up.",
     "Compare the limits of the listener with its traffic."),
    ("rbac_deny_close", "rbac_denied", "A rule for authorization refused the connection.",
     "Compare the client with authorization.rules of the SecurityPolicy."),
    ("too_many_premature_resets", "client_disconnected",
     "The client reset too many streams early: a broken client or an attack.", _CLIENT),
    ("transport_socket_timeout", None, "The TLS handshake did not end in time.",
     "Compare with timeout.tcp of the ClientTrafficPolicy; look at the client."),
    ("triggered_delayed_close_timeout", None,
     "The client did not close in time after Envoy had ended the connection.", _CLIENT),
)
# fmt: on
#: What stands in the parentheses of downstream_local_disconnect(...).
CLOSES: Mapping[str, Meaning] = {
    word: Meaning(word, means, "envoy", cause, following)
    for word, cause, means, following in _CLOSES
}

_TRUST = "Compare certificate, authority and date with what clients trust: docs/certificates.md."
# fmt: off
_HANDSHAKES: tuple[tuple[AnsweredBy, Row], ...] = (
    ("envoy", ("HTTPS_PROXY_REQUEST", "plaintext_to_tls_listener",
     "The client sent CONNECT without TLS to a TLS port.",
     "Let the client use TLS, or the port without it.")),
    ("envoy", ("HTTP_REQUEST", "plaintext_to_tls_listener",
     "The client sent plain HTTP to a TLS port.",
     "Let the client use https, or the port without TLS.")),
    ("envoy", ("WRONG_VERSION_NUMBER", "plaintext_to_tls_listener",
     "What the client sent to a TLS port is no TLS.",
     "Look at what the client speaks; PROXY protocol in front of a listener without it looks so.")),
    ("envoy", ("PEER_DID_NOT_RETURN_A_CERTIFICATE", None,
     "The client has no certificate, and the listener wants one.",
     "Give the client a certificate, or set clientValidation.optional in ClientTrafficPolicy.")),
    ("envoy", ("CERTIFICATE_VERIFY_FAILED", None,
     "The certificate of the client is not trusted.",
     "Compare its authority with caCertificateRefs of the ClientTrafficPolicy.")),
    ("envoy", ("UNSUPPORTED_PROTOCOL", None, "The TLS version of the client is too old.",
     "See tls.minVersion of the ClientTrafficPolicy.")),
    ("envoy", ("NO_SHARED_CIPHER", None, "Client and listener have no cipher in common.",
     "See tls.ciphers of the ClientTrafficPolicy.")),
    ("client", ("SSLV3_ALERT_CERTIFICATE_EXPIRED", "certificate_expired",
     "The client says that the certificate has expired.", _TRUST)),
    ("client", ("TLSV1_ALERT_UNKNOWN_CA", "certificate_invalid",
     "The client does not know the authority of the certificate.", _TRUST)),
    ("client", ("SSLV3_ALERT_BAD_CERTIFICATE", "certificate_invalid",
     "The client does not take the certificate.", _TRUST)),
    ("client", ("SSLV3_ALERT_CERTIFICATE_UNKNOWN", "certificate_invalid",
     "The client does not take the certificate.", _TRUST)),
    ("client", ("BAD_PACKET_LENGTH", None,
     "The client broke off after it saw the certificate (TLS 1.3): it does not trust it.", _TRUST)),
    ("client", ("DECRYPTION_FAILED_OR_BAD_RECORD_MAC", None,
     "The client broke off after it saw the certificate (TLS 1.3): it does not trust it.", _TRUST)),
    ("client", ("_ALERT_", None, "The client broke the handshake off; the alert says why.",
     _TRUST)),
)
# fmt: on
#: What downstream_transport_failure_reason has in it; the first that fits.
HANDSHAKES: Mapping[str, Meaning] = {
    word: Meaning(word, means, who, cause, following)
    for who, (word, cause, means, following) in _HANDSHAKES
}
