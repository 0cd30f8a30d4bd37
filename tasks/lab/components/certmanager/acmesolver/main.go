// Command acmesolver answers one HTTP-01 challenge with cert-manager's own server. Upstream's
// command is a module of its own that is not published.
package main

import (
	"errors"
	"flag"
	"net/http"
	"os"

	"github.com/cert-manager/cert-manager/pkg/issuer/acme/http/solver"
	logf "github.com/cert-manager/cert-manager/pkg/logs"
)

func main() {
	var one solver.HTTP01Solver
	flag.IntVar(&one.ListenPort, "listen-port", 8089, "where to listen")
	flag.StringVar(&one.Domain, "domain", "", "the name that is proven")
	flag.StringVar(&one.Token, "token", "", "the token that is asked for")
	flag.StringVar(&one.Key, "key", "", "the answer")
	flag.Parse()
	logf.InitLogs()
	if err := one.Listen(logf.Log); err != nil && !errors.Is(err, http.ErrServerClosed) {
		logf.Log.Error(err, "cannot listen")
		os.Exit(1)
	}
}
