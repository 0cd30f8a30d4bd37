#!/bin/bash
# One cluster: CRDs, the chart where it is not as wanted, every object.
set -euo pipefail
cluster=$1
kubectl() { command kubectl --kubeconfig "$KUBECONFIG_OF_MANY" --context "$cluster" --request-timeout=60s "$@"; }
helm() { command helm --kubeconfig "$KUBECONFIG_OF_MANY" --kube-context "$cluster" --namespace envoy-gateway-system "$@"; }
kubectl apply --server-side --force-conflicts --field-manager=bash -f "$WANTED/crds.yaml" >/dev/null
has=$(helm list --filter '^eg$' --output json)
values=$(helm get values eg --output json 2>/dev/null || true)
if [[ $has != *"\"chart\":\"$CHART_NAME\""* || $has != *'"status":"deployed"'* || $values != "$(<"$WANTED/values.json")" ]]; then
  helm upgrade --install eg "$CHART" --create-namespace --skip-crds --values "$WANTED/values.yaml" --wait --timeout 300s >/dev/null
  echo "$cluster: chart changed"
fi
[[ ${ONLY:-} == chart ]] || kubectl apply --server-side --force-conflicts --field-manager=bash -f "$WANTED/objects.yaml" >/dev/null
echo "$cluster: done"
