"""
A node of a cluster: containerd, kubelet, kube-proxy and CoreDNS, with their configuration.
"""

import json
from typing import IO

from tasks.lab import users
from tasks.lab.catalogue import NAMES
from tasks.lab.control_plane import program
from tasks.lab.network import run
from tasks.lab.processes import Process, clean_environment, enter, require
from tasks.lab.state import Cluster, Lab, write

# restrict_oom_score_adj: lowering the score is not allowed everywhere, and runc dies of it.
# netns_mounts_under_state_dir and Root: nothing outside the cluster's own folder.
CONTAINERD = """\
version = 3
root = "{root}/containerd"
state = "{root}/run/containerd"
disabled_plugins = [
  "io.containerd.internal.v1.tracing",
  "io.containerd.nri.v1.nri",
  "io.containerd.snapshotter.v1.blockfile",
  "io.containerd.snapshotter.v1.btrfs",
  "io.containerd.snapshotter.v1.devmapper",
  "io.containerd.snapshotter.v1.erofs",
  "io.containerd.snapshotter.v1.zfs",
  "io.containerd.tracing.processor.v1.otlp",
]
[grpc]
  address = "{root}/run/containerd.sock"
[ttrpc]
  address = "{root}/run/containerd.sock.ttrpc"
[plugins.'io.containerd.internal.v1.opt']
  path = "{root}/opt"
[plugins.'io.containerd.cri.v1.images'.pinned_images]
  sandbox = "{pause}"
[plugins.'io.containerd.cri.v1.images'.registry]
  config_path = "{root}/registries"
[plugins.'io.containerd.cri.v1.runtime']
  disable_apparmor = true
  restrict_oom_score_adj = true
  netns_mounts_under_state_dir = true
[plugins.'io.containerd.cri.v1.runtime'.cni]
  bin_dirs = ["/usr/lib/cni"]
  conf_dir = "{root}/cni"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc]
  runtime_type = "io.containerd.runc.v2"
[plugins.'io.containerd.cri.v1.runtime'.containerd.runtimes.runc.options]
  BinaryName = "{runc}"
  Root = "{root}/run/runc"
"""
# Any registry that a reference may name is the lab's own: no pull leaves this machine.
REGISTRIES = """\
server = "http://{registry}"
[host."http://{registry}"]
  capabilities = ["pull", "resolve"]
"""
# Without the forward plugin: a name outside the cluster is not found, and no question leaves this
# machine.
COREDNS = """\
.:53 {{
  errors
  ready
  cache 5
  kubernetes cluster.local in-addr.arpa {{
    kubeconfig {kubeconfig}
    ttl 5
  }}
}}
"""


def write_files(lab: Lab, cluster: Cluster) -> None:
    """The configuration of everything on the node."""
    root = cluster.root
    for folder in ("run", "serving", "kubelet"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    runc = require("runc")
    write(root / "containerd.toml", CONTAINERD.format(root=root, pause=NAMES.pause, runc=runc))
    write(root / "registries/_default/hosts.toml", REGISTRIES.format(registry=lab.registry))
    write(root / "cni/10-lab.conflist", json.dumps(cni(cluster), indent=2))
    write(root / "resolv.conf", "")
    write(root / "kubelet.json", json.dumps(kubelet_configuration(lab, cluster), indent=2))
    write(root / "proxy.json", json.dumps(proxy_configuration(cluster), indent=2))
    kubeconfig = users.kubeconfig_of(cluster, users.COREDNS)
    write(root / "Corefile", COREDNS.format(kubeconfig=kubeconfig))


def cni(cluster: Cluster) -> dict[str, object]:
    """
    How Pods are connected: each by a cable of its own to the node, which routes. Not a bridge: two
    Pods on one bridge that talk through a Service need the kernel's br_netfilter, which a machine
    may lack.
    """
    ipam = {
        "type": "host-local",
        "ranges": [[{"subnet": cluster.pod_range}]],
        "routes": [{"dst": "0.0.0.0/0"}],
        "dataDir": str(cluster.root / "addresses"),
    }
    plugins = [
        {"type": "ptp", "ipMasq": False, "ipam": ipam},
        {"type": "portmap", "capabilities": {"portMappings": True}},
    ]
    return {"cniVersion": "1.0.0", "name": cluster.namespace, "plugins": plugins}


def kubelet_configuration(lab: Lab, cluster: Cluster) -> dict[str, object]:
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "authentication": {
            "anonymous": {"enabled": False},
            "webhook": {"enabled": True},
            "x509": {"clientCAFile": str(lab.root / "ca.crt")},
        },
        "authorization": {"mode": "Webhook"},
        "cgroupDriver": "cgroupfs",
        "cgroupRoot": pods_group(cluster),
        # Without it containers land in a group that names neither the lab nor the cluster.
        "cgroupsPerQOS": True,
        "clusterDNS": [lab.cluster(cluster.number).node_address],
        "clusterDomain": "cluster.local",
        "containerRuntimeEndpoint": f"unix://{cluster.containerd_socket}",
        "enforceNodeAllocatable": [],
        # A full disk of this machine is no reason to throw Pods out.
        "evictionHard": {
            "memory.available": "50Mi",
            "nodefs.available": "1%",
            "imagefs.available": "1%",
        },
        "failCgroupV1": False,
        "failSwapOn": False,
        "imageGCHighThresholdPercent": 100,
        "makeIPTablesUtilChains": False,
        "maxPods": 200,
        **_provider(lab, cluster),
        "resolvConf": str(cluster.root / "resolv.conf"),
        "serializeImagePulls": False,
        "tlsCertFile": str(cluster.home / "pki" / "apiserver.crt"),
        "tlsPrivateKeyFile": str(cluster.home / "pki" / "apiserver.key"),
        "volumePluginDir": str(cluster.root / "volume-plugins"),
    }


