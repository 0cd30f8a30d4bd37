"""
The control plane of a cluster: its three processes, and the etcd that all clusters of a lab share.
"""

import base64
import ipaddress
import json
import urllib.request
from collections.abc import Mapping
from pathlib import Path

from tasks.lab import certificates, users
from tasks.lab.processes import Process, log_folder
from tasks.lab.progress import LabError
from tasks.lab.state import Cluster, Lab, write

# What a lab has no use for: clouds, routes between nodes, volumes.
NO_CONTROLLERS = (
    "cloud-node-lifecycle-controller",
    "node-ipam-controller",
    "node-route-controller",
    "persistentvolume-attach-detach-controller",
    "persistentvolume-binder-controller",
    "persistentvolume-expander-controller",
    "service-lb-controller",
)
# Users of the machinery are left out, so that what is in the log was asked by people and their
# tools; service accounts of namespaces envoyfleet and default are tools, too.
TOOLS = ["system:serviceaccounts:envoyfleet", "system:serviceaccounts:default"]
AUDIT_POLICY = {
    "apiVersion": "audit.k8s.io/v1",
    "kind": "Policy",
    "omitStages": ["RequestReceived", "ResponseStarted"],
    "rules": [
        {"level": "Metadata", "userGroups": TOOLS},
        {
            "level": "None",
            "users": [
                "system:anonymous",
                "system:apiserver",
                users.LAB.name,
                users.LOAD_BALANCER.name,
                users.COREDNS.name,
                users.SCHEDULER.name,
                users.CONTROLLERS.name,
                users.PROXY.name,
            ],
        },
        {"level": "None", "userGroups": ["system:nodes", "system:serviceaccounts"]},
        {"level": "Metadata"},
    ],
}


def program(lab: Lab, name: str) -> str:
    """The path of a component: a symbolic link to the one binary, which does what it is called."""
    link = lab.root / "bin" / name
    if not link.is_symlink():
        link.parent.mkdir(parents=True, exist_ok=True)
        link.symlink_to(lab.part("components") / "components")
    return str(link)


def etcd(lab: Lab) -> Process:
    """The etcd of a lab. Nothing is forced onto the disk: a lab need not survive a power cut."""
    command = [
        program(lab, "etcd"),
        f"--data-dir={lab.root / 'etcd'}",
        f"--name={lab.name}",
        f"--listen-client-urls={lab.etcd}",
        f"--advertise-client-urls={lab.etcd}",
        f"--listen-peer-urls=http://{lab.gateway}:2380",
        f"--initial-advertise-peer-urls=http://{lab.gateway}:2380",
        f"--initial-cluster={lab.name}=http://{lab.gateway}:2380",
        "--unsafe-no-fsync",
        "--auto-compaction-retention=5m",
        "--quota-backend-bytes=4294967296",
        "--log-level=warn",
    ]
    return Process(lab.name, "lab", "etcd", command)


def ask_etcd(lab: Lab, path: str, body: Mapping[str, object]) -> None:
    """One request to etcd, such as "maintenance/alarm"."""
    request = urllib.request.Request(f"{lab.etcd}/v3/{path}", json.dumps(body).encode())
    try:
        with urllib.request.urlopen(request, timeout=20):
            return
    except OSError as error:
        raise LabError(f"lab {lab.name!r}: etcd refuses {path}: {error}") from None


def alarm(lab: Lab, action: str) -> None:
    """Raise ("ACTIVATE") or clear etcd's alarm for a full disk: it refuses writes, reads go on."""
    ask_etcd(lab, "maintenance/alarm", {"action": action, "memberID": 0, "alarm": "NOSPACE"})


def forget(lab: Lab, cluster: Cluster) -> None:
    """Delete everything etcd keeps for a cluster, whose API server must be stopped."""
    # "0" is the character after "/": the range of all keys below the cluster's prefix.
    first, last = f"/{cluster.name}/", f"/{cluster.name}0"
    key, end = (base64.b64encode(text.encode()).decode() for text in (first, last))
    ask_etcd(lab, "kv/deleterange", {"key": key, "range_end": end})


def write_files(lab: Lab, cluster: Cluster) -> None:
    """Certificates, tokens, keys and the audit policy of a cluster, each once."""
    folder = cluster.root / "pki"
    service = str(ipaddress.ip_network(cluster.service_range)[1])
    names = [
        "kubernetes",
        "kubernetes.default",
        "kubernetes.default.svc",
        "localhost",
        cluster.name,
    ]
    names.append("kubernetes.default.svc.cluster.local")
    nodes = [it.node_address for it in lab.nodes_of(cluster)]  # kubelets show it as well
    hosts = [*names, *nodes, service, "127.0.0.1"]
    certificates.issue(folder, "apiserver", lab.root, "kube-apiserver", hosts=hosts)
    kubelet_client = ("system:masters",)
    certificates.issue(folder, "kubelet-client", lab.root, "kube-apiserver-kubelet", kubelet_client)
    certificates.authority(folder / "front-proxy")
    certificates.issue(folder, "front-proxy-client", folder / "front-proxy", "front-proxy-client")
    certificates.signing_key(folder)
    users.write_tokens(cluster)
    policy = cluster.root / "audit-policy.json"
    if not policy.exists():
        write(policy, json.dumps(AUDIT_POLICY, indent=2))


