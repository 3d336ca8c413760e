/**
 * The program against a real kube-apiserver, with the rights of deploy/base/rbac.yaml and no more: what is written to the
 * API arrives at an xDS client.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { fail } from "@std/assert/fail";
import { join } from "@std/path/join";
import { createKubeClient } from "../agent/kube/mod.ts";
import { ClusterLoadAssignment } from "../protos/mod.ts";
import { type ControlPlane, startControlPlane } from "../scripts/lab/control_plane.ts";
import { progress } from "../scripts/tool_path.ts";
import { ensureTool } from "../scripts/tools/mod.ts";
import { DeltaClient } from "../xds/testing/delta_client.ts";
import { applyRbac } from "./testing/apply_rbac.ts";
import { LIGHTPATH } from "./testing/lightpath_process.ts";
import { type LoopbackProgram, startLoopbackProgram } from "./testing/loopback_program.ts";
import { until } from "./testing/until.ts";

const NAME = "the agent against a real kube-apiserver";
const etcd = await ensureTool("etcd", { onProgress: progress });
const kubeApiserver = await ensureTool("kube-apiserver", { onProgress: progress });

if (etcd.path === undefined || kubeApiserver.path === undefined) {
  const reason = etcd.unavailable ?? kubeApiserver.unavailable;
  Deno.test({ name: `${NAME} (skipped: ${reason})`, ignore: true, fn: () => {} });
} else {
  const programs = { etcd: etcd.path, kubeApiserver: kubeApiserver.path };
  Deno.test(NAME, async (t) => {
    const dir = await Deno.makeTempDir({ prefix: "lp-" });
    try {
      await using plane = await startControlPlane({ ...programs, dir, signal: AbortSignal.timeout(180_000) });
      await using agent = await startAgent(plane, dir);
      await t.step("says at once which rights are missing, and goes on when they are granted", async () => {
        await until("refusals in the log", () => agent.log(), {
          wanted: (log) => /may not list services/.test(log) && /may not list and watch services/.test(log),
        });
        assertMatch(
          agent.log(),
          /WARN +Lightpath \(user "agent" .*\) may not list and watch services and list and watch endpointslices\.discovery\.k8s\.io, without which nothing is served; nor list servicecidrs\S+, .*; nor create events\.events\.k8s\.io, .*verbs: \["create"\]\}/,
        );
        assertEquals(await agent.ready(), "synced: Services and EndpointSlices are being read");
        await applyRbac(plane);
        await until("readiness", () => agent.ready(), {
          wanted: (reason) => reason.startsWith("envoyConnected"),
        });
      });
      await t.step("says that its Node is missing, or another machine's, until it is neither", async () => {
        await comesToItsNode(plane, agent);
      });
      await t.step("hands on what is written to the API", () => followsTheApi(plane, dir));
      await t.step("explains why a Service is not served, also one that it never reads", async () => {
        await explainsOthers(plane, dir);
      });
      await t.step(
        "two agents tell a Service's owner once of what is wrong with it",
        () => tellOnce(plane, agent),
      );
      await t.step("may read which ranges are for Services", async () => {
        const client = await createKubeClient({ kubeconfig: await plane.kubeconfig("agent") });
        assertEquals(await client.serviceCIDRs(AbortSignal.timeout(10_000)), [
          "10.96.0.0/16",
          "fd00:96::/108",
        ]);
      });
      await t.step("without the right to write Events it says so once, and goes on", async () => {
        await withoutEvents(plane, agent);
      });
      assertEquals(await agent.end(), 0);
      await t.step("finds the API server by its pod's service account", async () => {
        await using inPod = await startAgentInPod(plane, dir);
        await until("readiness", () => inPod.ready(), {
          wanted: (reason) => reason.startsWith("envoyConnected"),
        });
        assertEquals(await inPod.end(), 0);
      });
    } finally {
      await Deno.remove(dir, { recursive: true });
    }
  });
}

async function comesToItsNode(plane: ControlPlane, agent: LoopbackProgram): Promise<void> {
  const logged = async (pattern: RegExp): Promise<void> =>
    void await until(String(pattern), () => agent.log(), { wanted: (log) => pattern.test(log) });
  const hasAddress = async (address: string): Promise<void> =>
    void await plane.call("PATCH", "/api/v1/nodes/node-1/status", {
      status: { addresses: [{ type: "InternalIP", address }] },
    });
  await logged(/WARN +there is no Node "node-1" yet: /);
  await plane.call("POST", "/api/v1/nodes", { metadata: { name: "node-1" } });
  await hasAddress("192.0.2.77");
  await logged(
    /WARN +Node "node-1" has the addresses 192\.0\.2\.77, none of which is this machine's: give --node-name/,
  );
  await hasAddress("127.0.0.1");
  await logged(/INFO +the Node is as it should be/);
}

async function followsTheApi(plane: ControlPlane, dir: string): Promise<void> {
  const services = "/api/v1/namespaces/default/services";
  const slices = "/apis/discovery.k8s.io/v1/namespaces/default/endpointslices";
  const created = await plane.call("POST", services, {
    metadata: { name: "echo" },
    spec: { ports: [{ name: "http", port: 80, targetPort: "web" }] },
  }) as { spec: { clusterIP: string } };
  const slice = {
    metadata: { name: "echo-1", labels: { "kubernetes.io/service-name": "echo" } },
    addressType: "IPv4",
    ports: [{ name: "http", port: 8080, protocol: "TCP" }],
    endpoints: [{ addresses: ["10.244.0.5"] }],
  };
  await plane.call("POST", slices, slice);

  await using envoy = DeltaClient.connect(`unix:${join(dir, "ads.sock")}`);
  const cluster = `${created.spec.clusterIP}:80`;
  envoy.send("Cluster", { subscribe: [cluster] });
  const first = await envoy.next();
  assertEquals(first.resources.map(({ name }) => name), [cluster]);
  envoy.ack(first);
  const assignment = "default/echo:http/IPv4";
  envoy.send("ClusterLoadAssignment", { subscribe: [assignment] });
  assertEquals(await nextAddresses(envoy), ["10.244.0.5:8080"]);

  await plane.call("PUT", `${slices}/echo-1`, {
    ...slice,
    endpoints: [{ addresses: ["10.244.0.5"] }, { addresses: ["10.244.0.6"] }],
  });
  assertEquals(await nextAddresses(envoy), ["10.244.0.5:8080", "10.244.0.6:8080"]);
  await plane.call("DELETE", `${slices}/echo-1`);
  assertEquals(await nextAddresses(envoy), []);
}

/** The selector of its watch keeps what is another proxy's from the agent. */
async function explainsOthers(plane: ControlPlane, dir: string): Promise<void> {
  const create = async (name: string, { labels = {}, spec = {} }): Promise<unknown> =>
    await plane.call("POST", "/api/v1/namespaces/default/services", {
      metadata: { name, labels },
      spec: { ports: [{ name: "http", port: 80 }], ...spec },
    });
  await create("foreign", { labels: { "service.kubernetes.io/service-proxy-name": "cilium" } });
  await create("peers", { spec: { clusterIP: "None" } });
  await create("alias", { spec: { type: "ExternalName", externalName: "example.org" } });
  const explain = async (name: string): Promise<string> => {
    const [program = "", ...args] = LIGHTPATH;
    const command = new Deno.Command(program, { args: [...args, "explain", name, `--run-dir=${dir}`] });
    const { code, stderr } = await command.output();
    assertEquals(code, 1);
    return new TextDecoder().decode(stderr).replace(/^\S+ ERROR +/, "").trim();
  };
  const why = "Service default/foreign is not served here: it is another proxy's by its label " +
    "service.kubernetes.io/service-proxy-name: cilium; this agent serves those without that label";
  assertEquals(await explain("default/foreign"), why);
  assertMatch(await explain("default/peers"), /it is headless/);
  assertMatch(await explain("default/alias"), /it is of type ExternalName/);
  assertEquals(
    await explain("default/ehco"),
    "there is no Service default/ehco; the nearest that is served is default/echo",
  );
}

