// Command mock-graph plays services of a graph of HTTP services that call each other.
//
// In: the graph as YAML (MOCK_GRAPH), which service this is (MOCK_SERVICE), how many times slower than it should be (MOCK_SLOWDOWN).
// Out: a replica of that service: an HTTP server on :8080 that takes a body, works, calls the services it depends on, and answers with
// a body. Told to end (SIGTERM), it takes no new connections and finishes what is under way.
//
// With --control=SOCKET one process plays many replicas, each in a network namespace of its own; see control.go.
//
// Work is a wait and no computation: so a graph of many replicas fits on a machine with two cores, and what is measured is the way
// between them. What a replica can do is bounded by how many requests it works on at a time; the others wait in line, as behind the
// workers of a thread pool. The wait for other services is not work: it holds no place.
package main

import (
	"context"
	"flag"
	"fmt"
	"log"
	"net"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const (
	address = ":8080"
	// How long a replica may take to finish what is under way.
	grace = 10 * time.Second
)

func main() {
	log.SetFlags(0)
	control := flag.String("control", "", "Unix socket on which to be told which replicas to play")
	flag.Parse()
	if err := run(*control); err != nil {
		log.Fatal(err)
	}
}

func run(control string) error {
	if control != "" {
		return serveControl(control)
	}
	replica, err := replicaFromEnvironment(os.Getenv, ownNetwork)
	if err != nil {
		return err
	}
	server, err := replica.start()
	if err != nil {
		return err
	}
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	<-ending.Done()
	return server.stop()
}

// ownNetwork is the one this process is in.
var ownNetwork = network{
	listen: net.Listen,
	dial:   (&net.Dialer{}).DialContext,
}

func replicaFromEnvironment(environment func(string) string, network network) (*replica, error) {
	graph, err := parseGraph([]byte(environment("MOCK_GRAPH")))
	if err != nil {
		return nil, fmt.Errorf("MOCK_GRAPH: %w", err)
	}
	name := environment("MOCK_SERVICE")
	service, ok := graph.Services[name]
	if !ok {
		return nil, fmt.Errorf("MOCK_SERVICE: the graph has no service %q", name)
	}
	slowdown := 1.0
	if text := environment("MOCK_SLOWDOWN"); text != "" {
		if slowdown, err = strconv.ParseFloat(text, 64); err != nil || slowdown <= 0 {
			return nil, fmt.Errorf("MOCK_SLOWDOWN is %q: wanted a number above 0", text)
		}
	}
	return newReplica(graph, service, slowdown, network), nil
}
