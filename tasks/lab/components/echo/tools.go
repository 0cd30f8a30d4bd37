//go:build tools

// Package echo pins the echo server of the Gateway API's conformance tests. Its module cannot be
// installed by itself, because it has a replace directive; so it is built as a dependency of this
// one.
package echo

import _ "sigs.k8s.io/gateway-api/conformance/echo-basic"
