import { assertEquals } from "@std/assert/equals";
import { ROUTE_CONFIGURATION_NAME } from "./routes.ts";
import { oweAgain } from "./subscription.ts";
import { hasTaken } from "./taken.ts";
import { Conversation } from "./testing/conversation.ts";
import { MemorySource } from "./testing/memory_source.ts";

const VIP = "10.96.0.10:80";
const ASSIGNMENT = "default/echo:http/IPv4";

/** An Envoy's conversations on one stream. */
class Envoy {
  readonly source = new MemorySource();
  readonly clusters = new Conversation("Cluster", this.source);
  readonly assignments = new Conversation("ClusterLoadAssignment", this.source);
  readonly listeners = new Conversation("Listener", this.source);
  readonly routes = new Conversation("RouteConfiguration", this.source);

  get taken(): boolean {
    return hasTaken(
      {
        Cluster: this.clusters.subscription,
        ClusterLoadAssignment: this.assignments.subscription,
        Listener: this.listeners.subscription,
        RouteConfiguration: this.routes.subscription,
      },
      this.source,
      VIP,
    );
  }

  /** The Service as it is in the store. */
  serve(clusterVersion: string, endpointsVersion: string): void {
    this.source.set("Cluster", VIP, { version: clusterVersion, loadAssignment: ASSIGNMENT });
    this.source.set("ClusterLoadAssignment", ASSIGNMENT, endpointsVersion);
  }

  /** Asks for both and takes what comes. */
  use(): void {
    this.clusters.ack(this.clusters.request({ subscribe: [VIP] }));
    this.assignments.ack(this.assignments.request({ subscribe: [ASSIGNMENT] }));
  }
}

Deno.test("hasTaken(): a Cluster that Envoy does not hold is nothing to wait for", () => {
  const envoy = new Envoy();
  envoy.serve("1", "1");
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): first the Cluster is owed, then in flight, then its endpoints are", () => {
  const envoy = new Envoy();
  envoy.use();
  assertEquals(envoy.taken, true, "nobody's, and taken as such");
  envoy.serve("1", "1");
  assertEquals(envoy.taken, false, "the Cluster is owed");
  const cluster = envoy.clusters.read();
  assertEquals(envoy.taken, false, "the Cluster is in flight");
  envoy.clusters.ack(cluster);
  assertEquals(envoy.taken, false, "the endpoints are owed");
  const endpoints = envoy.assignments.read();
  assertEquals(envoy.taken, false, "the endpoints are in flight");
  envoy.assignments.ack(endpoints);
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): the first endpoint of a Service whose Cluster is the same", () => {
  const envoy = new Envoy();
  envoy.serve("1", "none");
  envoy.use();
  assertEquals(envoy.taken, true);
  envoy.source.set("ClusterLoadAssignment", ASSIGNMENT, "one");
  assertEquals(envoy.taken, false);
  envoy.assignments.ack(envoy.assignments.read());
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): endpoints of a new Cluster that Envoy has not asked for yet", () => {
  const envoy = new Envoy();
  envoy.clusters.ack(envoy.clusters.request({ subscribe: [VIP] }));
  envoy.serve("1", "1");
  const cluster = envoy.clusters.read();
  // What a stream does when it sends a Cluster.
  oweAgain(envoy.assignments.subscription, [ASSIGNMENT]);
  envoy.clusters.ack(cluster);
  assertEquals(envoy.taken, false);
  const endpoints = envoy.assignments.request({ subscribe: [ASSIGNMENT] });
  assertEquals(envoy.taken, false);
  envoy.assignments.ack(endpoints);
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): a new Cluster that Envoy refuses, so that it never asks for the endpoints", () => {
  const envoy = new Envoy();
  envoy.clusters.ack(envoy.clusters.request({ subscribe: [VIP] }));
  envoy.serve("1", "1");
  const cluster = envoy.clusters.read();
  oweAgain(envoy.assignments.subscription, [ASSIGNMENT]);
  envoy.clusters.nack(cluster, `Error adding/updating cluster(s) ${VIP}: no`);
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): an answer to an older version is not enough", () => {
  const envoy = new Envoy();
  envoy.serve("1", "none");
  envoy.use();
  envoy.source.set("ClusterLoadAssignment", ASSIGNMENT, "one");
  const first = envoy.assignments.read();
  envoy.source.set("ClusterLoadAssignment", ASSIGNMENT, "two");
  const second = envoy.assignments.ack(first);
  assertEquals(envoy.taken, false);
  envoy.assignments.ack(second);
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): a change that was taken back before it was sent is nothing to wait for", () => {
  const envoy = new Envoy();
  envoy.serve("1", "one");
  envoy.use();
  // Something else is in flight, so that what is owed stays owed.
  envoy.assignments.request({ subscribe: ["default/other:http/IPv4"] });
  envoy.source.set("ClusterLoadAssignment", ASSIGNMENT, "none");
  assertEquals(envoy.taken, false);
  envoy.source.set("ClusterLoadAssignment", ASSIGNMENT, "one");
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): what Envoy refuses is waited for no longer", () => {
  const envoy = new Envoy();
  envoy.serve("1", "1");
  envoy.use();
  envoy.serve("bad", "1");
  const response = envoy.clusters.read();
  assertEquals(envoy.taken, false);
  envoy.clusters.nack(response, `Error adding/updating cluster(s) ${VIP}: no`);
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): of a wildcard, new names are waited for from the beginning", () => {
  const envoy = new Envoy();
  const first = envoy.clusters.request({});
  envoy.clusters.ack(first);
  assertEquals(envoy.taken, true);
  envoy.serve("1", "1");
  assertEquals(envoy.taken, false);
  const response = envoy.clusters.read();
  // Envoy asks for endpoints as soon as it has the Cluster, and answers for the Cluster when it has them.
  envoy.assignments.ack(envoy.assignments.request({ subscribe: [ASSIGNMENT] }));
  assertEquals(envoy.taken, false);
  envoy.clusters.ack(response);
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): a wildcard that is not answered yet", () => {
  const envoy = new Envoy();
  envoy.source.ready = false;
  envoy.serve("1", "1");
  envoy.clusters.request({});
  assertEquals(envoy.taken, false);
});

Deno.test("hasTaken(): a Listener of its own, which is waited for although Envoy has not asked for the Cluster", () => {
  const envoy = new Envoy();
  envoy.serve("1", "1");
  envoy.listeners.ack(envoy.listeners.request({}));
  assertEquals(envoy.taken, true);
  envoy.source.set("Listener", VIP, "1");
  assertEquals(envoy.taken, false, "owed");
  const listener = envoy.listeners.read();
  assertEquals(envoy.taken, false, "in flight");
  envoy.listeners.ack(listener);
  assertEquals(envoy.taken, true);
});

Deno.test("hasTaken(): routes, which say whether the settings of a new destination hold", () => {
  const envoy = new Envoy();
  envoy.serve("1", "1");
  envoy.source.set("RouteConfiguration", ROUTE_CONFIGURATION_NAME, "1");
  assertEquals(envoy.taken, true, "an Envoy that was started with routes of its own");
  envoy.routes.ack(envoy.routes.request({ subscribe: [ROUTE_CONFIGURATION_NAME] }));
  assertEquals(envoy.taken, true);
  envoy.source.set("RouteConfiguration", ROUTE_CONFIGURATION_NAME, "2");
  assertEquals(envoy.taken, false, "owed");
  const routes = envoy.routes.read();
  assertEquals(envoy.taken, false, "in flight");
  envoy.routes.ack(routes);
  assertEquals(envoy.taken, true);
});
