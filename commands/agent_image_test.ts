/**
 * The program as it ships: in the image's file system, with its programs, with the permissions of the executable, and as the containers
 * of deploy/ run it: read-only, with their capabilities and no others.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import type { LabProcess } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";
import { permissionFlags } from "../scripts/build/permissions.ts";
import { AdmissionLab, admissionLabTools } from "./testing/admission_lab.ts";
import { ImagePod, imageUnavailable } from "./testing/image_pod.ts";
import { startLoopbackProgram } from "./testing/loopback_program.ts";
import { RunningAgent } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import { ENVOY, fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

const VIP = "10.96.0.10";
const DNS = "10.96.0.53";
const NODE_PORT = 30080;
/** Where the agent is to find its Services: an API server it would find by its service account. */
const MANIFESTS = { LIGHTPATH_MANIFESTS: "/etc/lightpath", LIGHTPATH_DRAIN_TIME: "300ms" };

const unavailable = [...fixtureUnavailable, ...imageUnavailable];
const apiPrograms = await admissionLabTools();

async function writeServices(fixture: NodeFixture): Promise<void> {
  const http = [{ name: "http", port: 8080 }];
  await fixture.manifests.write("web.yaml", [
    service("web", { clusterIPs: [VIP], ports: [{ name: "http", port: 80, nodePort: NODE_PORT }] }),
    slice("web", { addresses: fixture.addresses("ipv4"), ports: http }),
  ]);
}

/** A UDP Service, served by one backend or by another. */
async function writeDns(fixture: NodeFixture, which: 0 | 1): Promise<void> {
  const ports = [{ name: "dns", port: 53, protocol: "UDP" }];
  await fixture.manifests.write("dns.yaml", [
    service("dns", { clusterIPs: [DNS], ports }),
    slice("dns", { addresses: fixture.addresses("ipv4", which), ports }),
  ]);
}

/** The address from which the pod's connections reach endpoints. */
async function seen({ pod }: NodeFixture): Promise<string> {
  const { outcome, body } = await pod.http(`${VIP}:80`);
  return /RemoteAddr: \[?(\S+?)\]?:\d+$/m.exec(body)?.[1] ?? outcome;
}

/** Starts a pod's containers in the kubelet's order. The last one that is said to be missing is a container of the pod. */
async function startPod(
  fixture: NodeFixture,
  pod: ImagePod,
): Promise<{ readonly agent: RunningAgent; readonly envoy: LabProcess }> {
  const { node } = fixture.lab;
  await node.run(pod.prepare());
  await node.run(pod.container("bootstrap"));
  const envoy = node.spawn(pod.envoy(ENVOY));
  const options = { env: MANIFESTS, mounts: { "/etc/lightpath": fixture.manifests.path } };
  const agent = new RunningAgent(fixture.node, [], [...pod.container("agent", options)]);
  try {
    await agent.ready();
  } catch (error) {
    throw new Error(`${String(error)}\nEnvoy:\n${envoy.recentOutput()}`, { cause: error });
  }
  return { agent, envoy };
}

/** What the log has that is not as it should be; in a lab there is no such Node as the manifests' labels are copied from. */
function complaints(agent: RunningAgent): string[] {
  return agent.log.filter(({ level }) => level === "warn" || level === "error")
    .map(({ message, fields }) => `${message} ${JSON.stringify(fields)}`);
}

testUnless("the image serves traffic as the containers of deploy/ run it", { unavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  await using pod = await ImagePod.create("overlays/standalone");
  await using cleanup = await ImagePod.create("cleanup");
  const { node } = fixture.lab;
  await writeServices(fixture);
  await writeDns(fixture, 0);
  await t.step("without a permission that it needs it ends with a sentence", async () => {
    await node.run(pod.prepare());
    const permissions = permissionFlags().filter((flag) => !flag.startsWith("--allow-ffi"));
    const mounts = { "/etc/lightpath": fixture.manifests.path };
    const { code, stderr } = await node.exec(pod.container("agent", { env: MANIFESTS, mounts, permissions }));
    assertEquals(code, 1);
    assertMatch(stderr, /"\/proc\/net\/route cannot be opened: Deno was started without --allow-ffi"/);
  });
  const { agent, envoy } = await startPod(fixture, pod);
  const explain = (...args: string[]): Promise<string> =>
    node.run(pod.container("agent", { args: ["explain", ...args] }));

  await t.step("through Envoy, at a VIP and a NodePort, in the client's name", async () => {
    await fixture.untilThroughEnvoy(`${VIP}:80`);
    assertEquals(await seen(fixture), fixture.client.ipv4);
    assertMatch(
      await fixture.outside.who(`${fixture.lab.nodeAddresses.ipv4}:${NODE_PORT}`),
      /^backend-[12]$/,
    );
    assertEquals(await agent.metric("lightpath_client_address_preserved"), 1);
    assertEquals(await agent.readyz(), { ready: true, reasons: {} });
  });
  await t.step("looks for stale UDP flows by conntrack", async () => {
    const passes = (): Promise<number> =>
      agent.metric("kubeproxy_conntrack_reconciler_sync_duration_seconds_count");
    const before = await passes();
    await writeDns(fixture, 1);
    await until("a pass", passes, { wanted: (count) => count > before });
  });
  await t.step("says of itself what a process is expected to say", async () => {
    assertEquals(await agent.metric("process_open_fds") > 10, true);
    assertEquals(await agent.metric("process_max_fds") > 100, true);
  });
  await t.step("explains a Service in the agent's container", async () => {
    assertMatch(await explain("default/web"), /default\/web[^]*10\.96\.0\.10:80[^]*backend|10\.244\.0\.11/);
  });
  await t.step("ends as the kubelet asks, and the kernel serves on", async () => {
    assertEquals(complaints(agent), []);
    assertEquals(await agent.stop(), 0);
    assertEquals((await envoy.stop()).code, 0);
    await fixture.untilThroughEnvoy(`${VIP}:80`, false);
  });
  await t.step("cleanup removes it all", async () => {
    await node.run(cleanup.container("cleanup"));
    assertEquals((await fixture.ruleset()).includes("lightpath"), false);
  });
});

