package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"
)

// network is where a replica listens, and from where it calls.
type network struct {
	listen func(network, address string) (net.Listener, error)
	dial   func(ctx context.Context, network, address string) (net.Conn, error)
}

// client calls other services, with a body of the graph's size.
type client struct {
	http *http.Client
	body []byte
}

// newClient keeps what connections it needed. Go by itself keeps two: whatever is beyond them would be called on new connections all
// the time.
func newClient(network network, body []byte) *client {
	transport := &http.Transport{
		DialContext:         network.dial,
		MaxIdleConnsPerHost: 100,
		// A body is one write and not many.
		WriteBufferSize: 32 << 10,
		ReadBufferSize:  32 << 10,
	}
	return &client{http: &http.Client{Transport: transport, Timeout: 30 * time.Second}, body: body}
}

// call reads the answer to its end.
func (c *client) call(ctx context.Context, target string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+target+address+"/", bytes.NewReader(c.body))
	if err != nil {
		return err
	}
	response, err := c.http.Do(request)
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
