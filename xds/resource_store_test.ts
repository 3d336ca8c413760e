import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { fail } from "@std/assert/fail";
import type { KubeObject, ObjectEvent, Service } from "../agent/kube/objects.ts";
import {
  BALANCED_SOCKET_PRIORITY,
  IP_FAMILIES,
  MASQUERADED_SOCKET_PRIORITY,
  type NodeAddresses,
  ServiceModel,
} from "../agent/model/mod.ts";
import { endpoint, portSpec, service, slice } from "../agent/model/testing/objects.ts";
import {
  Cluster,
  Cluster_LbPolicy,
  ClusterLoadAssignment,
  Listener,
  RouteConfiguration,
  TypedExtensionConfig,
  TypedStruct,
} from "../protos/mod.ts";
import { ORIGINAL_DST, ORIGINAL_SRC, SOURCE_FILTER } from "./listeners.ts";
import type { ChangedNames } from "./resource_source.ts";
import { ResourceStore } from "./resource_store.ts";
import { ROUTE_CONFIGURATION_NAME } from "./routes.ts";

const NODE: NodeAddresses = { IPv4: ["192.0.2.5"], IPv6: [] };

const ROUTES = `RouteConfiguration ${ROUTE_CONFIGURATION_NAME}`;

/** A store over a model of its own, with what it said and did since the last look. */
class Fixture {
  readonly model = new ServiceModel({ serviceProxyName: "", families: IP_FAMILIES }, { nodeName: "node-1" });
  readonly translated: string[] = [];
  used: readonly string[] = [];
  readonly #changed: string[] = [];
  readonly store = new ResourceStore({
    view: this.model,
    nodeAddresses: NODE,
    usedClusters: () => this.used,
    onTranslate: (_type, name) => void this.translated.push(name),
  });

  constructor(...objects: readonly KubeObject[]) {
    this.apply(...objects);
    this.store.markReady();
    this.store.onChange((changed: ChangedNames) => {
      for (const [type, names] of changed) for (const name of names) this.#changed.push(`${type} ${name}`);
    });
  }

  apply(...objects: readonly KubeObject[]): void {
    this.reduce(objects.map((object) => ({ type: "apply", object })));
  }

  reduce(events: readonly ObjectEvent[]): void {
    this.store.update(this.model.reduce(events).changes);
  }

  takeChanged(): readonly string[] {
    return this.#changed.splice(0).sort();
  }
}

function decodeCluster(bytes: Uint8Array | undefined): Cluster {
  return Cluster.decode(bytes ?? fail("no such Cluster"));
}

Deno.test("ResourceStore: an endpoint change touches the ClusterLoadAssignment alone", () => {
  const fixture = new Fixture(service(), slice({ endpoints: [endpoint("10.244.0.5")] }));
  fixture.apply(slice({ endpoints: [endpoint("10.244.0.5"), endpoint("10.244.0.6")] }));
  assertEquals(fixture.takeChanged(), ["ClusterLoadAssignment default/echo:http/IPv4"]);
});

Deno.test("ResourceStore: an annotation touches the Clusters of the ports it changes, and no others", () => {
  const ports = [portSpec(), portSpec({ name: "grpc", port: 90 })];
  const fixture = new Fixture(service({ ports }), slice({ endpoints: [endpoint("10.244.0.5")] }));
  const annotated = (key: string, text: string): void =>
    fixture.apply(service({ ports, annotations: { [`config.lightpath.cloud/${key}`]: text } }));
  annotated("http-lb-policy", "RANDOM");
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80"]);
  annotated("http-lb-policy", "RANDOM");
  annotated("lb-policy", "no policy");
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80"]);
  annotated("lb-policy", "RANDOM");
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80", "Cluster 10.96.0.10:90"]);
});

