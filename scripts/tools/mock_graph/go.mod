module mock-graph

go 1.26.0

require go.yaml.in/yaml/v3 v3.0.4

require golang.org/x/sys v0.38.0
