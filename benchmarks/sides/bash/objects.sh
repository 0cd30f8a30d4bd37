#!/bin/bash
# One cluster: the objects alone.
set -euo pipefail
kubectl --kubeconfig "$KUBECONFIG_OF_MANY" --context "$1" --request-timeout=60s \
  apply --server-side --force-conflicts --field-manager=bash -f "$WANTED/objects.yaml" >/dev/null
echo "$1: done"
