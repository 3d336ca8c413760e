import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import type { EndpointSlice, Service } from "../../agent/kube/mod.ts";
import { ServiceModel } from "../../agent/model/mod.ts";
import { endpoint, portSpec, service, slice } from "../../agent/model/testing/objects.ts";
import { type EnvoyResourceState, type LeftOutEndpoints, ResourceStore } from "../../xds/mod.ts";
import { explainService, type Explanation, type Found, type NotServed } from "./explanation.ts";
import { renderExplanation } from "./render.ts";

const NODE_ADDRESSES = { IPv4: ["192.168.0.1"], IPv6: [] };

function explain(
  name: string,
  objects: readonly (Service | EndpointSlice)[],
  envoys?: readonly EnvoyResourceState[],
  { zone = "zone-a", ...more }: {
    readonly zone?: string;
    readonly found?: Found;
    readonly leftOut?: LeftOutEndpoints | string;
  } = {},
): Explanation | NotServed {
  const selection = { serviceProxyName: "", families: ["IPv4", "IPv6"] } as const;
  const model = new ServiceModel(selection, { nodeName: "node-1", zone });
  model.load(objects.map((object) => ({ type: "apply", object })));
  model.loaded();
  const store = new ResourceStore({ view: model, nodeAddresses: NODE_ADDRESSES });
  return explainService(name, {
    viewpoint: envoys === undefined ? { kind: "manifests" } : { kind: "agent", nodeName: "node-1" },
    selection,
    model,
    store,
    resourceStates: envoys && (() => envoys),
    ...more,
  });
}

function rendered(explanation: Explanation | NotServed, all = false): string {
  return "notServed" in explanation
    ? `not served: ${explanation.notServed}`
    : renderExplanation(explanation, { all });
}

const ACKED: EnvoyResourceState = { streamId: 1, nodeId: "node-1", state: "acked", version: "v1" };

Deno.test("a Service in full", () => {
  const echo = service({
    annotations: {
      "config.lightpath.cloud/num-retries": "3",
      "config.lightpath.cloud/http-request-timeout": "30s",
      "config.lightpath.cloud/http-lb-polcy": "MAGLEV",
    },
    externalIPs: ["203.0.113.1"],
    ports: [
      portSpec({ nodePort: 30080 }),
      portSpec({ name: "db", port: 5432 }),
      portSpec({ name: "dns", port: 53, protocol: "UDP" }),
    ],
  });
  const endpoints = [
    endpoint("10.244.0.11", { zone: "a", nodeName: "node-1" }),
    endpoint("10.244.10.12", { ready: false, serving: false }),
  ];
  const slices = slice({ endpoints, ports: [{ name: "http", protocol: "TCP", port: 8080 }] });
  assertEquals(
    rendered(explain("default/echo", [echo, slices], [ACKED])),
    `\
Service default/echo, as the agent on node-1 (zone zone-a) serves it

Port "db", 5432/TCP
  protocol    tcp (bytes, balanced per connection), because neither appProtocol nor the port's name says otherwise
  reached at  10.96.0.10:5432 (ClusterIP)
              203.0.113.1:5432 (ExternalIP)
  carried by  Envoy, because --tcp-path is envoy, and no annotation says otherwise
  path        IPv4: refused at once, because no endpoint is usable
  settings    all 15 are at their defaults: --all shows them
  endpoints   IPv4: none; its EndpointSlices have no port named "db" (they have "http")
  in Envoy    Cluster 10.96.0.10:5432: version v1 acked
              Cluster 203.0.113.1:5432: version v1 acked
              ClusterLoadAssignment default/echo:db/IPv4: version v1 acked

Port "dns", 53/UDP
  protocol    not looked into, because it is UDP
  reached at  10.96.0.10:53 (ClusterIP)
              203.0.113.1:53 (ExternalIP)
  carried by  the kernel, because it is UDP
  path        IPv4: refused at once, because no endpoint is usable
  endpoints   IPv4: none; its EndpointSlices have no port named "dns" (they have "http")

Port "http", 80/TCP
  protocol    http (HTTP/1.1, or HTTP/2 where the client speaks it; balanced per request), because the port is called "http"
  reached at  10.96.0.10:80 (ClusterIP)
              203.0.113.1:80 (ExternalIP)
              port 30080 of the node (NodePort)
  carried by  Envoy, because --tcp-path is envoy, and no annotation says otherwise
  path        IPv4: Envoy's HTTP listener
  settings    request-timeout  30s  from config.lightpath.cloud/http-request-timeout (default 15s)
              num-retries      3    from config.lightpath.cloud/num-retries (default 2)
              the other 27 are at their defaults: --all shows them
  endpoints   10.244.0.11:8080   zone a   here      used: ready
              10.244.10.12:8080  no zone  not here  not used: not ready
  in Envoy    Cluster 10.96.0.10:80: version v1 acked
              Cluster 203.0.113.1:80: version v1 acked
              Cluster 192.168.0.1:30080: version v1 acked
              ClusterLoadAssignment default/echo:http/IPv4: version v1 acked
              RouteConfiguration vip: version v1 acked

Problems
  invalid-annotation: Service default/echo: annotation config.lightpath.cloud/http-lb-polcy is no setting; it has no effect. The nearest is config.lightpath.cloud/http-lb-policy.
`,
  );
});

