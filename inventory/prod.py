"""
An AKS fleet to start from: copy it, keep what fits. Every key is here once; docs/inventory.md has
the same keys as a table.

A cluster is a context of your kubeconfig: ``az aks get-credentials --resource-group RG --name weu-1
--context weu-1``, then ``kubelogin convert-kubeconfig -l azurecli``. Any other cluster in a
kubeconfig (kind, k3d) works the same. Pin the chart once, with ``python -m tasks.fleet.charts lock
oci://docker.io/envoyproxy/gateway-helm 1.9.1``, then look before you change anything:

    pyinfra inventory/prod.py deploys/doctor.py
    pyinfra inventory/prod.py deploys/install.py --dry --diff
"""

#: What all clusters share. Names with _ are no group of clusters. What stands beside a cluster wins
#: over inventory/group_data/, and --data on the command line wins over both.
_fleet = {
    # What is installed:
    "envoy_gateway_version": "1.9.1",  # in quotes, with its patch number
    # From a registry, your own (oci://myregistry.azurecr.io/charts/gateway-helm), or from a folder.
    "chart": "oci://docker.io/envoyproxy/gateway-helm",
    "chart_plain_http": False,  # True: a registry without TLS
    "lock": "fleet.lock",  # digests of charts; commit it
    "helm": "helm",  # the program, or a path to it
    "release": "eg",  # Helm's name of the installation ...
    "namespace": "envoy-gateway-system",  # ... and its namespace
    "controller": {
        "replicas": 2,
        "cpu": "100m",
        "memory": "256Mi",
        "priority_class": None,  # "system-cluster-critical": the last to be put out
    },
    # Where images come from:
    "image_registry": None,  # "myregistry.azurecr.io" instead of the first part of every image
    "image_pull_secrets": [],  # names of Secrets; none where AKS is attached to its ACR
    "images": {  # None: the release's own; {version} is Envoy Gateway's and {envoy} is Envoy's
        "envoy_gateway": None,  # "myregistry.azurecr.io/mirror/gateway:v{version}"
        "envoy": None,  # "myregistry.azurecr.io/mirror/envoy:distroless-v{envoy}"
        "ratelimit": None,  # "myregistry.azurecr.io/mirror/ratelimit:8fe6ea42"
    },
    # How the controller works:
    "controller_name": "gateway.envoyproxy.io/gatewayclass-controller",
    "watch_namespaces": [],  # ["edge"]: the controller looks at these alone
    "deploy_type": "ControllerNamespace",  # "GatewayNamespace": proxies beside their Gateway
    "gateway_class": "envoy",
    "merge_gateways": False,  # True: one set of proxies for all Gateways of the class
    # The proxies of every Gateway:
    "proxy": {
        # "small", "medium" or "large" stand for all that follows, down to the drain: what is left
        # out here is then the profile's, docs/scaling.md.
        "profile": None,
        "replicas": 2,  # or by load: "hpa": {"min": 3, "max": 6, "cpu": 70, "memory": None}
        "cpu": "100m",
        "memory": "256Mi",
        "cpu_limit": None,
        "memory_limit": "1Gi",
        "concurrency": None,  # workers of each Envoy: None is one for each CPU of its node
        "priority_class": None,
        # A proxy that goes still serves for min_drain at least, because Azure's load balancer goes
        # on sending to it for some seconds, and is gone after drain_timeout at most.
        "min_drain": "20s",
        "drain_timeout": "60s",
        "external_traffic_policy": None,  # "Cluster" hides who the client is; None: "Local"
    },
    # How much, how long and how often, docs/limits.md. None, here and inside: Envoy Gateway's own.
    "limits": {
        "clients": {  # of each proxy
            "connections": 10000,
            "connection_age": "1h",
            "connection_requests": None,
            "buffer": "32Ki",  # of a connection; connections x 2 x buffer must fit into its memory
            "idle": "3m",
            "request_received": "1m",
            "stream_idle": None,
            "streams": 100,
            "stream_window": "64Ki",
            "connection_window": "1Mi",
            "proxy_protocol": None,  # "required" behind a Private Link Service that sends it
            "trusted_hops": None,  # 1: X-Forwarded-For of Front Door is believed ...
            "trusted_proxies": [],  # ... or of these networks: ["10.1.0.0/16"]
            "alpn": [],  # ["h2", "http/1.1"]
            "grpc_web": None,
        },
        "timeouts": {
            "request": "30s",  # all tries together
            "connect": "1s",
            "stream_idle": None,
            "stream": None,
            "idle": None,
        },
        "retries": {
            "times": 2,
            "each": "9s",  # is repeated for "reset" alone, and three of them fit into 30s
            "on": ["connect-failure", "refused-stream", "reset"],
            "codes": [503],
            "wait": "25ms",
            "longest_wait": "250ms",
        },
        "circuit_breaker": {
            "connections": 1024,
            "requests": 1024,
            "pending": 1024,
            "retries": None,
            "retry_budget": 20,  # percent of the requests under way
            "per_endpoint": None,
        },
        "backends": {
            "buffer": None,
            "keepalive": "60s",  # what is between proxies and a far backend forgets silent ones
            "streams": None,
            "stream_window": None,
            "connection_window": None,
        },
        # {"requests": 100, "per": "Second", "of": "proxy", "path": "/api"}; of all routes together
        # with "of": "all", "shared": True; of each user with
        # "headers": {"x-user": "*"}, of each address with "clients": "0.0.0.0/0", "each_client":
        # True.
        "rates": [],
        "request_buffer": None,
    },
    "rate_limit_redis": None,  # "redis.shared.svc:6379"
    "rate_limit_timeout": None,  # "100ms": Envoy's own 20 ms are short to another zone
    "rate_limit_fails": "open",  # "closed": where nobody can count, requests are answered 500
    # What is served:
    "gateways": [
        {"name": "public", "namespace": "edge", "listeners": [{"name": "http", "port": 80}]},
    ],
    "routes": [],
    "dynamic_routing": [],  # of deploys/dynamic_routing.py, an example is at the end
    # Of deploys/gateways.py, docs/gateways.md:
    "objects": [],  # ["objects/*.yaml.j2"]: files of objects, beside gateways and routes
    "values": {},  # {"zone": "weu.example.com"}: what the templates among them are given
    "check": False,  # True: only show what differs; nearly always --data check=true
    "prune": False,  # True: delete what an earlier inventory wanted and this one does not
    "take_back": False,  # True: take fields back that somebody else changed
    "class_from": "inventory",  # "objects": GatewayClass and EnvoyProxy are among these files
    "take": False,  # True: deploys/adopt.py hands objects over to envoyfleet; docs/adopt.md
    "teams": [  # whose routes may attach where, and which host names are theirs: docs/teams.md
        {
            "name": "shop",
            "namespaces": ["shop"],
            "zones": ["shop.example.com", "*.shop.example.com"],
            "listeners": ["edge/public"],  # or "edge/public/https": that one alone
            "listener_sets": [],  # Gateways that take its ListenerSets: ["edge/shop"]
            "grants": [  # ReferenceGrants: routes of checkout may send to Service shop/cart
                {
                    "namespace": "shop",
                    "kind": "Service",
                    "name": "cart",
                    "to": ["checkout"],
                    "by": ["HTTPRoute"],
                },
            ],
        },
    ],
    # How a run goes:
    "max_failed": 0,  # clusters that may fail before later rings are held, or a share: "5%"
    "probe": {
        "enabled": True,  # False only where the load balancer cannot be reached from this machine
        "timeout": 120,  # seconds for all listeners of a cluster to answer
        "rate": 5,  # requests a second through each listener while a cluster is changed
    },
    "bake": "10m",  # probes go on for this long after a ring before the next one begins
    "max_parallel": None,  # 5: no more clusters of a ring than this at a time
    "approval": False,  # True: the ring of this cluster begins only after somebody approved it
    "accept": [],  # what preflight stops for and shall not here, docs/upgrade.md
    "crd_managers": ["helm", "kubectl"],  # whose CRDs a run may take over
    # What is kept of a cluster before it is changed. age-keygen makes a key; recipients are its
    # public half, and an upgrade is refused without one.
    "backup": {
        "enabled": True,
        "recipients": [],
        "folder": "backups",
        "identity": None,  # the file that age-keygen made, on machines that restore
        "secrets": True,  # False leaves Secrets out of it
        "keep": {"daily": 7, "weekly": 5, "monthly": 12},  # others are deleted
        "container": None,  # "https://fleetbackups.blob.core.windows.net/envoyfleet": copies
    },
    # Of backup, restore and drill; nearly always --data on the command line:
    "format": "archive",  # "tree": a readable file an object, for Git
    "archive": None,  # a file to restore; None is the newest good one
    "from_cluster": None,  # whose archive may be restored here, where it is another cluster's
    "only": [],  # ["HTTPRoute shop/*"]: restore that alone
    "delete_others": False,  # True: delete what the archive does not have
    "newer_certificates": "keep",  # "replace": put older certificates back
    "drill_source": [],  # ["weu-1"]: this cluster is empty, and restores of that one are tried here
    "stand_in_image": None,  # of an echo server, for applications that are not there: docs/drill.md
    "scenario": None,  # "crds-deleted": what a drill breaks first
    # Rehearsals of an upgrade, docs/rehearse.md:
    "rehearsal_source": [],  # ["weu-1"]: this cluster is empty, and its upgrade is tried here
    "keep": False,  # --data keep=true: the rehearsal's objects stay there, to be looked at
    "rehearsal": {"folder": "rehearsals", "days": 14},  # one that is older says nothing
    # Certificates, docs/certificates.md and docs/rotate_certificates.md:
    "certificates": [  # TLS Secrets that deploys/rotate_certificates.py makes and renews
        {
            "namespace": "edge",
            "secret": "example-com-tls",
            "source": "cert-manager",  # "files", "key-vault", or "self-signed" where nobody looks
            "issuer": "ClusterIssuer letsencrypt",
            "names": ["shop.example.com"],  # none: the host names of the listeners that use it
            "renew_before": None,  # "45d" where the fleet's own is not right for this one
            "grants": [],  # ["shop"]: Gateways of that namespace may use it
        },
        {
            "namespace": "edge",
            "secret": "api-tls",
            "source": "key-vault",
            "vault": "https://shop.vault.azure.net",
            "object": "api-tls",
            "version": None,  # None: the newest
            "kind": "certificate",  # "secret" where the PEM was put in as one
        },
        {
            "namespace": "edge",
            "secret": "bought-tls",
            "source": "files",
            "certificate": "certificates/bought.pem",  # the served one first, then what signed it
            "key": "certificates/bought.key",
        },
    ],
    "issuers": [  # ACME ClusterIssuers of cert-manager
        {
            "name": "letsencrypt",
            "server": "https://acme-v02.api.letsencrypt.org/directory",
            "email": "platform@example.com",
            "ca": None,  # a file, where the ACME server is your own
            "http01": {"gateway": "edge/public", "listener": "http"},
            "dns01": {
                "subscription": "00000000-0000-0000-0000-000000000000",
                "resource_group": "dns",
                "zone": "example.com",
                "identity": "00000000-0000-0000-0000-000000000000",
            },
        },
    ],
    "renew_before": "30d",  # before the end of a certificate; nothing is done earlier
    "renew_now": False,  # True: renew what is not due as well
    "expiring": {"warning": "21d", "error": "7d"},  # of findings of deploys/certificates.py
    "read_secrets": True,  # False: look at what is served alone
    "trust": None,  # a PEM file with the authorities that clients trust; None: not judged
    "rollback_to": None,  # of deploys/rollback.py: None is the last good revision of each cluster
    "resolvers": [],  # DNS servers that deploys/public_ips.py asks; none: those of this machine
    "unused_public_ips": True,  # False: do not look for public IPs that nobody uses
    "monitoring": {  # of deploys/monitoring.py
        "backend": None,  # "operator", "azure" or "files"; None: by the CRDs of the cluster
        "namespace": "monitoring",
        "labels": {"release": "kube-prometheus-stack"},  # as your Prometheus selects monitors
        "interval": "30s",
        "stats": "needed",  # "all": keep also series that no rule or panel uses
        "prometheus": None,  # "https://prometheus.example.com", where no operator runs it
        "environment": "production",  # a label of every alert
        "thresholds": {},  # docs/alerts.md names them all
        "objectives": {"availability": 99.9, "latency": 99.0, "within": 1000},
        "runbooks": "docs/alerts.md",  # where that page can be read
        "alertmanager": {
            "address": None,
            "silence": True,  # roll-outs silence alerts of what they touch
            "receivers": [
                {
                    "name": "pager",
                    "kind": "pagerduty",
                    "secret": "pagerduty",  # in the namespace of the monitors
                    "key": "routing-key",
                    "severities": ["critical"],
                },
                {
                    "name": "chat",
                    "kind": "slack",
                    "secret": "slack",
                    "key": "url",
                    "channel": "#platform",
                    "severities": [],  # all
                },
            ],
        },
        "grafana": {
            "url": None,  # "https://grafana.example.com"; None: ConfigMaps for the sidecar
            "token_env": None,  # "GRAFANA_TOKEN"; None: sign-in of Azure
            "folder": "Envoy Gateway",
            "data_source": "Prometheus",
            "prometheus": None,  # "http://prometheus-operated:9090": make the data source
            "labels": {"grafana_dashboard": "1"},
        },
        "workspace": {  # of Azure Monitor
            "id": (
                "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/monitoring"
                "/providers/Microsoft.Monitor/accounts/fleet"
            ),
            "resource_group": None,
            "subscription": None,
            "location": None,
            "action_groups": [],
        },
        "logs": {"enabled": False, "otel": None},
        "files": "rules",  # folder of backend "files"
    },
    "diagnosis": {  # of deploys/diagnose.py
        "lines": 300,  # of each access log, where a request is asked about
        "minutes": 15,
        "loki": {  # None: the logs of the Pods alone
            "url": "https://loki.example.com",
            "selector": '{container="envoy"}',
            "token_env": "LOKI_TOKEN",
            "tenant": None,
        },
    },
    "request": None,  # --data request='GET https://shop.example.com/cart'
    "name": None,  # of a runbook: --data name=gateway-not-responding
    "gateway": None,  # that it is about: --data gateway=edge/public
    "approve": [],  # steps whose actions may be done: --data approve=controller
    "undo": None,  # --data undo=RUN: take back what that run did
    "rehearse": False,  # --data rehearse=True: the run is a rehearsal
    "rehearsals": False,  # True: this cluster may be rehearsed on
    "send": None,  # False: the request is never sent; True: also one that changes something
    "pack": False,  # True: deploys/support_bundle.py also writes one .tar.gz
    "lease_seconds": 30,  # how long a run that died keeps other machines away
    "notifications": [  # the address itself is a secret, so a variable of the environment holds it
        {"kind": "teams", "url_env": "TEAMS_WEBHOOK", "events": ["gate", "failure", "end"]},
    ],
    # Seconds for each wait are 300; inventory/group_data/production.py has more, so not here:
    # "timeout": 300,
    "metrics_folder": None,  # of node_exporter's textfile collector: figures of each run
    "shard": None,  # "0/8": the first of eight shares of the fleet; always --data shard=0/8
    "runs": 20,  # that deploys/history.py lists
    "drift": True,  # False: deploys/history.py asks no cluster; nearly always --data drift=false
    "output": None,  # "table", "lines" or "json"; None: a table on a terminal, lines elsewhere
    "silences": [  # findings that do not count until a day, see docs/findings.md
        {
            "code": "GW202",
            "where": "weu-test-1",
            "until": "2027-01-31",
            "reason": "OPS-412: the test cluster is replaced in January",
        },
    ],
    # How a cluster is reached:
    "kube_config": None,  # a file, or several with : between; None: KUBECONFIG, then ~/.kube/config
    "kube_timeout": 30,  # seconds for one request
}