/** The Events of a namespace, as whoever runs kubectl sees them. */
async function eventsOf(plane: ControlPlane): Promise<readonly Readonly<Record<string, unknown>>[]> {
  const { items } = await plane.call("GET", "/api/v1/namespaces/default/events") as {
    items: readonly Readonly<Record<string, unknown>>[];
  };
  return items.filter(({ involvedObject }) => (involvedObject as { name?: string }).name === "careless");
}

async function tellOnce(plane: ControlPlane, agent: LoopbackProgram): Promise<void> {
  const dir = await Deno.makeTempDir({ prefix: "lp-" });
  try {
    await using other = await startAgent(plane, dir, "node-2");
    await until("readiness", () => other.ready(), {
      wanted: (reason) => reason.startsWith("envoyConnected"),
    });
    const annotation = "config.lightpath.cloud/num-retries";
    const services = "/api/v1/namespaces/default/services";
    const careless = await plane.call("POST", services, {
      metadata: { name: "careless", annotations: { [annotation]: "many" } },
      spec: { ports: [{ name: "http", port: 80 }] },
    }) as { metadata: { uid: string; resourceVersion: string }; spec: { clusterIP: string } };
    const { uid } = careless.metadata;

    // One has written it, and the other has tried to.
    const said = (one: LoopbackProgram): readonly string[] =>
      one.log().match(/Event (written|is there already)/g) ?? [];
    const both = await until("both agents", () => [...said(agent), ...said(other)], {
      wanted: (lines) => lines.length === 2,
    });
    assertEquals([...both].sort(), ["Event is there already", "Event written"]);
    for (const result of ["written", "present"]) {
      const counts = [agent, other].map((one) => one.metric("lightpath_events_total", { result }));
      assertEquals((await Promise.all(counts)).sort(), [0, 1], result);
    }
    for (const one of [agent, other]) {
      assertEquals(await one.metric("lightpath_invalid_annotations_total", { fault: "invalid-value" }), 1);
    }
    const [event, ...more] = await eventsOf(plane);
    assertEquals(more, []);
    const { type, reason, message, involvedObject, reportingComponent } = event ?? fail("no Event");
    assertEquals({ type, reason, message, involvedObject, reportingComponent }, {
      type: "Warning",
      reason: "InvalidAnnotation",
      message:
        `annotation ${annotation} "many" is not a whole number from 0 to 10; what held without it holds.`,
      involvedObject: { apiVersion: "v1", kind: "Service", namespace: "default", name: "careless", uid },
      reportingComponent: "lightpath.cloud/agent",
    });

    // Another fault is another Event; a change that leaves the fault as it is is none.
    const put = (annotations: Record<string, string>): Promise<unknown> =>
      plane.call("PATCH", `${services}/careless`, { metadata: { annotations } });
    await put({ unrelated: "1" });
    await put({ [annotation]: "few" });
    const two = await until("the second Event", () => eventsOf(plane), {
      wanted: ({ length }) => length > 1,
    });
    assertEquals(two.map(({ message }) => /"(many|few)"/.exec(String(message))?.[1]).sort(), ["few", "many"]);
  } finally {
    await Deno.remove(dir, { recursive: true });
  }
}

