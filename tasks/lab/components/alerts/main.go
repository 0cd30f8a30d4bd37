// Command alerts is a receiver of Alertmanager's webhook that keeps what it gets. Whatever path is
// posted to is kept beside the body, so that one receiver can be pager and chat.
//
//	POST   /pager     {"status": "firing", "alerts": [...]}
//	GET    /received  [{"at": "2026-11-22T07:00:00.123Z", "path": "/pager", "body": {...}}]
//	DELETE /received
package main

import (
	"encoding/json"
	"io"
	"log"
	"net/http"
	"sync"
	"time"
)

// Of one notification, and of all that are kept.
const (
	mostBytes    = 1 << 20
	mostReceived = 1000
)

type received struct {
	At   time.Time       `json:"at"`
	Path string          `json:"path"`
	Body json.RawMessage `json:"body"`
}

var (
	lock sync.Mutex
	all  = []received{}
)

func main() {
	http.HandleFunc("GET /received", list)
	http.HandleFunc("DELETE /received", forget)
	http.HandleFunc("POST /", keep)
	log.Fatal(http.ListenAndServe(":8080", nil))
}

func keep(answer http.ResponseWriter, asked *http.Request) {
	body, err := io.ReadAll(http.MaxBytesReader(answer, asked.Body, mostBytes))
	if err != nil || !json.Valid(body) {
		http.Error(answer, "not JSON, or too long", http.StatusBadRequest)
		return
	}
	lock.Lock()
	defer lock.Unlock()
	all = append(all, received{time.Now().UTC(), asked.URL.Path, body})
	if len(all) > mostReceived {
		all = all[1:]
	}
}

func list(answer http.ResponseWriter, _ *http.Request) {
	lock.Lock()
	defer lock.Unlock()
	answer.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(answer).Encode(all); err != nil {
		log.Print(err)
	}
}

func forget(answer http.ResponseWriter, _ *http.Request) {
	lock.Lock()
	defer lock.Unlock()
	all = []received{}
}