Deno.test("where the node's zone is not known, it says that none is near by it", () => {
  const echo = service({ trafficDistribution: "PreferSameZone" });
  const explanation = explain("default/echo", [echo], [ACKED], { zone: "" });
  assertMatch(
    rendered(explanation),
    /^Service default\/echo, as the agent on node-1 \(no zone\) serves it\n {2}nearness {4}PreferSameZone: endpoints of the node's zone come first; which zone the node is in is not known\n/,
  );
});

Deno.test("--all shows each setting and where it came from", () => {
  const echo = service({ annotations: { "config.lightpath.cloud/lb-policy": "RANDOM" } });
  const text = rendered(explain("default/echo", [echo]), true);
  const lines = text.split("\n").map((line) => line.trim().replaceAll(/ +/g, " "));
  assertEquals(lines.includes("upstream-connect-timeout 5s default"), true, text);
  assertEquals(
    lines.includes("lb-policy RANDOM from config.lightpath.cloud/lb-policy (default LEAST_REQUEST)"),
    true,
    text,
  );
  assertEquals(lines.includes("retriable-headers default"), true, text);
  assertEquals(text.includes("--all"), false, text);
});

Deno.test("by manifests alone there is no Envoy to speak of, and a dual-stack Service has both families", () => {
  const echo = service({ clusterIPs: ["10.96.0.10", "fd00::10"], ports: [portSpec({ name: "" })] });
  assertEquals(
    rendered(explain("default/echo", [echo])),
    `\
Service default/echo, as an agent in zone zone-a would serve it, by the manifests alone

The port, 80/TCP
  protocol    tcp (bytes, balanced per connection), because neither appProtocol nor the port's name says otherwise
  reached at  10.96.0.10:80 (ClusterIP)
              [fd00::10]:80 (ClusterIP)
  carried by  Envoy, because --tcp-path is envoy, and no annotation says otherwise
  path        IPv4: refused at once, because no endpoint is usable
              IPv6: refused at once, because no endpoint is usable
  settings    all 15 are at their defaults: --all shows them
  endpoints   IPv4: none; no IPv4 EndpointSlice has the label kubernetes.io/service-name: echo
              IPv6: none; no IPv6 EndpointSlice has the label kubernetes.io/service-name: echo
  in Envoy    Cluster 10.96.0.10:80
              Cluster [fd00::10]:80
              ClusterLoadAssignment default/echo/IPv4
              ClusterLoadAssignment default/echo/IPv6

No problems
`,
  );
});