Deno.test("ResourceStore: a change of trafficDistribution touches Cluster and endpoints, where the zone is known", () => {
  const events = (trafficDistribution: string): ObjectEvent[] => {
    const endpoints = [endpoint("10.244.0.5", { zone: "a" }), endpoint("10.244.0.6", { zone: "b" })];
    return [service({ trafficDistribution }), slice({ endpoints })].map((object) => ({
      type: "apply",
      object,
    }));
  };
  /** What the change touches on a node of that zone, and the zones of the endpoints after it with their priorities. */
  const change = (zone: string, from: string, to: string): unknown => {
    const model = new ServiceModel({ serviceProxyName: "", families: IP_FAMILIES }, { zone });
    const store = new ResourceStore({ view: model, nodeAddresses: NODE });
    store.update(model.reduce(events(from)).changes);
    store.markReady();
    const touched: string[] = [];
    store.onChange((changed) => void touched.push(...[...changed.values()].flatMap((names) => [...names])));
    store.update(model.reduce(events(to)).changes);
    const bytes = store.get("ClusterLoadAssignment", "default/echo:http/IPv4", "explicit")?.bytes;
    const { endpoints } = ClusterLoadAssignment.decode(bytes ?? fail("no assignment"));
    return [touched, endpoints.map(({ locality, priority }) => `${locality?.zone} ${priority}`)];
  };
  // Its retries are not the routes' any more.
  const touched = [ROUTE_CONFIGURATION_NAME, "10.96.0.10:80", "default/echo:http/IPv4"];
  assertEquals(change("b", "", "PreferSameZone"), [touched, ["b 0", "a 1"]]);
  assertEquals(change("b", "PreferSameZone", ""), [touched, ["a 0", "b 0"]]);
  assertEquals(change("b", "PreferSameZone", "PreferClose"), [[], ["b 0", "a 1"]]);
  assertEquals(change("", "", "PreferSameZone"), [[], ["a 0", "b 0"]]);
});

Deno.test("ResourceStore: an endpoint change of one family leaves the other alone", () => {
  const fixture = new Fixture(
    service({ clusterIPs: ["10.96.0.10", "fd00::10"] }),
    slice({ endpoints: [endpoint("10.244.0.5")] }),
    slice({ name: "echo-6", addressType: "IPv6", endpoints: [endpoint("fd01::5")] }),
  );
  fixture.apply(slice({ name: "echo-6", addressType: "IPv6", endpoints: [endpoint("fd01::6")] }));
  assertEquals(fixture.takeChanged(), ["ClusterLoadAssignment default/echo:http/IPv6"]);
});

Deno.test("ResourceStore: a changed port touches the old and the new Cluster", () => {
  const fixture = new Fixture(service());
  fixture.apply(service({ ports: [portSpec({ port: 81 })] }));
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80", "Cluster 10.96.0.10:81"]);
});

Deno.test("ResourceStore: a changed protocol touches the Cluster, with a new version", () => {
  const fixture = new Fixture(service());
  const before = fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.version;
  fixture.apply(service({ ports: [portSpec({ appProtocol: "grpc" })] }));
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80"]);
  assert(fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.version !== before);
});

Deno.test("ResourceStore: a changed setting touches the Clusters of its ports, and nothing else", () => {
  const ports = [portSpec({ nodePort: 30080 }), portSpec({ name: "db", port: 5432, appProtocol: "tcp" })];
  const fixture = new Fixture(service({ ports }), slice({ endpoints: [endpoint("10.244.0.5")] }));
  const before = fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.version;
  const annotations = { "config.lightpath.cloud/request-timeout": "1m" };
  fixture.apply(service({ ports, annotations }));
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80", "Cluster 192.0.2.5:30080", ROUTES]);
  assert(fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.version !== before);
  // The same, otherwise written.
  fixture.apply(service({ ports, annotations: { "config.lightpath.cloud/http-request-timeout": "60" } }));
  assertEquals(fixture.takeChanged(), []);
});

/** The destinations for which the routes do something, by what. */
function routesParts({ store }: Pick<Fixture, "store">): Readonly<Record<string, readonly string[]>> {
  const resource = store.get("RouteConfiguration", ROUTE_CONFIGURATION_NAME, "explicit");
  const { virtualHosts } = RouteConfiguration.decode(resource?.bytes ?? fail("no routes"));
  const [others, ...parts] = virtualHosts;
  assertEquals(others?.domains, ["*"]);
  return Object.fromEntries(parts.map(({ name, domains }) => [name, domains]));
}

