// Command mock-graph is one replica of one service in a graph of HTTP services that call each other.
//
// In: the graph as YAML (MOCK_GRAPH), which service this is (MOCK_SERVICE), how many times slower than it should be (MOCK_SLOWDOWN).
// Out: an HTTP server on :8080 that takes a body, works, calls the services it depends on, and answers with a body. It prints
// "listening" once it does. Told to end (SIGTERM), it takes no new connections and finishes what is under way.
//
// Work is a wait and no computation: so a graph of many replicas fits on a machine with two cores, and what is measured is the way
// between them. What a replica can do is bounded by how many requests it works on at a time; the others wait in line, as behind the
// workers of a thread pool. The wait for other services is not work: it holds no place.
package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"os/signal"
	"strconv"
	"syscall"
	"time"
)

const address = ":8080"

func main() {
	log.SetFlags(0)
	replica, err := replicaFromEnvironment(os.Getenv)
	if err != nil {
		log.Fatal(err)
	}
	listener, err := net.Listen("tcp", address)
	if err != nil {
		log.Fatal(err)
	}
	server := &http.Server{Handler: replica.handler()}
	ending, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	ended := make(chan error, 1)
	go func() {
		<-ending.Done()
		grace, cancel := context.WithTimeout(context.Background(), 10*time.Second)
		defer cancel()
		ended <- server.Shutdown(grace)
	}()
	fmt.Println("listening")
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		log.Fatal(err)
	}
	if err := <-ended; err != nil {
		log.Fatal(err)
	}
}

func replicaFromEnvironment(environment func(string) string) (*replica, error) {
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
	return newReplica(graph, service, slowdown), nil
}

// newClient keeps what connections it needed. Go by itself keeps two: whatever is beyond them would be called on new connections all
// the time.
func newClient() *http.Client {
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.MaxIdleConns = 0
	transport.MaxIdleConnsPerHost = 100
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

// call sends a body of the graph's size and reads the answer to its end.
func call(ctx context.Context, client *http.Client, target string, body []byte) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+target+address+"/", bytes.NewReader(body))
	if err != nil {
		return err
	}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	if _, err := io.Copy(io.Discard, response.Body); err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s answered %d", target, response.StatusCode)
	}
	return nil
}