Deno.test("what a Service says of its traffic: who may come, whose endpoints answer, who keeps whom", () => {
  const balanced = service({
    type: "LoadBalancer",
    clusterIPs: ["10.96.0.10", "fd00::10"],
    ports: [portSpec({ nodePort: 30080 }), portSpec({ name: "dns", port: 53, protocol: "UDP" })],
    loadBalancerIngress: [{ ip: "203.0.113.1", ipMode: "VIP" }],
    loadBalancerSourceRanges: ["198.51.100.0/24"],
    externalTrafficPolicy: "Local",
    healthCheckNodePort: 31_000,
    sessionAffinity: "ClientIP",
    trafficDistribution: "PreferSameZone",
  });
  const going = { ready: false, terminating: true };
  const ports = [{ name: "http", protocol: "TCP", port: 8080 }, { name: "dns", protocol: "UDP", port: 53 }];
  const four = slice({
    ports,
    endpoints: [
      endpoint("10.244.0.1", { ...going, nodeName: "node-1", zone: "zone-a" }),
      endpoint("10.244.1.1", { nodeName: "node-2", zone: "zone-a" }),
      endpoint("10.244.2.1", { nodeName: "node-3", zone: "zone-b" }),
    ],
  });
  const six = slice({ name: "echo-6", addressType: "IPv6", ports, endpoints: [endpoint("fd01::1")] });
  assertEquals(
    rendered(explain("default/echo", [balanced, four, six])),
    `\
Service default/echo, as an agent in zone zone-a would serve it, by the manifests alone
  policies    externalTrafficPolicy Local: only endpoints of this node answer everything but ClusterIPs
              but to pods (--cluster-cidr) and this node itself: all endpoints, by the kernel
  nearness    PreferSameZone: endpoints of the node's zone come first
  affinity    ClientIP, 10800 s: a client keeps its endpoint
  let in      to load balancer IPs: IPv4 from 198.51.100.0/24
              to load balancer IPs: IPv6 from nobody
  health      load balancers ask at port 31000; ready endpoints on this node: 0 (IPv4), 0 (IPv6)

Port "dns", 53/UDP
  protocol    not looked into, because it is UDP
  reached at  10.96.0.10:53 (ClusterIP)
              [fd00::10]:53 (ClusterIP)
              203.0.113.1:53 (LoadBalancerIP)
  carried by  the kernel, because it is UDP
  path        IPv4: balanced by the kernel
              IPv6: balanced by the kernel
  endpoints   10.244.1.1:53  zone zone-a  not here  used for the policy Cluster: ready
              10.244.2.1:53  zone zone-b  not here  used for the policy Cluster, when no nearer one is ready: ready
              10.244.0.1:53  zone zone-a  here      used for the policy Local: terminating, but it still serves, and none is ready on this node
              [fd01::1]:53   no zone      not here  used for the policy Cluster: ready

Port "http", 80/TCP
  protocol    http (HTTP/1.1, or HTTP/2 where the client speaks it; balanced per request), because the port is called "http"
  reached at  10.96.0.10:80 (ClusterIP)
              [fd00::10]:80 (ClusterIP)
              203.0.113.1:80 (LoadBalancerIP)
              port 30080 of the node (NodePort)
  carried by  Envoy, because --tcp-path is envoy, and no annotation says otherwise
  path        IPv4: Envoy's HTTP listener
              IPv6 ClusterIP: Envoy's HTTP listener
              IPv6 NodePort: dropped, because the traffic policy Local allows none of its endpoints
  settings    all 29 are at their defaults: --all shows them
  endpoints   10.244.1.1:8080  zone zone-a  not here  used for the policy Cluster: ready
              10.244.2.1:8080  zone zone-b  not here  used for the policy Cluster, when nearer ones fail: ready
              10.244.0.1:8080  zone zone-a  here      used for the policy Local: terminating, but it still serves, and none is ready on this node
              [fd01::1]:8080   no zone      not here  used for the policy Cluster: ready
  in Envoy    Cluster 10.96.0.10:80
              Cluster [fd00::10]:80
              Cluster 203.0.113.1:80
              Cluster 192.168.0.1:30080
              ClusterLoadAssignment default/echo:http/IPv4
              ClusterLoadAssignment default/echo:http/IPv6
              ClusterLoadAssignment default/echo:http/IPv4/local
              RouteConfiguration vip

No problems
`,
  );
});

Deno.test("a Service whose policies are all Local, carried by the kernel because it says so", () => {
  const local = service({
    internalTrafficPolicy: "Local",
    annotations: { "lightpath.cloud/path": "kernel", "config.lightpath.cloud/num-retries": "3" },
  });
  const there = slice({ endpoints: [endpoint("10.244.1.1", { nodeName: "node-2" })] });
  assertEquals(
    rendered(explain("default/echo", [local, there])),
    `\
Service default/echo, as an agent in zone zone-a would serve it, by the manifests alone
  policies    internalTrafficPolicy Local: only endpoints of this node answer ClusterIPs

Port "http", 80/TCP
  protocol    http (the kernel balances connections, whatever they hold), because the port is called "http"
  reached at  10.96.0.10:80 (ClusterIP)
  carried by  the kernel, because the annotation lightpath.cloud/path is "kernel"
  path        IPv4: dropped, because the traffic policy Local allows none of its endpoints
  endpoints   10.244.1.1:8080  no zone  not here  not used: on another node, and the traffic policy is Local

Problems
  invalid-annotation: Service default/echo: annotation config.lightpath.cloud/num-retries is for ports that Envoy carries, and its TCP ports are carried by the kernel; it has no effect.
`,
  );
});