Deno.test("ResourceStore: the routes name the destinations of Services with settings, and what they want", () => {
  const ports = [portSpec({ nodePort: 30080 })];
  const timeout = (text: string): Service =>
    service({ ports, annotations: { "config.lightpath.cloud/request-timeout": text } });
  const fixture = new Fixture(service({ ports }));
  assertEquals(routesParts(fixture), {});
  fixture.apply(timeout("1m"));
  assert(fixture.takeChanged().includes(ROUTES));
  const wish = (milliseconds: number): string =>
    `vip only-try-timeout=${milliseconds} request-timeout=${milliseconds}`;
  assertEquals(routesParts(fixture), { [wish(60_000)]: ["10.96.0.10:80", "192.0.2.5:30080"] });
  fixture.apply(timeout("2m"));
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80", "Cluster 192.0.2.5:30080", ROUTES]);
  assertEquals(routesParts(fixture), { [wish(120_000)]: ["10.96.0.10:80", "192.0.2.5:30080"] });
  fixture.store.setNodeAddresses({ IPv4: ["192.0.2.6"], IPv6: [] });
  assert(fixture.takeChanged().includes(ROUTES));
  assertEquals(routesParts(fixture), { [wish(120_000)]: ["10.96.0.10:80", "192.0.2.6:30080"] });
  // What rides on the Cluster alone asks nothing of the routes.
  fixture.apply(service({ ports, annotations: { "config.lightpath.cloud/lb-policy": "RANDOM" } }));
  assert(fixture.takeChanged().includes(ROUTES));
  assertEquals(routesParts(fixture), {});
  assertEquals(fixture.store.get("RouteConfiguration", "another", "explicit"), undefined);
});

Deno.test("ResourceStore: where many destinations have settings the routes name none, and stay as they are", () => {
  const annotations = { "config.lightpath.cloud/request-timeout": "1m" };
  const withPorts = (count: number): Service =>
    service({
      annotations,
      ports: Array.from({ length: count }, (_, index) =>
        portSpec({ name: `http-${index}`, port: 1_000 + index })),
    });
  const fixture = new Fixture(withPorts(500));
  const routes = (): { readonly domains: readonly string[]; readonly version: string | undefined } => {
    const resource = fixture.store.get("RouteConfiguration", ROUTE_CONFIGURATION_NAME, "explicit");
    const { virtualHosts } = RouteConfiguration.decode(resource?.bytes ?? fail("no routes"));
    return { domains: virtualHosts.flatMap(({ domains }) => domains), version: resource?.version };
  };
  assertEquals(routes().domains.length, 501);
  fixture.apply(withPorts(501));
  const { domains, version } = routes();
  assertEquals(domains, ["*"]);
  for (const count of [502, 600, 251]) {
    fixture.apply(withPorts(count));
    assertEquals(routes().version, version, `${count}`);
  }
  fixture.apply(withPorts(250));
  assertEquals(routes().domains.length, 251);
});

Deno.test("ResourceStore: the routes name those that had settings before the store opened", () => {
  const model = new ServiceModel({ serviceProxyName: "", families: IP_FAMILIES }, { nodeName: "node-1" });
  const store = new ResourceStore({ view: model, nodeAddresses: NODE });
  const annotations = { "config.lightpath.cloud/access-log": "false" };
  model.load([{ type: "apply", object: service({ annotations }) }]);
  model.loaded();
  store.markReady();
  assertEquals(routesParts({ store }), { "vip unlogged=true": ["10.96.0.10:80"] });
});

Deno.test("ResourceStore: a VIP has the settings of the Service that has the VIP", () => {
  const at = (name: string, settings: Readonly<Record<string, string>>): Service =>
    service({
      name,
      clusterIPs: ["10.96.0.20"],
      annotations: Object.fromEntries(
        Object.entries(settings).map(([key, value]) => [`config.lightpath.cloud/${key}`, value]),
      ),
    });
  const fixture = new Fixture(at("younger", { "access-log": "false" }));
  assertEquals(routesParts(fixture), { "vip unlogged=true": ["10.96.0.20:80"] });
  fixture.apply(at("older", {}));
  assertEquals(routesParts(fixture), {});
  fixture.reduce([{ type: "delete", kind: "Service", namespacedName: "default/older" }]);
  assertEquals(routesParts(fixture), { "vip unlogged=true": ["10.96.0.20:80"] });
});