async function withoutEvents(plane: ControlPlane, agent: LoopbackProgram): Promise<void> {
  const path = "/apis/rbac.authorization.k8s.io/v1/clusterroles/lightpath";
  const role = await plane.call("GET", path) as {
    readonly rules: readonly { readonly resources: readonly string[] }[];
  };
  const rules = role.rules.filter(({ resources }) => !resources.includes("events"));
  await plane.call("PUT", path, { ...role, rules });
  const refusals = (level: string): number =>
    agent.log().match(new RegExp(`${level} +problems are not told by Events`, "g"))?.length ?? 0;
  // The API server learns of the change a moment later, so the first few may still be taken.
  const outcomes = (): number =>
    agent.log().match(/Event written|problems are not told by Events/g)?.length ?? 0;
  for (let attempt = 1; attempt <= 10 && refusals("DEBUG") === 0; attempt++) {
    const before = outcomes();
    const annotations = { "config.lightpath.cloud/num-retries": `bad-${attempt}` };
    await plane.call("PATCH", "/api/v1/namespaces/default/services/careless", { metadata: { annotations } });
    await until("an outcome", outcomes, { wanted: (count) => count > before });
  }
  assertEquals(refusals("DEBUG") > 0, true);
  assertEquals(refusals("WARN"), 1);
  assertEquals(await agent.metric("lightpath_events_total", { result: "refused" }), refusals("DEBUG") + 1);
  assertMatch(agent.log(), /may not create events\.events\.k8s\.io/);
  assertEquals((await agent.ready()).startsWith("envoyConnected"), true);
}

