"""
The cluster that a Pod runs in, for a schedule there (docs/schedules.md). Copy it, with
in_cluster.kubeconfig beside it, and keep what fits.
"""

clusters = [
    (
        "@kube/in-cluster",
        {
            "kube_config": "inventory/in_cluster.kubeconfig",
            "ring": 0,
            "envoy_gateway_version": "1.9.1",
            "gateways": [
                {
                    "name": "public",
                    "namespace": "edge",
                    "listeners": [
                        {"name": "http", "port": 80},
                        {
                            "name": "https",
                            "port": 443,
                            "protocol": "HTTPS",
                            "hostname": "*.example.com",
                            "secret": "example-com-tls",
                        },
                    ],
                },
            ],
            "certificates": [
                {
                    "namespace": "edge",
                    "secret": "example-com-tls",
                    "source": "key-vault",
                    "vault": "https://shop.vault.azure.net",
                    "object": "example-com-tls",
                },
            ],
            "backup": {"recipients": []},  # the public half of what age-keygen made
        },
    ),
]