Deno.test("ResourceStore: all destinations of a port share one ClusterLoadAssignment", () => {
  const fixture = new Fixture(service({
    externalIPs: ["203.0.113.9"],
    ports: [portSpec({ nodePort: 30080 })],
  }));
  const names = [...fixture.store.names("Cluster", "all")];
  assertEquals(names, ["10.96.0.10:80", "203.0.113.9:80", "192.0.2.5:30080"]);
  for (const name of names) {
    const resource = fixture.store.get("Cluster", name, "wildcard");
    assertEquals(resource?.loadAssignment, "default/echo:http/IPv4");
    assertEquals(decodeCluster(resource?.bytes).edsClusterConfig?.serviceName, "default/echo:http/IPv4");
  }
});

Deno.test("ResourceStore: an asked-for name that is nobody's is answered with an empty Cluster", () => {
  const fixture = new Fixture(service({ ports: [portSpec({ nodePort: 30080 })] }));
  // No VIP; an address of another node; the listener itself; nonsense.
  for (const name of ["10.96.0.99:80", "192.0.2.6:30080", "192.0.2.5:1667", "none"]) {
    const cluster = decodeCluster(fixture.store.get("Cluster", name, "explicit")?.bytes);
    assertEquals(cluster.name, name);
    assertEquals(cluster.edsClusterConfig, undefined);
    assertEquals(fixture.store.get("Cluster", name, "wildcard"), undefined);
  }
  const assignment = fixture.store.get("ClusterLoadAssignment", "default/gone:http/IPv4", "explicit");
  assertEquals(ClusterLoadAssignment.decode(assignment?.bytes ?? fail("no assignment")).endpoints, []);
});

Deno.test("ResourceStore: of the Clusters used before, those that are somebody's now, in that order", () => {
  const fixture = new Fixture(service({ ports: [portSpec({ nodePort: 30080 })] }));
  fixture.used = ["192.0.2.5:30080", "10.96.0.99:80", "none", "10.96.0.10:80"];
  assertEquals([...fixture.store.names("Cluster", "used")], ["192.0.2.5:30080", "10.96.0.10:80"]);
  assertEquals([...fixture.store.names("Listener", "used")], []);
});

Deno.test("ResourceStore: all Clusters of a port have one name in statistics, what is nobody's has none", () => {
  const fixture = new Fixture(service({ ports: [portSpec({ nodePort: 30080 })] }));
  for (const name of ["10.96.0.10:80", "192.0.2.5:30080"]) {
    assertEquals(fixture.store.statisticsName(name), "default/echo_http");
  }
  assertEquals(fixture.store.statisticsName("10.96.0.99:80"), undefined);
});

/** What a Cluster's name leads to: the ClusterLoadAssignment, and the addresses in it. */
function endpointsAt({ store }: Fixture, cluster: string): unknown {
  const name = store.get("Cluster", cluster, "explicit")?.loadAssignment ?? fail("no ClusterLoadAssignment");
  const bytes = store.get("ClusterLoadAssignment", name, "explicit")?.bytes ?? fail("no endpoints");
  const addresses = ClusterLoadAssignment.decode(bytes).endpoints.flatMap(({ lbEndpoints }) =>
    lbEndpoints.map(({ endpoint }) => endpoint?.address?.socketAddress?.address)
  );
  return [name, ...addresses];
}

Deno.test("ResourceStore: destinations with the traffic policy Local lead to this node's endpoints only", () => {
  const ports = [portSpec({ nodePort: 30080 })];
  const outside = { ports, type: "NodePort", externalIPs: ["203.0.113.9"] };
  const near = endpoint("10.244.0.5", { nodeName: "node-1" });
  const far = endpoint("10.244.1.5", { nodeName: "node-2" });
  const fixture = new Fixture(service(outside), slice({ endpoints: [near, far] }));
  const all = ["default/echo:http/IPv4", "10.244.0.5", "10.244.1.5"];
  const local = ["default/echo:http/IPv4/local", "10.244.0.5"];
  const destinations = ["10.96.0.10:80", "203.0.113.9:80", "192.0.2.5:30080"];
  const found = (): unknown => destinations.map((name) => endpointsAt(fixture, name));
  assertEquals(found(), [all, all, all]);

  fixture.apply(service({ ...outside, externalTrafficPolicy: "Local" }));
  assertEquals(
    fixture.takeChanged(),
    [
      ...destinations.map((name) => `Cluster ${name}`),
      "ClusterLoadAssignment default/echo:http/IPv4/local",
    ].sort(),
  );
  assertEquals(found(), [all, local, local]);
  fixture.apply(service({ ...outside, internalTrafficPolicy: "Local" }));
  assertEquals(found(), [local, all, all]);

  fixture.takeChanged();
  fixture.apply(slice({ endpoints: [far] }));
  assertEquals(fixture.takeChanged(), [
    "ClusterLoadAssignment default/echo:http/IPv4",
    "ClusterLoadAssignment default/echo:http/IPv4/local",
  ]);
  assertEquals(endpointsAt(fixture, "10.96.0.10:80"), ["default/echo:http/IPv4/local"]);
});

