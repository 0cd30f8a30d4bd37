//go:build tools

// Package monitoring pins the prometheus-operator and kube-state-metrics. The operator's module
// cannot be installed by itself, because it has replace directives; so it is built as a dependency
// of this one, and kube-state-metrics with it, which is then compiled in 20 s instead of 2 min.
package monitoring

import (
	_ "github.com/prometheus-operator/prometheus-operator/cmd/operator"
	_ "github.com/prometheus-operator/prometheus-operator/cmd/prometheus-config-reloader"
	_ "k8s.io/kube-state-metrics/v2"
)
