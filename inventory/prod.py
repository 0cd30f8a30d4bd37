"""
An AKS fleet to start from: copy it, keep what fits. docs/inventory.md says what every key means.

Contexts come from ``az aks get-credentials --resource-group RG --name weu-1 --context weu-1`` and
``kubelogin convert-kubeconfig``; any other cluster in a kubeconfig (kind, k3d) works the same.
What all clusters of a group share stands in inventory/group_data/<group>.py; what stands beside a
cluster wins.

    pyinfra inventory/prod.py deploys/doctor.py
    pyinfra inventory/prod.py deploys/install.py --dry --diff
"""

#: Changed first: clusters whose failure hurts nobody. Both groups share group_data/all.py.
canary = [
    ("@kube/weu-test-1", {"ring": 0}),
]

production = [
    # ring 1 begins when every cluster of ring 0 is done, within max_failed
    ("@kube/weu-1", {"ring": 1}),
    ("@kube/neu-1", {"ring": 1}),
    (
        "@kube/weu-2",
        {
            "ring": 2,
            # A cluster's own Gateways: what stands here replaces the list of group_data/all.py.
            "gateways": [
                {
                    "name": "public",
                    "namespace": "edge",
                    # A static public IP that exists in the node resource group, through the
                    # Service annotation.
                    "address": "20.103.0.10",
                    "annotations": {},
                    "listeners": [
                        {"name": "http", "port": 80, "protocol": "HTTP", "routes_from": "Same"},
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
                    ],
                },
            ],
        },
    ),
]
