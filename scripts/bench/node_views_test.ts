import { assertEquals } from "@std/assert/equals";
import { type ApiService, type ApiSlice, disagreements, type NodeViews, viewApi } from "./node_views.ts";

function service(
  name: string,
  clusterIP: string,
  port: { readonly protocol?: string; readonly appProtocol?: string } = {},
): ApiService {
  return {
    metadata: { namespace: "default", name },
    spec: { clusterIP, ports: [{ name: "main", port: 80, protocol: "TCP", ...port }] },
  };
}

function slice(name: string, ...endpoints: (readonly [string, boolean?])[]): ApiSlice {
  return {
    metadata: { namespace: "default", labels: { "kubernetes.io/service-name": name } },
    ports: [{ name: "main", port: 8080 }],
    endpoints: endpoints.map(([address, ready]) => ({
      addresses: [address],
      conditions: ready === undefined ? {} : { ready },
    })),
  };
}

Deno.test("viewApi() joins slices, leaves out what is not ready, and gives each destination its verdict", () => {
  const { api, verdicts } = viewApi([
    service("web", "10.96.0.1", { appProtocol: "http" }),
    service("db", "10.96.0.2"),
    service("empty", "10.96.0.3"),
    service("headless", "None"),
    service("dns", "10.96.0.4", { protocol: "UDP" }),
  ], [
    slice("web", ["10.0.0.2"], ["10.0.0.9", false]),
    slice("web", ["10.0.0.1", true], ["10.0.0.2", true]),
    slice("db", ["10.0.0.3"]),
    { ...slice("db", ["10.0.0.4"]), ports: [{ name: "other", port: 1 }] },
    { ...slice("db", ["10.0.0.5"]), metadata: { namespace: "elsewhere" } },
    { ...slice("db"), ports: null, endpoints: null },
  ]);
  assertEquals(api, {
    "10.96.0.1:80": ["10.0.0.1:8080", "10.0.0.2:8080"],
    "10.96.0.2:80": ["10.0.0.3:8080"],
    "10.96.0.3:80": [],
  });
  assertEquals(verdicts, {
    "10.96.0.1:80": "envoy-http",
    "10.96.0.2:80": "envoy-tcp",
    "10.96.0.3:80": "no-endpoint",
  });
});

Deno.test("disagreements() finds nothing where all agree, and each difference where not", () => {
  const agreed: NodeViews = {
    api: { "10.96.0.1:80": ["10.0.0.1:8080"], "10.96.0.2:80": [] },
    verdicts: { "10.96.0.1:80": "envoy-http", "10.96.0.2:80": "no-endpoint" },
    // 10.96.0.9:80 was a Service once.
    agent: { "10.96.0.1:80": ["10.0.0.1:8080"], "10.96.0.2:80": [], "10.96.0.9:80": [] },
    envoy: { "10.96.0.1:80": ["10.0.0.1:8080"], "10.96.0.9:80": [] },
    kernel: { "10.96.0.1:80": "envoy-http", "10.96.0.2:80": "no-endpoint" },
    streams: 1,
  };
  assertEquals(disagreements(agreed), []);
  for (
    const [change, expected] of [
      [{ kernel: {} }, [
        "10.96.0.1:80: the kernel has nothing, the API says envoy-http",
        "10.96.0.2:80: the kernel has nothing, the API says no-endpoint",
      ]],
      [{ kernel: { ...agreed.kernel, "10.96.0.9:80": "envoy-tcp" } }, [
        "10.96.0.9:80: the kernel has envoy-tcp, the API says nothing",
      ]],
      [{ kernel: { ...agreed.kernel, "10.96.0.1:80": "envoy-tcp" } }, [
        "10.96.0.1:80: the kernel has envoy-tcp, the API says envoy-http",
      ]],
      [{ agent: { ...agreed.agent, "10.96.0.1:80": [] } }, [
        "10.96.0.1:80: the agent has no endpoints, the API says 10.0.0.1:8080",
      ]],
      [{ agent: {} }, ["10.96.0.1:80: the agent has no endpoints, the API says 10.0.0.1:8080"]],
      [{ envoy: { "10.96.0.9:80": ["10.0.0.1:8080"] } }, [
        "10.96.0.9:80: Envoy has 10.0.0.1:8080, the API says no endpoints",
      ]],
      [{ streams: 2 }, ["2 Envoys are connected to the agent, not 1"]],
    ] as const
  ) assertEquals(disagreements({ ...agreed, ...change }), expected);
});
