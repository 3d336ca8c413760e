/**
 * A program that reads on a node what API server, agent, Envoy and kernel say, each from itself.
 *
 * In: on the command line nft's path; the pod's service account; the sockets in /run/lightpath.
 * Out: one line of JSON, `NodeViews`. It asks the agent as a second Envoy would: for each destination that one of the
 * others knows.
 * @module
 */
import { join } from "@std/path/join";
import { Cluster, ClusterLoadAssignment, type DeltaDiscoveryResponse } from "../../protos/mod.ts";
import { parseRuleset } from "../../redirect/parse_ruleset.ts";
import { servedPath } from "../../redirect/served_value.ts";
import { DeltaClient } from "../../xds/testing/delta_client.ts";
import { getFromSocket } from "../../agent/get_from_socket.ts";
import { sumOf } from "../demo/metrics_text.ts";
import {
  type ApiService,
  type ApiSlice,
  type EndpointsByDestination,
  type NodeViews,
  viewApi,
} from "./node_views.ts";

const SERVICE_ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";
const ADMIN_SOCKET = "/run/lightpath/envoy-admin.sock";
const ADS_SOCKET = "/run/lightpath/ads.sock";
const METRICS = "http://127.0.0.1:10249/metrics";
const DESTINATION = /^\d+\.\d+\.\d+\.\d+:\d+$/;

async function readNode(nft: string): Promise<NodeViews> {
  // Before this program itself is one of them.
  const streams = sumOf(await (await fetch(METRICS)).text(), "lightpath_connected_envoys");
  const { api, verdicts } = viewApi(
    await listObjects<ApiService>("/api/v1/services"),
    await listObjects<ApiSlice>("/apis/discovery.k8s.io/v1/endpointslices"),
  );
  const [envoy, kernel] = await Promise.all([readEnvoy(), readKernel(nft)]);
  const destinations = [api, envoy, kernel].flatMap((view) => Object.keys(view));
  return { api, verdicts, envoy, kernel, agent: await readAgent([...new Set(destinations)]), streams };
}

async function listObjects<T>(path: string): Promise<readonly T[]> {
  using client = Deno.createHttpClient({
    caCerts: [await Deno.readTextFile(join(SERVICE_ACCOUNT, "ca.crt"))],
  });
  const { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: port } = Deno.env.toObject();
  const token = await Deno.readTextFile(join(SERVICE_ACCOUNT, "token"));
  const response = await fetch(`https://${host}:${port}${path}`, {
    client,
    headers: { Authorization: `Bearer ${token}`, Accept: "application/json" },
  });
  if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
  return (await response.json() as { readonly items: readonly T[] }).items;
}

async function readEnvoy(): Promise<EndpointsByDestination> {
  const { body } = await getFromSocket(ADMIN_SOCKET, "/clusters?format=json");
  const { cluster_statuses } = JSON.parse(body) as {
    readonly cluster_statuses: readonly {
      readonly name: string;
      readonly host_statuses?: readonly {
        readonly address: {
          readonly socket_address?: { readonly address: string; readonly port_value: number };
        };
      }[];
    }[];
  };
  // Those with other names are part of the constant configuration.
  const clusters = cluster_statuses.filter(({ name }) => DESTINATION.test(name));
  return Object.fromEntries(clusters.map(({ name, host_statuses = [] }) => [
    name,
    host_statuses.map(({ address: { socket_address } }) =>
      `${socket_address?.address}:${socket_address?.port_value}`
    ).sort(),
  ]));
}

async function readKernel(nft: string): Promise<Readonly<Record<string, string>>> {
  const { success, stdout, stderr } = await new Deno.Command(nft, {
    args: ["-j", "list", "table", "inet", "lightpath"],
  }).output();
  if (!success) throw new Error(`nft: ${new TextDecoder().decode(stderr)}`);
  const { elements } = parseRuleset(JSON.parse(new TextDecoder().decode(stdout)));
  const verdicts: Record<string, string> = {};
  for (const { container, key, value } of elements) {
    if (container !== "service-ips-4" && container !== "no-endpoint-ips-4") continue;
    const way = container === "service-ips-4" ? servedPath(value) ?? value : "no-endpoint";
    const destination = key.replace(" . tcp . ", ":");
    // One that is in both goes two ways; nobody says that.
    verdicts[destination] = destination in verdicts ? `${verdicts[destination]} and ${way}` : way;
  }
  return verdicts;
}

async function readAgent(destinations: readonly string[]): Promise<EndpointsByDestination> {
  // Not closed: the end of this program closes the socket, as that of an Envoy does. A client of grpc-js that is closed
  // says GOAWAY first, which Envoy does not, and which can crash Deno's HTTP/2 server (denoland/deno#36788).
  const client = DeltaClient.connect(`unix:${ADS_SOCKET}`, { nodeId: "node-reader" });
  const assignmentOf = new Map<string, string>();
  for (const { name, value } of await fetchAll(client, "Cluster", destinations)) {
    const { edsClusterConfig } = Cluster.decode(value);
    if (edsClusterConfig !== undefined) assignmentOf.set(name, edsClusterConfig.serviceName);
  }
  const addresses = new Map<string, readonly string[]>();
  const assignments = [...new Set(assignmentOf.values())];
  for (const { name, value } of await fetchAll(client, "ClusterLoadAssignment", assignments)) {
    const { endpoints } = ClusterLoadAssignment.decode(value);
    addresses.set(
      name,
      endpoints.flatMap(({ lbEndpoints }) =>
        lbEndpoints.map(({ endpoint }) => {
          const { address, portValue } = endpoint?.address?.socketAddress ?? {};
          return `${address}:${portValue}`;
        })
      ).sort(),
    );
  }
  return Object.fromEntries(
    destinations.map((name) => [name, addresses.get(assignmentOf.get(name) ?? "") ?? []]),
  );
}

/** Subscribes to names and waits until each has come. */
async function fetchAll(
  client: DeltaClient,
  type: "Cluster" | "ClusterLoadAssignment",
  names: readonly string[],
): Promise<{ readonly name: string; readonly value: Uint8Array }[]> {
  const missing = new Set(names);
  const resources: { readonly name: string; readonly value: Uint8Array }[] = [];
  if (missing.size > 0) client.send(type, { subscribe: names });
  while (missing.size > 0) {
    const response: DeltaDiscoveryResponse = await client.next();
    client.ack(response);
    for (const { name, resource } of response.resources) {
      if (resource !== undefined && missing.delete(name)) resources.push({ name, value: resource.value });
    }
  }
  return resources;
}

if (import.meta.main) {
  const [nft = "nft"] = Deno.args;
  const bytes = new TextEncoder().encode(`${JSON.stringify(await readNode(nft))}\n`);
  for (let written = 0; written < bytes.length;) written += await Deno.stdout.write(bytes.subarray(written));
  Deno.exit(0);
}