testUnless("the image serves traffic by iptables", { unavailable }, async () => {
  await using fixture = await NodeFixture.create();
  await using pod = await ImagePod.create("overlays/redirect-iptables");
  await using cleanup = await ImagePod.create("cleanup");
  await writeServices(fixture);
  const { agent, envoy } = await startPod(fixture, pod);
  await fixture.untilThroughEnvoy(`${VIP}:80`);
  assertMatch(await fixture.outside.who(`${fixture.lab.nodeAddresses.ipv4}:${NODE_PORT}`), /^backend-[12]$/);
  // Said because it is so (README, "Where nftables cannot be used"); all else would be news.
  assertEquals(complaints(agent).filter((line) => !line.includes("endpoints see this node's address")), []);
  assertEquals(await agent.stop(), 0);
  assertEquals((await envoy.stop()).code, 0);
  await fixture.lab.node.run(cleanup.container("cleanup"));
  assertEquals((await fixture.ruleset()).includes("LIGHTPATH"), false);
});

const withApi = [...imageUnavailable, "unavailable" in apiPrograms ? apiPrograms.unavailable : undefined];
/** Where a pod has its service account. */
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

testUnless(
  "the image speaks to a real API server by service accounts",
  { unavailable: withApi },
  async (t) => {
    if ("unavailable" in apiPrograms) return;
    await using lab = await AdmissionLab.start(apiPrograms);
    await using webhookPod = await ImagePod.create("admission/webhook", "Deployment");
    await using agentPod = await ImagePod.create("overlays/standalone");
    const run = `${lab.dir}/run`;
    const [shell = "", ...words] = agentPod.prepare(run);
    await new Deno.Command(shell, { args: words }).output();
    const env = {
      KUBERNETES_SERVICE_HOST: "127.0.0.1",
      KUBERNETES_SERVICE_PORT: String(lab.plane.apiserverPort),
    };

    await t.step("the agent reads what there is", async () => {
      const mounts = { [ACCOUNT]: await lab.accountFolder("agent", lab.plane.token("admin")) };
      const flags = ["--redirect=none", "--envoy=external", "--log-level=debug"];
      const options = { env, mounts, run, args: ["agent", ...flags] };
      await using agent = startLoopbackProgram([], { program: agentPod.container("agent", options) });
      await until("all Services", () => agent.ready(), {
        wanted: (reason) => reason.startsWith("envoyConnected"),
      });
      assertEquals(await agent.end(), 0);
    });
    await t.step("adopt says what it would do", async () => {
      const mounts = { [ACCOUNT]: await lab.accountFolder("agent", lab.plane.token("admin")) };
      const [program = "", ...args] = agentPod.container("agent", {
        env,
        mounts,
        run,
        args: ["adopt", "--dry-run"],
      });
      const { code, stdout } = await new Deno.Command(program, { args, stderr: "inherit" }).output();
      assertMatch(new TextDecoder().decode(stdout), /left default\/kubernetes: [^]*nothing was changed/);
      assertEquals(code, 0);
    });
    await t.step("the webhook labels a new Service, as a user without any capability", async () => {
      for (const file of ["rbac.yaml", "secret.yaml", "service.yaml", "webhook.yaml"]) {
        await lab.apply(`webhook/${file}`);
      }
      const token = await lab.tokenOf("lightpath-webhook");
      const mounts = { [ACCOUNT]: await lab.accountFolder("webhook", token) };
      const options = { env, mounts, run, args: ["webhook"] };
      await using webhook = await lab.startWebhook([], { program: webhookPod.container("webhook", options) });
      await until("readiness", () => webhook.ready(), { wanted: (reason) => reason === "" });
      // The API server learns of the configuration a moment later.
      let number = 0;
      const create = async (): Promise<string | undefined> =>
        (await lab.create({ name: `shipped-${number++}`, proxyName: undefined })).proxyName;
      await until("a label", create, { wanted: (label) => label === "lightpath.cloud" });
      assertEquals(await webhook.end(), 0);
    });
  },
);
