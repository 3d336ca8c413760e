package main

import (
	"bytes"
	"context"
	"errors"
	"io"
	"math/rand/v2"
	"net/http"
	"strconv"
	"time"
)

// replica answers for a service.
type replica struct {
	service  service
	latency  time.Duration
	places   chan struct{} // One for each request that is worked on; nil: no limit.
	throttle *throttle     // Nil: no limit.
	response []byte
	network  network
	client   *client
}

func newReplica(graph *graph, service service, slowdown float64, network network) *replica {
	work := graph.Defaults
	if service.Work != nil {
		work = *service.Work
	}
	var places chan struct{}
	if work.Concurrency > 0 {
		places = make(chan struct{}, work.Concurrency)
	}
	var throttle *throttle
	if work.CPULimit > 0 {
		throttle = newThrottle(work.CPULimit, slowdown)
	}
	return &replica{
		throttle: throttle,
		service:  service,
		latency:  time.Duration(float64(work.Latency) * slowdown),
		places:   places,
		response: filled(graph.ResponseBytes),
		network:  network,
		client:   newClient(network, filled(graph.RequestBytes)),
	}
}

// server is a replica at work.
type server struct {
	http   *http.Server
	ended  chan error
	client *client
}

// start serves from now on.
func (r *replica) start() (*server, error) {
	listener, err := r.network.listen("tcp", address)
	if err != nil {
		return nil, err
	}
	server := &server{http: &http.Server{Handler: r.handler()}, ended: make(chan error, 1), client: r.client}
	go func() { server.ended <- server.http.Serve(listener) }()
	return server, nil
}

// stop takes no new connections, finishes what is under way, and closes those it had.
func (s *server) stop() error {
	ending, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	err := s.http.Shutdown(ending)
	s.client.http.CloseIdleConnections()
	if ended := <-s.ended; !errors.Is(ended, http.ErrServerClosed) {
		return ended
	}
	return err
}

func filled(size int) []byte {
	return bytes.Repeat([]byte("x"), size)
}

func (r *replica) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/healthz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/", r.serve)
	return mux
}

func (r *replica) serve(writer http.ResponseWriter, request *http.Request) {
	if _, err := io.Copy(io.Discard, request.Body); err != nil {
		return // The client has gone.
	}
	ctx := request.Context()
	if err := r.work(ctx); err != nil {
		return // The same, while it waited.
	}
	if r.service.ErrorRate > 0 && rand.Float64() < r.service.ErrorRate {
		http.Error(writer, "fails as it is told to", http.StatusInternalServerError)
		return
	}
	for _, step := range r.service.Calls {
		if err := r.callAll(ctx, step); err != nil {
			http.Error(writer, err.Error(), http.StatusInternalServerError)
			return
		}
	}
	writer.Header().Set("Content-Length", strconv.Itoa(len(r.response)))
	_, _ = writer.Write(r.response) // A client that has gone is its own affair.
}

// work waits for a place, and then for as long as the work takes.
func (r *replica) work(ctx context.Context) error {
	if r.places != nil {
		select {
		case r.places <- struct{}{}:
			defer func() { <-r.places }()
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	if r.latency == 0 {
		return nil
	}
	cost := r.latency/2 + rand.N(r.latency)
	if r.throttle != nil {
		if err := r.throttle.take(ctx, cost); err != nil {
			return err
		}
	}
	time.Sleep(cost)
	return nil
}

// callAll calls at the same time, and waits for all.
func (r *replica) callAll(ctx context.Context, targets []string) error {
	if len(targets) == 1 {
		return r.client.call(ctx, targets[0])
	}
	results := make(chan error, len(targets))
	for _, target := range targets {
		go func() { results <- r.client.call(ctx, target) }()
	}
	var failures []error
	for range targets {
		failures = append(failures, <-results)
	}
	return errors.Join(failures...)
}
