/**
 * The API source against a real kube-apiserver and etcd.
 * @module
 */
import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { createPrivateKey, sign } from "node:crypto";
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { type ControlPlane, startControlPlane } from "../../scripts/lab/control_plane.ts";
import { renderKubeconfig } from "../../scripts/lab/service_account.ts";
import { ensureTool } from "../../scripts/tools/mod.ts";
import { silentLogger } from "../log.ts";
import { createKubeClient } from "./client.ts";
import { selectorsFor } from "./api_source.ts";
import { KubeApiError, resourcePath } from "./kube_api_error.ts";
import { watchNode } from "./node_object.ts";
import type { KubeObject } from "./objects.ts";
import { CuttableProxy } from "./testing/cuttable_proxy.ts";
import { rawSlice } from "./testing/fake_apiserver.ts";
import { RunningApiSource } from "./testing/running_api_source.ts";
import type { WatchEvent } from "./watch_protocol.ts";
import { type AnswerFormat, formatOf, type ListPart } from "./wire/mod.ts";

const etcd = await ensureTool("etcd", { onProgress: () => {} });
const kubeApiserver = await ensureTool("kube-apiserver", { onProgress: () => {} });

const NAME = "API source against a real kube-apiserver";
const SERVICES = "/api/v1/namespaces/default/services";
const SLICES = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
const TEST_KEYS = fromFileUrl(new URL("../../testdata/kube/", import.meta.url));