Deno.test("ResourceStore: keeps no local endpoints of a Service whose policy is Local no more", () => {
  const fixture = new Fixture(service({ internalTrafficPolicy: "Local" }), slice());
  assertEquals(endpointsAt(fixture, "10.96.0.10:80"), ["default/echo:http/IPv4/local"]);
  fixture.apply(service());
  assertEquals(fixture.takeChanged(), [
    "Cluster 10.96.0.10:80",
    "ClusterLoadAssignment default/echo:http/IPv4/local",
  ]);
});

Deno.test("ResourceStore: a Service that begins to keep its clients changes its Clusters", () => {
  const fixture = new Fixture(service());
  const policy = (): unknown =>
    decodeCluster(fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.bytes).lbPolicy;
  assertEquals(policy(), Cluster_LbPolicy.LEAST_REQUEST);
  fixture.apply(service({ sessionAffinity: "ClientIP" }));
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80"]);
  assertEquals(policy(), Cluster_LbPolicy.MAGLEV);
});

Deno.test("ResourceStore: of what the kernel carries Envoy is told nothing, but what it asks for by name", () => {
  const kernel = { annotations: { "lightpath.cloud/path": "kernel" } };
  const fixture = new Fixture(service(kernel), slice({ endpoints: [endpoint("10.244.0.5")] }));
  fixture.used = ["10.96.0.10:80"];
  for (const scope of ["all", "used", "pushed"] as const) {
    assertEquals([...fixture.store.names("Cluster", scope)], []);
  }
  const port = fixture.model.servicePort("default/echo:http/TCP") ?? fail("no port");
  assertEquals([...fixture.store.resourcesOf(port)], []);
  // An Envoy that had it has clients that are connected: in whatever order somebody asks.
  assertEquals(endpointsAt(fixture, "10.96.0.10:80"), ["default/echo:http/IPv4", "10.244.0.5"]);
  assertEquals(fixture.store.get("Cluster", "10.96.0.10:80", "wildcard"), undefined);
  fixture.apply(service());
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80"]);
  assertEquals([...fixture.store.names("Cluster", "used")], ["10.96.0.10:80"]);
  assert(fixture.store.get("Cluster", "10.96.0.10:80", "wildcard") !== undefined);
  fixture.apply(service(kernel));
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80"]);
  // An Envoy that was given all keeps it, and none is given it anew.
  assert(fixture.store.get("Cluster", "10.96.0.10:80", "wildcard") !== undefined);
  assertEquals([...fixture.store.names("Cluster", "all")], []);
  fixture.reduce([{ type: "delete", kind: "Service", namespacedName: "default/echo" }]);
  assertEquals(fixture.takeChanged(), [
    "Cluster 10.96.0.10:80",
    "ClusterLoadAssignment default/echo:http/IPv4",
  ]);
  // Its successor of that name has nobody connected.
  fixture.apply(service(kernel));
  fixture.takeChanged();
  assertEquals(fixture.store.get("Cluster", "10.96.0.10:80", "wildcard"), undefined);
});

Deno.test("ResourceStore: a port that moves to the kernel loses the Listener of its own", () => {
  const fixture = new Fixture(idleService("10s"));
  fixture.apply(idleService("10s", {
    annotations: { "config.lightpath.cloud/idle-timeout": "10s", "lightpath.cloud/path": "kernel" },
  }));
  assertEquals(fixture.store.get("Listener", "10.96.0.10:80", "wildcard"), undefined);
  assertEquals(fixture.takeChanged().filter((name) => name.startsWith("Listener")), [
    "Listener 10.96.0.10:80",
    "Listener 192.0.2.5:30080",
  ]);
});

