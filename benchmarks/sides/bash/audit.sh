#!/bin/bash
# One cluster: which release, which CRDs, which Gateways, which Pods.
set -euo pipefail
cluster=$1
kubectl() { command kubectl --kubeconfig "$KUBECONFIG_OF_MANY" --context "$cluster" --request-timeout=60s "$@"; }
chart=$(helm --kubeconfig "$KUBECONFIG_OF_MANY" --kube-context "$cluster" --namespace envoy-gateway-system list --filter '^eg$' --output json)
crd=$(kubectl get crd gateways.gateway.networking.k8s.io --output jsonpath='{.metadata.annotations.gateway\.networking\.k8s\.io/bundle-version}')
gateways=$(kubectl get gateways --all-namespaces --output jsonpath='{.items[*].metadata.name} {.items[*].status.addresses[*].value}')
pods=$(kubectl get pods --namespace envoy-gateway-system --output name | wc -l)
echo "$cluster $chart $crd $gateways $pods"