if (etcd.path === undefined || kubeApiserver.path === undefined) {
  const reason = etcd.unavailable ?? kubeApiserver.unavailable;
  Deno.test({ name: `${NAME} (skipped: ${reason})`, ignore: true, fn: () => {} });
} else {
  const programs = { etcd: etcd.path, kubeApiserver: kubeApiserver.path };
  Deno.test(NAME, async (t) => {
    const dir = await Deno.makeTempDir();
    try {
      await using plane = await startControlPlane({
        ...programs,
        dir,
        signal: AbortSignal.timeout(120_000),
        apiserverFlags: [`--client-ca-file=${join(TEST_KEYS, "client_ca.crt")}`],
      });
      for (const [name, step] of STEPS) await t.step(name, () => step(plane, dir));
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

const STEPS: readonly [string, (plane: ControlPlane, dir: string) => Promise<void>][] = [
  ["lists and watches both kinds", listsAndWatches],
  ["what it says in protobuf is what it says in JSON", saysTheSameInBothFormats],
  ["selects by label, and a changed label comes and goes", selectsByLabel],
  ["a broken connection resumes without a list, deletions included", resumesAfterCut],
  [
    "an API server that comes back after etcd forgot: one relist, exactly the differences",
    relistsAfterCompaction,
  ],
  ["bookmarks are sent and understood", understandsBookmarks],
  ["follows one Node alone, from before it is there, and through a broken connection", followsOneNode],
  ["a client certificate is accepted", acceptsClientCertificate],
  ["a token of another time is refused, and why is said", saysWhyTokenIsRefused],
  ["missing rights and wrong credentials are clear sentences", explainsRefusals],
];

async function listsAndWatches(plane: ControlPlane): Promise<void> {
  await plane.call(
    "POST",
    SERVICES,
    service("before", { ports: [{ name: "http", port: 80 }, { name: "b", port: 81 }] }),
  );
  await plane.call("POST", SLICES, slice("before-1", "10.244.0.1"));
  await using source = await RunningApiSource.start(await plane.kubeconfig("admin"));
  await source.until(() => source.batches.length === 1);
  const first = source.batches[0]!;
  const before = objectsOf(first).find((object) => object.name === "before");
  assert(before?.kind === "Service");
  assertEquals(before?.kind === "Service" && before.ports.map((port) => port.port), [80, 81]);
  assertEquals(before?.malformed, []);
  assert(source.view.EndpointSlice.has("default/before-1"));

  await plane.call("POST", SERVICES, service("later"));
  await source.until(() => source.view.Service.has("default/later"));
  await plane.call("PATCH", `${SLICES}/before-1`, { endpoints: [{ addresses: ["10.244.0.2"] }] });
  await source.until(() =>
    objectsOf(source.batches.flat()).some((object) => hasEndpoint(object, "10.244.0.2"))
  );
  await plane.call("DELETE", `${SERVICES}/later`);
  await source.until(() => !source.view.Service.has("default/later"));
  assertEquals([source.failures, source.relists], [[], []]);
}

/** Every field that is read, and neighbours of each that are not. */
const SERVICE_SPECS: Readonly<Record<string, Record<string, unknown>>> = {
  "full": {
    type: "LoadBalancer",
    ipFamilyPolicy: "RequireDualStack",
    externalIPs: ["192.0.2.7", "2001:db8::7"],
    loadBalancerSourceRanges: ["198.51.100.0/24", "203.0.113.0/24"],
    trafficDistribution: "PreferSameZone",
    selector: { app: "full" },
    sessionAffinity: "ClientIP",
    sessionAffinityConfig: { clientIP: { timeoutSeconds: 600 } },
    internalTrafficPolicy: "Local",
    externalTrafficPolicy: "Local",
    healthCheckNodePort: 30099,
    ports: [
      { name: "http", port: 80, targetPort: "web", nodePort: 30080, appProtocol: "kubernetes.io/h2c" },
      { name: "dns", port: 53, protocol: "UDP" },
    ],
  },
  "bare": { ports: [{ port: 1 }] },
  "node-port": {
    type: "NodePort",
    trafficDistribution: "PreferClose",
    ports: [{ port: 65535, nodePort: 30001 }],
  },
  "headless": { clusterIP: "None", ports: [{ port: 80 }] },
  "six": { ipFamilies: ["IPv6"], ipFamilyPolicy: "SingleStack", ports: [{ port: 80 }] },
  "elsewhere": { type: "ExternalName", externalName: "example.org" },
};

const SLICE_FIELDS: Readonly<Record<string, Record<string, unknown>>> = {
  "full": {
    addressType: "IPv4",
    ports: [
      { name: "http", port: 8080, appProtocol: "http" },
      { name: "dns", port: 5353, protocol: "UDP" },
      { name: "any" },
    ],
    endpoints: [
      {
        addresses: ["10.244.0.1"],
        conditions: { ready: true, serving: true, terminating: false },
        nodeName: "node-1",
        zone: "zone-a",
        hostname: "web-0",
        targetRef: { kind: "Pod", namespace: "default", name: "web-0" },
        hints: { forZones: [{ name: "zone-a" }, { name: "zone-b" }], forNodes: [{ name: "node-1" }] },
      },
      { addresses: ["10.244.0.2"], conditions: { ready: false, serving: true, terminating: true } },
      { addresses: ["10.244.0.3"], conditions: { ready: false } },
      { addresses: ["10.244.0.4"], conditions: {} },
      { addresses: ["10.244.0.5"], nodeName: "node-1" },
    ],
  },
  "six": { addressType: "IPv6", ports: [{ port: 8080 }], endpoints: [{ addresses: ["fd01::5"] }] },
  "names": { addressType: "FQDN", ports: [], endpoints: [{ addresses: ["pod.example.org"] }] },
  "none": { addressType: "IPv4", ports: null, endpoints: null },
};

async function saysTheSameInBothFormats(plane: ControlPlane): Promise<void> {
  const annotations = {
    "lightpath.cloud/note": "größer ☃ 🚀",
    "config.lightpath.cloud/empty": "",
    "example.org/other": "x".repeat(1_000),
  };
  const labels = { "kubernetes.io/service-name": "full", "example.org/other": "y" };
  for (const [name, spec] of Object.entries(SERVICE_SPECS)) {
    await plane.call("POST", SERVICES, { ...COMMON.Service, metadata: { name, annotations, labels }, spec });
  }
  const ingress = [{ ip: "192.0.2.8", ipMode: "VIP" }, { hostname: "lb.example" }, {
    ip: "192.0.2.9",
    ipMode: "Proxy",
  }];
  await plane.call("PATCH", `${SERVICES}/full/status`, { status: { loadBalancer: { ingress } } });
  const changed = { "endpoints.kubernetes.io/last-change-trigger-time": "2026-01-02T03:04:05.5Z" };
  for (const [name, fields] of Object.entries(SLICE_FIELDS)) {
    const metadata = { name, labels, annotations: changed };
    await plane.call("POST", SLICES, { ...COMMON.EndpointSlice, metadata, ...fields });
  }

  for (const kind of ["Service", "EndpointSlice"] as const) {
    const [protobuf, json] = await Promise.all(FORMATS.map((accept) => listIn(accept, plane, kind)));
    assert(protobuf!.objects.length >= 4);
    assertEquals(protobuf, json);
    assertIsRead(protobuf!.objects.find(({ namespacedName }) => namespacedName === "default/full"));
    const { resourceVersion } = protobuf!;
    const watches = FORMATS.map((accept) => watchIn(accept, plane, { kind, resourceVersion }));
    const path = kind === "Service" ? SERVICES : SLICES;
    const extra = kind === "Service" ? { spec: SERVICE_SPECS["bare"] } : SLICE_FIELDS["full"];
    await plane.call("POST", path, { ...COMMON[kind], metadata: { name: "extra" }, ...extra });
    await plane.call("PATCH", `${path}/extra`, { metadata: { labels } });
    await plane.call("DELETE", `${path}/extra`);
    const [inProtobuf, inJson] = await Promise.all(watches);
    assertEquals(inProtobuf, inJson);
    assertEquals(inProtobuf!.map((event) => event.type), ["ADDED", "MODIFIED", "DELETED"]);
  }
  for (const name of Object.keys(SERVICE_SPECS)) await plane.call("DELETE", `${SERVICES}/${name}`);
  for (const name of Object.keys(SLICE_FIELDS)) await plane.call("DELETE", `${SLICES}/${name}`);
}

/** Holds what is read of the full objects against what was written: nothing both formats leave out goes unnoticed. */
function assertIsRead(object: KubeObject | undefined): void {
  if (object?.kind === "EndpointSlice") {
    const [first] = object.endpoints;
    assertEquals([first?.nodeName, first?.zone], ["node-1", "zone-a"]);
    assertEquals([first?.hintedZones, first?.hintedNodes], [["zone-a", "zone-b"], ["node-1"]]);
    return;
  }
  assertEquals([object?.sessionAffinity, object?.affinityTimeoutSeconds], ["ClientIP", 600]);
  assertEquals([object?.internalTrafficPolicy, object?.externalTrafficPolicy], ["Local", "Local"]);
  assertEquals(object?.healthCheckNodePort, 30099);
}

const FORMATS = ["application/vnd.kubernetes.protobuf", "application/json"] as const;
const COMMON = {
  Service: { apiVersion: "v1", kind: "Service" },
  EndpointSlice: { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice" },
} as const;

/** A whole list in one format. */
async function listIn(accept: string, plane: ControlPlane, kind: KubeObject["kind"]): Promise<ListPart> {
  using client = await httpClient(plane);
  const { format, body } = await get(accept, { plane, client, path: resourcePath(kind) });
  const decoder = format.listDecoder(kind);
  const parts: ListPart[] = [];
  for await (const chunk of body) parts.push(decoder.push(chunk));
  parts.push(decoder.end());
  return {
    objects: parts.flatMap((part) => part.objects),
    unreadable: parts.flatMap((part) => part.unreadable),
    resourceVersion: parts.at(-1)!.resourceVersion,
  };
}

/** The first three events of a watch in one format. */
async function watchIn(
  accept: string,
  plane: ControlPlane,
  { kind, resourceVersion }: { readonly kind: KubeObject["kind"]; readonly resourceVersion: string },
): Promise<WatchEvent[]> {
  using client = await httpClient(plane);
  const path = `${resourcePath(kind)}?${new URLSearchParams({ watch: "true", resourceVersion })}`;
  const { format, body } = await get(accept, { plane, client, path });
  const decoder = format.watchDecoder(kind);
  const events: WatchEvent[] = [];
  for await (const chunk of body) {
    events.push(...decoder.push(chunk));
    if (events.length >= 3) break;
  }
  return events;
}

async function httpClient(plane: ControlPlane): Promise<Deno.HttpClient> {
  return Deno.createHttpClient({ caCerts: [await Deno.readTextFile(plane.caFile)] });
}

async function get(
  accept: string,
  { plane, client, path }: {
    readonly plane: ControlPlane;
    readonly client: Deno.HttpClient;
    readonly path: string;
  },
): Promise<{ readonly format: AnswerFormat; readonly body: ReadableStream<Uint8Array> }> {
  const response = await fetch(`https://127.0.0.1:${plane.apiserverPort}${path}`, {
    client,
    headers: { Accept: accept, Authorization: "Bearer admin-token" },
  });
  const contentType = response.headers.get("content-type") ?? "";
  assertEquals(contentType.split(";")[0], accept);
  return { format: formatOf(contentType), body: response.body! };
}

async function selectsByLabel(plane: ControlPlane): Promise<void> {
  const label = "service.kubernetes.io/service-proxy-name";
  await plane.call("POST", SERVICES, service("ours", {}, { [label]: "lightpath.cloud" }));
  await plane.call("POST", SERVICES, service("foreign", {}, { [label]: "other" }));
  const kubeconfig = await plane.kubeconfig("admin");
  await using all = await RunningApiSource.start(kubeconfig, { selectors: selectorsFor("") });
  await using ours = await RunningApiSource.start(kubeconfig, { selectors: selectorsFor("lightpath.cloud") });
  await Promise.all([all.until(() => all.batches.length === 1), ours.until(() => ours.batches.length === 1)]);
  assertEquals([...ours.view.Service.keys()], ["default/ours"]);
  assert(all.view.Service.has("default/before"));
  assert(!all.view.Service.has("default/ours") && !all.view.Service.has("default/foreign"));

  await plane.call("PATCH", `${SERVICES}/ours`, { metadata: { labels: { [label]: null } } });
  await all.until(() => all.view.Service.has("default/ours"));
  await ours.until(() => ours.view.Service.size === 0);
  for (const name of ["ours", "foreign"]) await plane.call("DELETE", `${SERVICES}/${name}`);
}

async function resumesAfterCut(plane: ControlPlane): Promise<void> {
  for (const name of ["kept", "doomed"]) await plane.call("POST", SERVICES, service(name));
  await using proxy = new CuttableProxy(plane.apiserverPort);
  await using source = await RunningApiSource.start(await plane.kubeconfig("admin", proxy.port));
  await source.until(() => source.batches.length === 1);
  proxy.cut();
  await source.until(() => source.failures.length >= 2);
  await plane.call("DELETE", `${SERVICES}/doomed`);
  await plane.call("POST", SERVICES, service("missed"));
  proxy.mend();
  await source.until(() =>
    source.view.Service.has("default/missed") && !source.view.Service.has("default/doomed")
  );
  assertEquals(source.relists, []);
  assert(!objectsOf(source.batches.slice(1).flat()).some((object) => object.name === "kept"));
}

async function relistsAfterCompaction(plane: ControlPlane): Promise<void> {
  for (const name of ["stays", "goes"]) await plane.call("POST", SERVICES, service(name));
  await using proxy = new CuttableProxy(plane.apiserverPort);
  await using source = await RunningApiSource.start(await plane.kubeconfig("admin", proxy.port));
  await source.until(() => source.batches.length === 1);
  const before = new Set(source.view.Service.keys());
  proxy.cut();
  await plane.call("DELETE", `${SERVICES}/goes`);
  await plane.call("POST", SERVICES, service("came"));
  await plane.stopApiserver();
  await plane.compactEtcd();
  proxy.mend();
  await plane.startApiserver();
  await source.until(() => source.view.Service.has("default/came") && source.relists.length > 0);
  before.delete("default/goes");
  before.add("default/came");
  assertEquals(new Set(source.view.Service.keys()), before);
  const differences = source.batches.slice(1).map((batch) =>
    batch.map((event) => event.type === "apply" ? `+${event.object.name}` : `-${event.namespacedName}`)
  );
  assertEquals(differences, [["-default/goes", "+came"]]);
  // It has not only caught up, it watches.
  await plane.call("POST", SERVICES, service("afterwards"));
  await source.until(() => source.view.Service.has("default/afterwards"));
}

async function followsOneNode(plane: ControlPlane): Promise<void> {
  await using proxy = new CuttableProxy(plane.apiserverPort);
  const client = await createKubeClient({ kubeconfig: await plane.kubeconfig("admin", proxy.port) });
  const told: string[] = [];
  let heard = Promise.withResolvers<void>();
  const tell = (text: string): void => {
    told.push(text);
    heard.resolve();
    heard = Promise.withResolvers();
  };
  const ended = new AbortController();
  let looks = 0;
  const watching = watchNode({
    client,
    own: { name: "node-1", zone: "", addresses: () => (looks++, ["127.0.0.1"]) },
    onZone: (zone) => tell(`zone ${zone}`),
    onFault: (fault) => tell(fault === undefined ? "well" : fault.split(":")[0]!),
    logger: silentLogger,
    minPauseMs: 50,
  }, ended.signal);
  const until = async (...wanted: readonly string[]): Promise<void> => {
    while (told.length < wanted.length) await heard.promise;
    assertEquals(told.splice(0), wanted);
  };
  const create = (name: string): Promise<unknown> =>
    plane.call("POST", "/api/v1/nodes", { metadata: { name }, status: {} });
  const label = (name: string, zone: string | null): Promise<unknown> =>
    plane.call("PATCH", `/api/v1/nodes/${name}`, {
      metadata: { labels: { "topology.kubernetes.io/zone": zone } },
    });
  await until('there is no Node "node-1" yet');
  await create("node-1");
  await until("well", "zone ");
  await create("node-10");
  await label("node-10", "zone-x");
  await label("node-1", "zone-a");
  await until("zone zone-a");
  // As it came, and as it was labelled: nothing of the other Node was even looked at.
  assertEquals(looks, 2);
  proxy.cut();
  await label("node-1", "zone-b");
  proxy.mend();
  await until("zone zone-b");
  await label("node-1", null);
  await until("zone ");
  await plane.call("DELETE", "/api/v1/nodes/node-1");
  await until('there is no Node "node-1" yet');
  ended.abort();
  await watching;
}

async function understandsBookmarks(plane: ControlPlane): Promise<void> {
  // The server sends a bookmark 2 s before it ends a watch, if there is news that the watch itself was not told.
  await using source = await RunningApiSource.start(await plane.kubeconfig("admin"), {
    selectors: { Service: "wanted", EndpointSlice: "wanted" },
    settings: { watchTimeoutSeconds: { min: 5, max: 5 } },
  });
  await source.until(() => source.batches.length === 1);
  await plane.call("POST", SERVICES, service("unwanted"));
  await source.until(() => source.bookmarksAndEvents === 1);
  assertEquals(source.batches, [[]]);
  assertEquals([source.failures, source.relists], [[], []]);
}

async function acceptsClientCertificate(plane: ControlPlane, dir: string): Promise<void> {
  const cluster = {
    server: `https://127.0.0.1:${plane.apiserverPort}`,
    "certificate-authority": plane.caFile,
  };
  const user = {
    "client-certificate": join(TEST_KEYS, "client.crt"),
    "client-key": join(TEST_KEYS, "client.key"),
  };
  await using source = await RunningApiSource.start(
    await writeKubeconfig(dir, "certificate", { cluster, user }),
  );
  await source.until(() => source.batches.length === 1);
  assert(source.view.Service.has("default/before"));
}

async function explainsRefusals(plane: ControlPlane, dir: string): Promise<void> {
  {
    await using source = await RunningApiSource.start(await plane.kubeconfig("nobody"));
    await source.until(() => source.failures.length >= 2);
    const messages = source.failures.map((failure) => failure.message).sort();
    assertMatch(
      messages[0]!,
      /^Lightpath \(user "nobody" of kubeconfig .*\) may not list endpointslices\.discovery\.k8s\.io at cluster scope: grant it by a ClusterRole with the rule \{apiGroups: \["discovery\.k8s\.io"\], resources: \["endpointslices"\], verbs: \["list", "watch"\]\}; the API server says: .*cannot list resource "endpointslices"/,
    );
    assertEquals(source.batches, []);
  }
  const cluster = {
    server: `https://127.0.0.1:${plane.apiserverPort}`,
    "certificate-authority": plane.caFile,
  };
  const tokenFile = join(dir, "token");
  await Deno.writeTextFile(tokenFile, "expired");
  const kubeconfig = await writeKubeconfig(dir, "rotated", { cluster, user: { tokenFile } });
  await using source = await RunningApiSource.start(kubeconfig);
  await source.until(() => source.failures.length >= 2);
  assertMatch(source.failures[0]!.message, /does not accept the credentials .* renew the token/);
  // A token that is renewed in its file is picked up.
  await Deno.writeTextFile(tokenFile, "admin-token");
  await source.until(() => source.batches.length === 1);
}

function service(
  name: string,
  spec: Record<string, unknown> = {},
  labels: Record<string, string> = {},
): unknown {
  return {
    apiVersion: "v1",
    kind: "Service",
    metadata: { name, labels },
    spec: { ports: [{ port: 80 }], ...spec },
  };
}

function slice(name: string, address: string): unknown {
  return { apiVersion: "discovery.k8s.io/v1", kind: "EndpointSlice", ...rawSlice(name, address) };
}

function objectsOf(events: readonly (RunningApiSource["batches"][number][number])[]): KubeObject[] {
  return events.flatMap((event) => event.type === "apply" ? [event.object] : []);
}

function hasEndpoint(object: KubeObject, address: string): boolean {
  return object.kind === "EndpointSlice" && object.endpoints.some((endpoint) => endpoint.address === address);
}

async function writeKubeconfig(
  dir: string,
  name: string,
  parts: { readonly cluster: unknown; readonly user: unknown },
): Promise<string> {
  const path = join(dir, `${name}.kubeconfig`);
  await Deno.writeTextFile(
    path,
    JSON.stringify({
      clusters: [{ name: "lab", cluster: parts.cluster }],
      users: [{ name, user: parts.user }],
      contexts: [{ name: "lab", context: { cluster: "lab", user: name } }],
      "current-context": "lab",
    }),
  );
  return path;
}

/** A token of a service account that the API server's own key has signed. */
async function signedToken(dir: string, claims: Readonly<Record<string, number>>): Promise<string> {
  const key = createPrivateKey(await Deno.readTextFile(join(dir, "service-account.key")));
  const encode = (bytes: Uint8Array): string => bytes.toBase64({ alphabet: "base64url", omitPadding: true });
  const json = (value: unknown): string => encode(new TextEncoder().encode(JSON.stringify(value)));
  const issuer = "https://kubernetes.default.svc";
  const subject = "system:serviceaccount:lightpath-system:lightpath";
  const [namespace, name] = ["lightpath-system", "lightpath"];
  const account = { namespace, serviceaccount: { name, uid: "1" } };
  const body = { iss: issuer, aud: [issuer], sub: subject, "kubernetes.io": account, ...claims };
  const isRSA = key.asymmetricKeyType === "rsa";
  const signed = `${json({ alg: isRSA ? "RS256" : "ES256" })}.${json(body)}`;
  const signature = sign("sha256", new TextEncoder().encode(signed), { key, dsaEncoding: "ieee-p1363" });
  return `${signed}.${encode(new Uint8Array(signature))}`;
}

async function saysWhyTokenIsRefused(plane: ControlPlane, dir: string): Promise<void> {
  const ca = await Deno.readTextFile(plane.caFile);
  const now = Math.floor(Date.now() / 1000);
  const refused = async (claims: Readonly<Record<string, number>>): Promise<string> => {
    const kubeconfig = join(dir, "token.kubeconfig");
    const access = {
      host: "127.0.0.1",
      port: plane.apiserverPort,
      token: await signedToken(dir, claims),
      ca,
    };
    await Deno.writeTextFile(kubeconfig, renderKubeconfig(access));
    const client = await createKubeClient({ kubeconfig });
    const error = await assertRejects(() => client.serviceCIDRs(AbortSignal.timeout(10_000)), KubeApiError);
    assertEquals(error.status, 401);
    return error.message;
  };
  assertMatch(
    await refused({ iat: now - 7200, nbf: now - 7200, exp: now - 3600 }),
    /does not accept the credentials .*: the token expired at \S+Z by the API server's clock, which says \S+Z: renew it/,
  );
  assertMatch(
    await refused({ iat: now + 3600, nbf: now + 3600, exp: now + 7200 }),
    /the token does not hold before \S+Z by the API server's clock/,
  );
  // Signed by nobody it knows: no matter of time.
  assertMatch(
    await refused({ iat: now, nbf: now, exp: now + 3600 }),
    /renew the token or client certificate/,
  );
}