Deno.test("ResourceStore: UDP ports have no Clusters", () => {
  const fixture = new Fixture(service({ ports: [portSpec({ protocol: "UDP" })] }));
  assertEquals([...fixture.store.names("Cluster", "all")], []);
  fixture.apply(slice({
    ports: [{ name: "http", protocol: "UDP", port: 1 }],
    endpoints: [endpoint("10.244.0.5")],
  }));
  assertEquals(fixture.takeChanged(), []);
});

Deno.test("ResourceStore: a deleted Service's Cluster becomes the empty one, and comes back as it was", () => {
  const fixture = new Fixture(service(), slice({ endpoints: [endpoint("10.244.0.5")] }));
  const version = fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.version;
  fixture.reduce([{ type: "delete", kind: "Service", namespacedName: "default/echo" }]);
  assertEquals(fixture.takeChanged(), [
    "Cluster 10.96.0.10:80",
    "ClusterLoadAssignment default/echo:http/IPv4",
  ]);
  assertEquals(
    decodeCluster(fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.bytes).edsClusterConfig,
    undefined,
  );
  fixture.apply(service());
  assertEquals(fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.version, version);
});

Deno.test("ResourceStore: keeps nothing of a Service that lost its endpoints and then was deleted", () => {
  const fixture = new Fixture(service(), slice({ endpoints: [endpoint("10.244.0.5")] }));
  fixture.apply(slice());
  const name = "default/echo:http/IPv4";
  assert(fixture.store.get("ClusterLoadAssignment", name, "wildcard") !== undefined);
  fixture.reduce([{ type: "delete", kind: "Service", namespacedName: "default/echo" }]);
  assertEquals(fixture.store.get("ClusterLoadAssignment", name, "wildcard"), undefined);
});

Deno.test("ResourceStore: versions are those of a restarted agent, in whatever order it learned the objects", () => {
  const objects = [
    service({ clusterIPs: ["10.96.0.10", "fd00::10"] }),
    slice({ endpoints: [endpoint("10.244.0.5", { zone: "b" }), endpoint("10.244.0.6", { zone: "a" })] }),
    slice({ name: "echo-2", endpoints: [endpoint("10.244.0.7")] }),
  ];
  const versions = (fixture: Fixture): readonly (string | undefined)[] => [
    fixture.store.get("Cluster", "[fd00::10]:80", "explicit")?.version,
    fixture.store.get("ClusterLoadAssignment", "default/echo:http/IPv4", "explicit")?.version,
  ];
  assertEquals(versions(new Fixture(...objects)), versions(new Fixture(...objects.toReversed())));
});

Deno.test("ResourceStore: translates what is asked for, once, and again only what changed", () => {
  const services = Array.from({ length: 100 }, (_, index) => [
    service({ name: `s${index}`, clusterIPs: [`10.96.1.${index}`] }),
    slice({ name: `s${index}-1`, serviceName: `s${index}`, endpoints: [endpoint(`10.244.1.${index}`)] }),
  ]).flat();
  const fixture = new Fixture(...services);
  assertEquals(fixture.translated, []);
  const ask = (index: number): void => {
    fixture.store.get("Cluster", `10.96.1.${index}:80`, "explicit");
    fixture.store.get("ClusterLoadAssignment", `default/s${index}:http/IPv4`, "explicit");
  };
  for (const index of [1, 2, 1, 2]) ask(index);
  assertEquals(fixture.translated.splice(0).length, 4);
  fixture.apply(
    slice({ name: "s1-1", serviceName: "s1", endpoints: [endpoint("10.244.2.1")] }),
    slice({ name: "s3-1", serviceName: "s3", endpoints: [endpoint("10.244.2.3")] }),
  );
  for (const index of [1, 2]) ask(index);
  assertEquals(fixture.translated, ["default/s1:http/IPv4"]);
});

Deno.test("ResourceStore: new node addresses touch the NodePorts only", () => {
  const fixture = new Fixture(
    service({ ports: [portSpec({ nodePort: 30080 })] }),
    service({ name: "other", clusterIPs: ["10.96.0.11"] }),
  );
  fixture.store.setNodeAddresses({ IPv4: ["192.0.2.6"], IPv6: ["2001:db8::6"] });
  assertEquals(fixture.takeChanged(), ["Cluster 192.0.2.5:30080", "Cluster 192.0.2.6:30080"]);
  assertEquals(fixture.store.get("Cluster", "192.0.2.5:30080", "wildcard"), undefined);
});