def _provider(lab: Lab, cluster: Cluster) -> dict[str, object]:
    """What says on a node of AKS which machine of Azure it is."""
    if not lab.azure:
        return {}
    from tasks.lab.azure import fleet

    return {"providerID": fleet.provider_id(lab, cluster)}


def proxy_configuration(cluster: Cluster) -> dict[str, object]:
    return {
        "apiVersion": "kubeproxy.config.k8s.io/v1alpha1",
        "kind": "KubeProxyConfiguration",
        "clientConnection": {"kubeconfig": str(users.kubeconfig_of(cluster, users.PROXY))},
        "clusterCIDR": cluster.pod_range,
        "conntrack": {"maxPerCore": 0},
        "hostnameOverride": cluster.name,
        "mode": "nftables",
        # Changes show at once, as on a node with little to do.
        "nftables": {"minSyncPeriod": "100ms", "syncPeriod": "60s"},
    }


def pods_group(cluster: Cluster) -> str:
    """The control group that holds the containers of a cluster."""
    return f"/envoyfleet/{cluster.lab}/{cluster.name}"


def containerd(lab: Lab, cluster: Cluster) -> Process:
    folder = lab.part("containerd")
    command = [str(folder / "containerd"), "--config", str(cluster.root / "containerd.toml")]
    command += ["--log-level", "warn"]
    path = {"PATH": f"{folder}:{clean_environment()['PATH']}"}
    return Process(lab.name, cluster.name, "containerd", command, cluster, path)


def kubelet(lab: Lab, cluster: Cluster) -> Process:
    command = [
        program(lab, "kubelet"),
        f"--config={cluster.root / 'kubelet.json'}",
        f"--kubeconfig={users.kubeconfig_of(cluster, users.kubelet(cluster))}",
        f"--hostname-override={cluster.name}",
        f"--node-ip={cluster.node_address}",
        f"--node-labels=topology.kubernetes.io/region=lab,topology.kubernetes.io/zone={cluster.name}",
        f"--root-dir={cluster.root / 'kubelet'}",
        f"--cert-dir={cluster.root / 'serving' / 'kubelet'}",
    ]
    return Process(lab.name, cluster.name, "kubelet", command, cluster, {"GOGC": "50"})


def proxy(lab: Lab, cluster: Cluster) -> Process:
    command = [program(lab, "kube-proxy"), f"--config={cluster.root / 'proxy.json'}"]
    return Process(lab.name, cluster.name, "kube-proxy", command, cluster, {"GOGC": "50"})


def coredns(lab: Lab, cluster: Cluster) -> Process:
    command = [program(lab, "coredns"), "-conf", str(cluster.root / "Corefile")]
    return Process(lab.name, cluster.name, "coredns", command, cluster, {"GOGC": "50"})


def ctr(lab: Lab, cluster: Cluster, *arguments: str, stdin: IO[bytes] | None = None) -> str:
    """The output of containerd's own client, in the namespace of Kubernetes."""
    client = str(lab.part("containerd") / "ctr")
    base = [client, "--address", str(cluster.containerd_socket), "--namespace", "k8s.io"]
    return run(*enter(cluster), *base, *arguments, stdin=stdin)
