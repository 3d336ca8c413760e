package main

import (
	"bytes"
	"fmt"
	"time"

	"go.yaml.in/yaml/v3"
)

// graph is what all replicas are told. What a service does not say, it has from the graph.
type graph struct {
	RequestBytes  int                `yaml:"requestBytes"`
	ResponseBytes int                `yaml:"responseBytes"`
	Defaults      work               `yaml:"defaults"`
	Services      map[string]service `yaml:"services"`
}

// work is what a request costs a replica.
type work struct {
	// Latency is the mean of how long it is worked on: evenly between half and one and a half of it.
	Latency time.Duration `yaml:"latency"`
	// Concurrency is how many requests are worked on at a time; 0: all.
	Concurrency int `yaml:"concurrency"`
	// CPULimit is the share of a processor that the work may take, as a container's resources.limits.cpu; 0: no limit.
	CPULimit float64 `yaml:"cpuLimit"`
}

type service struct {
	Work *work `yaml:"work"`
	// ErrorRate is the share of requests that are answered with 500 after the work, before any call.
	ErrorRate float64 `yaml:"errorRate"`
	// Calls are made step by step; those of a step at the same time.
	Calls [][]string `yaml:"calls"`
}

func parseGraph(text []byte) (*graph, error) {
	decoder := yaml.NewDecoder(bytes.NewReader(text))
	decoder.KnownFields(true)
	var parsed graph
	if err := decoder.Decode(&parsed); err != nil {
		return nil, err
	}
	for name, service := range parsed.Services {
		if service.ErrorRate < 0 || service.ErrorRate > 1 {
			return nil, fmt.Errorf("service %s: errorRate is %v: wanted 0 to 1", name, service.ErrorRate)
		}
		for _, step := range service.Calls {
			for _, called := range step {
				if _, ok := parsed.Services[called]; !ok {
					return nil, fmt.Errorf("service %s calls %q, which the graph does not have", name, called)
				}
			}
		}
	}
	return &parsed, nil
}