const REDIS = "lightpath.cloud/redis";

/** `default/echo` with an idle timeout for its connections, and a NodePort. */
function idleService(idleTimeout: string | undefined, overrides: Partial<Service> = {}): Service {
  return service({
    ports: [portSpec({ nodePort: 30080 })],
    annotations: idleTimeout === undefined ? {} : { "config.lightpath.cloud/idle-timeout": idleTimeout },
    ...overrides,
  });
}

Deno.test("ResourceStore: a port that needs one has a Listener for each of its destinations, others have none", () => {
  const fixture = new Fixture(idleService("10s"), service({ name: "other", clusterIPs: ["10.96.0.11"] }));
  for (const scope of ["all", "used"] as const) {
    assertEquals([...fixture.store.names("Listener", scope)], ["10.96.0.10:80", "192.0.2.5:30080"]);
  }
  const { name, address, bindToPort } = Listener.decode(
    fixture.store.get("Listener", "192.0.2.5:30080", "wildcard")?.bytes ?? fail("no Listener"),
  );
  assertEquals(name, "192.0.2.5:30080");
  assertEquals([address?.socketAddress?.address, address?.socketAddress?.portValue], ["192.0.2.5", 30080]);
  assertEquals(bindToPort, false);
  assertEquals(fixture.store.get("Listener", "10.96.0.11:80", "wildcard"), undefined);
});

Deno.test("ResourceStore: a Listener changes with what it must do, and with nothing else", () => {
  const fixture = new Fixture(idleService("10s"));
  const version = (): string | undefined =>
    fixture.store.get("Listener", "10.96.0.10:80", "wildcard")?.version;
  const before = version();
  fixture.apply(idleService("10s", { externalIPs: ["203.0.113.9"] }));
  assertEquals(fixture.takeChanged(), ["Cluster 203.0.113.9:80", "Listener 203.0.113.9:80"]);
  fixture.apply(slice({ endpoints: [endpoint("10.244.0.5")] }));
  assertEquals(fixture.takeChanged(), ["ClusterLoadAssignment default/echo:http/IPv4"]);
  assertEquals(version(), before);
  fixture.apply(idleService("20s", { externalIPs: ["203.0.113.9"] }));
  const touched = fixture.takeChanged().filter((name) => name.startsWith("Listener"));
  assertEquals(touched, ["Listener 10.96.0.10:80", "Listener 192.0.2.5:30080", "Listener 203.0.113.9:80"]);
  assert(version() !== before);
  fixture.apply(idleService(undefined));
  assertEquals(version(), undefined);
  assertEquals([...fixture.store.names("Listener", "all")], []);
});

Deno.test("ResourceStore: a VIP that goes from one port with a Listener to another has the other's", () => {
  const fixture = new Fixture(idleService("10s", { externalIPs: ["203.0.113.9"] }));
  const before = fixture.store.get("Listener", "203.0.113.9:80", "wildcard")?.version;
  fixture.apply(
    idleService("10s"),
    service({
      name: "other",
      clusterIPs: ["10.96.0.11"],
      externalIPs: ["203.0.113.9"],
      annotations: { "config.lightpath.cloud/idle-timeout": "20s" },
    }),
  );
  assert(fixture.takeChanged().includes("Listener 203.0.113.9:80"));
  const after = fixture.store.get("Listener", "203.0.113.9:80", "wildcard")?.version;
  assert(after !== undefined && after !== before);
});

Deno.test("ResourceStore: new node addresses touch the Listeners of NodePorts", () => {
  const fixture = new Fixture(idleService("10s"));
  fixture.store.setNodeAddresses({ IPv4: ["192.0.2.6"], IPv6: [] });
  assertEquals(fixture.takeChanged(), [
    "Cluster 192.0.2.5:30080",
    "Cluster 192.0.2.6:30080",
    "Listener 192.0.2.5:30080",
    "Listener 192.0.2.6:30080",
  ]);
});