#: Changed first: clusters whose failure hurts nobody.
canary = [
    ("@kube/weu-test-1", {**_fleet, "ring": 0}),
]

# Or Azure lists them, with rings and windows from their tags (docs/azure.md):
# production = [("@aks/shop-production?tag.environment=production", _fleet)]
production = [
    # ring 1 begins when every cluster of ring 0 is done, within max_failed
    ("@kube/weu-1", {**_fleet, "ring": 1}),
    # called neu-1 in tables and reports, whatever its context is called
    ("@kube/neu-1", {**_fleet, "ring": 1, "kube_context": "aks-neu-1-admin"}),
    (
        "@kube/weu-2",
        {
            **_fleet,
            "ring": 2,
            # It may be changed in this window only, and not before the sale is over.
            "window": {
                "opens": "22:00",  # or once: "2026-11-28T22:00"
                "closes": "04:00",
                "days": ["sat", "sun"],
                "zone": "Europe/Berlin",
            },
            "hold": {"until": "2026-12-27", "reason": "OPS-413: Christmas sale"},
            # A run on staging that must have gone well before this cluster is upgraded:
            "proven_by": {"report": "runs/20261120T210000Z-upgrade/report.json", "days": 30},
            # A cluster's own Gateways: what stands here replaces the list above.
            "gateways": [
                {
                    "name": "public",
                    "namespace": "edge",
                    # A static public IP that exists in the node resource group: Azure is asked for
                    # it by an annotation on the Service. None: Azure chooses.
                    "address": "20.103.0.10",
                    # The resource that has it, where it lies outside: docs/public_ips.md.
                    "public_ip": {
                        "name": "weu-2-public",
                        "resource_group": "addresses",
                        "subscription": None,  # None: the cluster's
                        "prefix": None,
                        "zones": ["1", "2", "3"],
                        "idle_timeout": 4,
                        "lock": True,
                        "role": True,
                        "tags": {"team": "edge"},
                    },
                    # More of them, on what the Gateway generates:
                    "listeners_from": "None",  # "All": ListenerSets of every namespace add theirs
                    "annotations": {
                        "service.beta.kubernetes.io/azure-load-balancer-tcp-idle-timeout": "30",
                    },
                    "listeners": [
                        {
                            "name": "http",
                            "port": 80,
                            "protocol": "HTTP",
                            "routes_from": "Same",  # routes of the Gateway's own namespace
                        },
                        {
                            "name": "https",
                            "port": 443,
                            "protocol": "HTTPS",
                            "hostname": "*.example.com",
                            # A Secret of type kubernetes.io/tls in the Gateway's namespace;
                            # cert-manager or you make it.
                            "secret": "example-com-tls",
                            "routes_from": "All",
                        },
                        {"name": "db", "port": 5432, "protocol": "TCP"},
                    ],
                },
            ],
            # Routes that envoyfleet owns; most fleets leave them to their applications.
            "routes": [
                {
                    "name": "shop",
                    "namespace": "shop",
                    "kind": "HTTPRoute",
                    "gateway": "edge/public",
                    "listener": "https",  # None: every listener that takes it
                    "hostnames": ["shop.example.com"],
                    "path": "/",
                    "backends": [
                        {"service": "shop-blue", "port": 8080, "weight": 90},
                        {"service": "shop-green", "port": 8080, "weight": 10},
                    ],
                },
                {
                    "name": "db",
                    "namespace": "shop",
                    "kind": "TCPRoute",
                    "gateway": "edge/public",
                    "listener": "db",
                    "backends": [{"service": "db", "port": 5432}],
                },
                # gRPC; docs/grpc.md has Argo CD, browsers and its command line on one host.
                {
                    "name": "cart",
                    "namespace": "shop",
                    "kind": "GRPCRoute",
                    "gateway": "edge/public",
                    "listener": "https",
                    "hostnames": ["cart.shop.example.com"],
                    "methods": [{"service": "shop.v1.Cart", "method": None}],  # None: all of it
                    "headers": {},  # {"content-type": "^application/grpc.*$"}: only such requests
                    "limits": {"timeouts": {"request": "0s", "stream_idle": "1h"}},  # it streams
                    "backends": [
                        {
                            "service": "cart",
                            "port": 8443,
                            # The certificate it serves, by ConfigMap cart-ca; None: without TLS.
                            "tls": {"hostname": "cart.shop", "authority": "cart-ca"},
                        },
                    ],
                },
            ],
            # Each client to the one server that a resolver names, docs/dynamic_routing.md:
            "dynamic_routing": [
                {
                    "name": "join",
                    "namespace": "shop",
                    "gateway": "edge/public",
                    "listener": "https",
                    "hostnames": ["join.example.com"],
                    "path": "/join",  # and all below it
                    "parameter": "client_id",
                    "resolver": {
                        "service": "resolver",
                        "port": 8080,
                        "path": "/where",
                        "timeout": "250ms",
                        "answer": "hostport",  # the key of its JSON answer: "10.244.0.5:8081"
                        "open": True,  # False: no client may ask it
                    },
                    "servers": {"service": "server", "port": 8081},
                    "allowed": {"cidrs": ["10.244.0.0/16"], "ports": [8081]},
                    "client": None,  # one that the resolver knows, to prove the way with
                },
            ],
        },
    ),
]
