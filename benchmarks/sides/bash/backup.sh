#!/bin/bash
# One cluster: each kind of the Gateway API and of Envoy Gateway into a file, and the release.
set -euo pipefail
umask 077
cluster=$1
kubectl --kubeconfig "$KUBECONFIG_OF_MANY" --context "$cluster" --request-timeout=60s \
  get "$KINDS" --all-namespaces --output json >"$BACKUPS/$cluster.json"
helm --kubeconfig "$KUBECONFIG_OF_MANY" --kube-context "$cluster" --namespace envoy-gateway-system \
  get all eg >"$BACKUPS/$cluster.release"
echo "$cluster: done"