Deno.test("ResourceStore: Clusters of redis are pushed, whether they were used or not", () => {
  const fixture = new Fixture(service(), service({ name: "cache", clusterIPs: ["10.96.0.20"] }));
  fixture.used = ["10.96.0.10:80"];
  const cache = (appProtocol: string): Service =>
    service({ name: "cache", clusterIPs: ["10.96.0.20"], ports: [portSpec({ port: 6379, appProtocol })] });
  fixture.apply(cache(REDIS));
  assertEquals([...fixture.store.names("Cluster", "used")], ["10.96.0.20:6379", "10.96.0.10:80"]);
  assertEquals([...fixture.store.names("Cluster", "pushed")], ["10.96.0.20:6379"]);
  assertEquals(["10.96.0.20:6379", "10.96.0.10:80", "none"].map((name) => fixture.store.isPushed(name)), [
    true,
    false,
    false,
  ]);
  fixture.apply(cache("tcp"));
  assertEquals(fixture.store.isPushed("10.96.0.20:6379"), false);
});

Deno.test("ResourceStore: a Cluster of what comes from outside says so, unless its policy is Local", () => {
  const spec = { type: "NodePort", ports: [portSpec({ nodePort: 30080 })] } as const;
  const fixture = new Fixture(service(spec), slice({ endpoints: [endpoint("10.244.0.5")] }));
  const priorities = (): (number | undefined)[] =>
    ["10.96.0.10:80", "192.0.2.5:30080"].map((name) => {
      const cluster = decodeCluster(fixture.store.get("Cluster", name, "explicit")?.bytes);
      assertEquals(cluster.upstreamBindConfig?.socketOptions.length ?? 1, 1);
      return cluster.upstreamBindConfig?.socketOptions[0]?.intValue;
    });
  assertEquals(priorities(), [undefined, MASQUERADED_SOCKET_PRIORITY]);
  fixture.apply(service({ ...spec, externalTrafficPolicy: "Local" }));
  assertEquals(priorities(), [undefined, undefined]);
});

Deno.test("ResourceStore: the source filter is the node's until said otherwise, and touches nothing else", () => {
  const fixture = new Fixture(service(), slice({ endpoints: [endpoint("10.244.0.5")] }));
  const filter = (): unknown => {
    const bytes = fixture.store.get("TypedExtensionConfig", SOURCE_FILTER, "explicit")?.bytes ?? fail("none");
    const { name, typedConfig } = TypedExtensionConfig.decode(bytes);
    const { typeUrl, value } = TypedStruct.decode(typedConfig?.value ?? fail("empty"));
    return [name, typeUrl, value];
  };
  assertEquals(filter(), [SOURCE_FILTER, ORIGINAL_DST, {}]);
  fixture.store.setSourceAddress({ kind: "preserve", mark: 0x40 });
  assertEquals(fixture.takeChanged(), [`TypedExtensionConfig ${SOURCE_FILTER}`]);
  assertEquals(filter(), [SOURCE_FILTER, ORIGINAL_SRC, { mark: 0x40 }]);
  assertEquals(fixture.store.get("TypedExtensionConfig", "another", "explicit"), undefined);
});

Deno.test("ResourceStore: where clients are seen, the kernel chooses for a Service that keeps them", () => {
  const fixture = new Fixture(
    service({ sessionAffinity: "ClientIP" }),
    service({ name: "plain", clusterIPs: ["10.96.0.11"] }),
    slice({ endpoints: [endpoint("10.244.0.5")] }),
  );
  const named = (): Cluster =>
    decodeCluster(fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.bytes);
  assertEquals([named().lbPolicy, named().loadAssignment], [Cluster_LbPolicy.MAGLEV, undefined]);
  fixture.store.setSourceAddress({ kind: "preserve", mark: 0x40 });
  assertEquals(fixture.takeChanged(), ["Cluster 10.96.0.10:80", `TypedExtensionConfig ${SOURCE_FILTER}`]);
  const [locality] = named().loadAssignment?.endpoints ?? [];
  assertEquals(locality?.lbEndpoints.map((one) => one.endpoint?.address?.socketAddress?.address), [
    "10.96.0.10",
  ]);
  assertEquals(named().upstreamBindConfig?.socketOptions[0]?.intValue, BALANCED_SOCKET_PRIORITY);
  assertEquals(fixture.store.get("Cluster", "10.96.0.10:80", "explicit")?.loadAssignment, undefined);
});
