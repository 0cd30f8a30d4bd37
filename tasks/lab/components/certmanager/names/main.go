// Command names is the public DNS of one lab cluster: a name has the address of the Gateway whose
// HTTP listener admits it, the most specific one first, as external-dns would have published it.
// Any other name does not exist, and none outside of "test": a Pod asks for
// "shop.lab.test.demo.svc.cluster.local" first.
package main

import (
	"context"
	"flag"
	"log"
	"net"
	"strings"

	"github.com/miekg/dns"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/client-go/rest"
	gateway "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/pkg/client/clientset/versioned"
)

func main() {
	listen := flag.String("listen", ":8053", "where to listen, UDP and TCP")
	flag.Parse()
	config, err := rest.InClusterConfig()
	if err != nil {
		log.Fatal(err)
	}
	client, err := versioned.NewForConfig(config)
	if err != nil {
		log.Fatal(err)
	}
	dns.HandleFunc(".", func(w dns.ResponseWriter, question *dns.Msg) {
		gateways, err := client.GatewayV1().Gateways("").List(context.Background(), metav1.ListOptions{})
		_ = w.WriteMsg(answer(question, gateways, err))
	})
	go func() { log.Fatal(dns.ListenAndServe(*listen, "tcp", nil)) }()
	log.Fatal(dns.ListenAndServe(*listen, "udp", nil))
}

// answer is what a question gets: an address, nothing of that type, no such name, or a failure
// where the Gateways could not be listed.
func answer(question *dns.Msg, gateways *gateway.GatewayList, err error) *dns.Msg {
	reply := new(dns.Msg).SetReply(question)
	reply.Authoritative = true
	if err != nil || len(question.Question) != 1 {
		reply.Rcode = dns.RcodeServerFailure
		return reply
	}
	asked := question.Question[0]
	address := address(strings.ToLower(strings.TrimSuffix(asked.Name, ".")), gateways.Items)
	if address == nil {
		reply.Rcode = dns.RcodeNameError
	} else if asked.Qtype == dns.TypeA {
		head := dns.RR_Header{Name: asked.Name, Rrtype: dns.TypeA, Class: dns.ClassINET, Ttl: 1}
		reply.Answer = append(reply.Answer, &dns.A{Hdr: head, A: address})
	}
	return reply
}

// address is that of the Gateway which serves a name on port 80, or nil.
func address(name string, gateways []gateway.Gateway) net.IP {
	var best net.IP
	longest := -1
	if !strings.HasSuffix(name, ".test") {
		return nil
	}
	for _, one := range gateways {
		for _, listener := range one.Spec.Listeners {
			if listener.Port != 80 || listener.Protocol != gateway.HTTPProtocolType {
				continue
			}
			host := ""
			if listener.Hostname != nil {
				host = strings.ToLower(string(*listener.Hostname))
			}
			if !admits(host, name) || len(host) <= longest {
				continue
			}
			for _, has := range one.Status.Addresses {
				if ip := net.ParseIP(has.Value).To4(); ip != nil {
					best, longest = ip, len(host)
				}
			}
		}
	}
	return best
}

// admits says whether a listener of this host, such as "*.lab.test" or "" for all, serves a name.
func admits(host, name string) bool {
	if suffix, wild := strings.CutPrefix(host, "*"); wild {
		return strings.HasSuffix(name, suffix) && len(name) > len(suffix)
	}
	return host == "" || host == name
}
