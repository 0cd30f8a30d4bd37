"""
The lab: real Kubernetes clusters on this machine, without a container engine and from package
registries alone.

    python -m tasks.lab up 3

A launcher, not an imitation: what exists as a component (etcd, kube-apiserver, containerd, kubelet,
Envoy) is started, not rewritten. It imports nothing of the product, and the product does not ask
whether a cluster is one of its.
"""