Deno.test("what Envoy has of a resource, in words", () => {
  const cluster = (...envoys: readonly EnvoyResourceState[]): readonly string[] =>
    rendered(explain("default/echo", [service()], envoys)).split("\n")
      .filter((line) => line.includes("Cluster 10.96.0.10:80")).map((line) =>
        line.replace(/^.*Cluster /, "")
      );
  const envoy = { streamId: 1, nodeId: "node-1" };
  const waiting = { ...envoy, state: "waiting" } as const;
  assertEquals(cluster(), ["10.96.0.10:80: no Envoy is connected"]);
  assertEquals(cluster({ ...envoy, state: "not-asked-for" }), [
    "10.96.0.10:80: Envoy has not asked for it; it does so at the first connection",
  ]);
  assertEquals(cluster(waiting), ["10.96.0.10:80: waits to be sent; what Envoy had before stays in use"]);
  assertEquals(cluster({ ...envoy, state: "sent", version: "v1" }), [
    "10.96.0.10:80: version v1 sent, not answered yet",
  ]);
  const refused = {
    ...envoy,
    state: "refused",
    version: "v2",
    reason: "bad",
    at: "2026-01-31T12:00:00.000Z",
  } as const;
  assertEquals(cluster({ ...refused, inUse: "v1" }), [
    "10.96.0.10:80: version v2 REFUSED at 2026-01-31T12:00:00.000Z (bad); version v1 stays in use",
  ]);
  assertEquals(cluster({ ...refused, inUse: null }), [
    "10.96.0.10:80: version v2 REFUSED at 2026-01-31T12:00:00.000Z (bad); Envoy had none before",
  ]);
  assertEquals(cluster(waiting, { ...ACKED, streamId: 2 }), [
    "10.96.0.10:80: waits to be sent; what Envoy had before stays in use (stream 1)",
    "10.96.0.10:80: version v1 acked (stream 2)",
  ]);
});

Deno.test("endpoints that Envoy leaves out, everywhere or for one destination; and when that is not known", () => {
  const echo = service({ externalIPs: ["203.0.113.1"] });
  const endpoints = ["10.244.0.11", "10.244.0.12", "10.244.0.13"].map((address) => endpoint(address));
  const objects = [echo, slice({ endpoints, ports: [{ name: "http", protocol: "TCP", port: 8080 }] })];
  const text = (leftOut: LeftOutEndpoints | string): string =>
    rendered(explain("default/echo", objects, [ACKED], { leftOut }));
  const [first, second] = ["10.244.0.11", "10.244.0.12"].map((address) => ({ address, port: 8080 }));
  const lines = text(new Map([["10.96.0.10:80", [first!, second!]], ["203.0.113.1:80", [first!]]])).split(
    "\n",
  )
    .filter((line) => line.includes(":8080")).map((line) => line.replace(/^.*ready/, "ready"));
  assertEquals(lines, [
    "ready; LEFT OUT by Envoy for a while, because it fails",
    "ready; LEFT OUT by Envoy for a while for 10.96.0.10:80, because it fails",
    "ready",
  ]);
  assertEquals(
    text("nobody answers").split("\n").slice(-2),
    ["Not known: which endpoints Envoy leaves out, because they fail (nobody answers)", ""],
  );
});

Deno.test("a Service that does not exist: the nearest name, else how many there are", () => {
  const others = [service(), service({ namespace: "shop", name: "cart", clusterIPs: ["10.96.0.11"] })];
  const hint = (name: string, objects = others): string =>
    rendered(explain(name, objects, [], { found: { service: undefined } })).replace(
      /^not served: there is no /,
      "",
    );
  assertEquals(hint("default/ehco"), "Service default/ehco; the nearest that is served is default/echo");
  assertEquals(hint("default/cart"), "Service default/cart; the nearest that is served is shop/cart");
  assertEquals(hint("none/such"), "Service none/such; none of the 2 that are served is in namespace none");
  assertEquals(hint("a/b", []), "Service a/b; none is served at all");
});

Deno.test("a Service that exists and is not served: why; and where nobody can tell", () => {
  const sentence = (found: Found): string => rendered(explain("default/db", [], [], { found }));
  assertEquals(
    sentence({ service: service({ name: "db", clusterIPs: ["None"] }) }),
    "not served: Service default/db is not served here: it is headless (its clusterIP is None): " +
      "clients connect to its pods themselves",
  );
  assertEquals(
    sentence({ service: service({ name: "db" }) }),
    "not served: Service default/db has just come, and is being read; ask again",
  );
  assertEquals(
    sentence({ unknown: "no answer" }),
    "not served: no Service default/db is served here; whether there is one is not known (no answer); " +
      "none is served at all",
  );
});