def audit_log(cluster: Cluster) -> Path:
    """One line of JSON for each finished request of the operator."""
    return log_folder(cluster.lab, cluster.name) / "audit.log"


def apiserver(lab: Lab, cluster: Cluster) -> Process:
    """
    The API server, with every admission plugin that is on by default, RBAC and the nodes' own
    authorizer.
    """
    pki = cluster.root / "pki"
    key = pki / "service-accounts.key"
    command = [
        program(lab, "kube-apiserver"),
        f"--etcd-servers={lab.etcd}",
        f"--etcd-prefix=/{cluster.name}",
        f"--bind-address={cluster.node_address}",
        f"--advertise-address={cluster.node_address}",
        "--secure-port=6443",
        f"--tls-cert-file={pki / 'apiserver.crt'}",
        f"--tls-private-key-file={pki / 'apiserver.key'}",
        f"--client-ca-file={lab.root / 'ca.crt'}",
        f"--token-auth-file={cluster.root / 'users' / 'tokens.csv'}",
        f"--kubelet-client-certificate={pki / 'kubelet-client.crt'}",
        f"--kubelet-client-key={pki / 'kubelet-client.key'}",
        "--kubelet-preferred-address-types=InternalIP",
        f"--requestheader-client-ca-file={pki / 'front-proxy' / 'ca.crt'}",
        "--requestheader-allowed-names=front-proxy-client",
        "--requestheader-extra-headers-prefix=X-Remote-Extra-",
        "--requestheader-group-headers=X-Remote-Group",
        "--requestheader-username-headers=X-Remote-User",
        f"--proxy-client-cert-file={pki / 'front-proxy-client.crt'}",
        f"--proxy-client-key-file={pki / 'front-proxy-client.key'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={key}",
        f"--service-account-signing-key-file={key}",
        f"--service-cluster-ip-range={cluster.service_range}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged=true",
        "--enable-priority-and-fairness=false",
        "--profiling=false",
        "--event-ttl=30m",
        f"--audit-policy-file={cluster.root / 'audit-policy.json'}",
        f"--audit-log-path={audit_log(cluster)}",
        "--audit-log-maxsize=100",
        "--audit-log-maxbackup=1",
        *_entra(lab),
    ]
    memory = {"GOGC": "40"}
    return Process(lab.name, cluster.name, "kube-apiserver", command, cluster, memory)


def _entra(lab: Lab) -> list[str]:
    """As AKS has it for a cluster of Entra ID: a user is called by the object id."""
    if not lab.azure:
        return []
    from tasks.lab.azure import fleet, serve

    return [
        f"--oidc-issuer-url={serve.url(lab)}/{fleet.tenant(lab)}/v2.0",
        f"--oidc-client-id={fleet.SERVER_ID}",
        "--oidc-username-claim=oid",
        "--oidc-username-prefix=-",
        "--oidc-groups-claim=groups",
        f"--oidc-ca-file={lab.root / 'ca.crt'}",
    ]


def controller_manager(lab: Lab, cluster: Cluster) -> Process:
    """The controllers, less those a lab has no use for, each with a service account of its own."""
    pki = cluster.root / "pki"
    controllers = ",".join(["*", *(f"-{name}" for name in NO_CONTROLLERS)])
    command = [
        program(lab, "kube-controller-manager"),
        *_credentials(cluster, users.CONTROLLERS),
        "--leader-elect=false",
        "--profiling=false",
        "--use-service-account-credentials=true",
        f"--root-ca-file={lab.root / 'ca.crt'}",
        f"--service-account-private-key-file={pki / 'service-accounts.key'}",
        f"--cluster-signing-cert-file={lab.root / 'ca.crt'}",
        f"--cluster-signing-key-file={lab.root / 'ca.key'}",
        f"--cert-dir={cluster.root / 'serving' / 'controller-manager'}",
        f"--controllers={controllers}",
    ]
    return Process(
        lab.name, cluster.name, "kube-controller-manager", command, cluster, {"GOGC": "50"}
    )


def scheduler(lab: Lab, cluster: Cluster) -> Process:
    command = [
        program(lab, "kube-scheduler"),
        *_credentials(cluster, users.SCHEDULER),
        "--leader-elect=false",
        "--profiling=false",
        f"--cert-dir={cluster.root / 'serving' / 'scheduler'}",
    ]
    return Process(lab.name, cluster.name, "kube-scheduler", command, cluster, {"GOGC": "50"})


def _credentials(cluster: Cluster, user: users.User) -> list[str]:
    kubeconfig = users.kubeconfig_of(cluster, user)
    return [
        f"--kubeconfig={kubeconfig}",
        f"--authentication-kubeconfig={kubeconfig}",
        f"--authorization-kubeconfig={kubeconfig}",
    ]