/** Takes the next response, acknowledges it, and gives the endpoints in it. */
async function nextAddresses(envoy: DeltaClient): Promise<readonly string[]> {
  const response = await envoy.next();
  envoy.ack(response);
  const [resource, ...others] = response.resources;
  assertEquals(others, []);
  const { endpoints } = ClusterLoadAssignment.decode(resource?.resource?.value ?? fail("no resource"));
  return endpoints.flatMap(({ lbEndpoints }) =>
    lbEndpoints.map(({ endpoint }) => {
      const address = endpoint?.address?.socketAddress;
      return `${address?.address}:${address?.portValue}`;
    })
  );
}

async function startAgent(plane: ControlPlane, dir: string, nodeName = "node-1"): Promise<LoopbackProgram> {
  const kubeconfig = await plane.kubeconfig("agent");
  return spawnAgent(dir, LIGHTPATH, {
    flags: [`--kubeconfig=${kubeconfig}`, `--node-name=${nodeName}`, "--log-level=debug"],
  });
}

/** With the service account's files where a pod has them: /var/run is /run, which only this process sees. */
async function startAgentInPod(plane: ControlPlane, dir: string): Promise<LoopbackProgram> {
  const token = join(dir, "token");
  await Deno.writeTextFile(token, "agent-token");
  const folder = "/var/run/secrets/kubernetes.io/serviceaccount";
  const script = `mount -t tmpfs tmpfs "$(readlink -f /var/run)" && mkdir -p ${folder} && ` +
    `cp ${token} ${folder}/token && cp ${plane.caFile} ${folder}/ca.crt && exec "$@"`;
  const unshare = ["unshare", ...(Deno.uid() === 0 ? [] : ["-U", "-r"]), "-m", "sh", "-c", script, "sh"];
  return spawnAgent(dir, [...unshare, ...LIGHTPATH], {
    env: { KUBERNETES_SERVICE_HOST: "127.0.0.1", KUBERNETES_SERVICE_PORT: String(plane.apiserverPort) },
  });
}

/** An agent on loopback that leaves kernel and Envoy alone. */
function spawnAgent(
  dir: string,
  program: readonly string[],
  { flags = [], env = {} }: {
    readonly flags?: readonly string[];
    readonly env?: Readonly<Record<string, string>>;
  },
): LoopbackProgram {
  const kept = [`--run-dir=${dir}`, `--state-dir=${join(dir, "state")}`];
  const command = ["agent", ...flags, "--redirect=none", "--envoy=external", ...kept];
  return startLoopbackProgram(command, { env, program });
}
