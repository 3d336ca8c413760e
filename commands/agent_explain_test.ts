/**
 * `lightpath explain`, the whole program: beside a running agent with Envoy, and by manifests alone.
 * @module
 */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { testUnless } from "../scripts/lab/testing.ts";
import type { Explanation } from "./explain/explanation.ts";
import { operatorSentence, runLightpath } from "./testing/lightpath_process.ts";
import { service, slice } from "./testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "./testing/node_fixture.ts";
import { until } from "./testing/until.ts";

testUnless("lightpath explain", { unavailable: fixtureUnavailable }, async (t) => {
  await using fixture = await NodeFixture.create();
  const { manifests, lab, pod } = fixture;
  const [annotation, bad] = ["config.lightpath.cloud/num-retries", "config.lightpath.cloud/request-timeout"];
  const echo = service("echo", { clusterIPs: ["10.96.0.10"], ports: [{ name: "http", port: 80 }] });
  async function writeEcho(annotations: Record<string, string>): Promise<void> {
    await manifests.write("echo.yaml", [
      { ...echo, metadata: { name: "echo", namespace: "default", annotations } },
      slice("echo", { addresses: fixture.addresses("ipv4"), ports: [{ name: "http", port: 8080 }] }),
    ]);
  }

  async function explain(...flags: readonly string[]): Promise<string> {
    const { code, stdout, stderr } = await runLightpath(lab.node, ["explain", "default/echo", ...flags]);
    assertEquals({ code, stderr }, { code: 0, stderr: "" });
    return stdout;
  }

  async function explained(): Promise<Explanation> {
    return JSON.parse(await explain("--json")) as Explanation;
  }

  /** The states of its resources with the one Envoy. */
  async function states(): Promise<readonly string[]> {
    const [port] = (await explained()).ports;
    return port?.resources.map(({ type, envoys }) => `${type} ${envoys?.map(({ state }) => state).join()}`) ??
      [];
  }

  await writeEcho({ [annotation]: "3", [bad]: "soon" });

  await t.step("without an agent: says so, and explains manifests", async () => {
    const sentence = operatorSentence(await runLightpath(lab.node, ["explain", "default/echo"]));
    assertMatch(sentence, /^no agent answers at \/run\/lightpath\/agent.sock: is it running/);
    const text = await explain(`--manifests=${manifests.path}`);
    assertMatch(text, /^Service default\/echo, as an agent would serve it, by the manifests alone$/m);
    assertMatch(text, /num-retries {2}3 {2}from config.lightpath.cloud\/num-retries \(default 2\)$/m);
    const unknown = await runLightpath(lab.node, [
      "explain",
      "default/ehco",
      `--manifests=${manifests.path}`,
    ]);
    assertMatch(
      operatorSentence(unknown),
      /^there is no Service default\/ehco; the nearest that is served is default\/echo$/,
    );
  });

  const agent = await fixture.startAgent().ready();

  await t.step("before the first connection Envoy has asked for neither Cluster nor endpoints", async () => {
    assertEquals(await states(), [
      "Cluster not-asked-for",
      "ClusterLoadAssignment not-asked-for",
      // The destination has settings, and the routes say so.
      "RouteConfiguration acked",
    ]);
  });

  await t.step("after it, Envoy has acked both, and the text says all of it", async () => {
    await until("an answer", () => pod.who("10.96.0.10:80"), { wanted: (who) => who.startsWith("backend-") });
    await until("the ACKs", states, {
      wanted: (found) =>
        found.join() === "Cluster acked,ClusterLoadAssignment acked,RouteConfiguration acked",
    });
    const text = await explain();
    const [one, other] = fixture.addresses("ipv4").sort();
    const version = "version [-\\w]{16} acked";
    const wanted = [
      "^Service default/echo, as the agent on node-1 \\(no zone\\) serves it$",
      '^Port "http", 80/TCP$',
      '^ {2}protocol +http \\(.*\\), because the port is called "http"$',
      "^ {2}reached at +10.96.0.10:80 \\(ClusterIP\\)$",
      "^ {2}path +IPv4: Envoy's HTTP listener$",
      "^ {2}settings +num-retries {2}3 {2}from config.lightpath.cloud/num-retries \\(default 2\\)$",
      `^ {2}endpoints +${one}:8080 {2}no zone {2}not here {2}used: ready$`,
      `^ +${other}:8080 {2}no zone {2}not here {2}used: ready$`,
      `^ {2}in Envoy +Cluster 10.96.0.10:80: ${version}$`,
      `^ +ClusterLoadAssignment default/echo:http/IPv4: ${version}$`,
      `^ {2}invalid-annotation: Service default/echo: annotation ${bad} "soon" is not a duration`,
    ];
    for (const line of wanted) assertMatch(text, new RegExp(line, "m"));
  });

  await t.step("it follows the Service", async () => {
    await writeEcho({});
    const after = await until("no annotations", explained, {
      wanted: ({ problems }) => problems.length === 0,
    });
    assertEquals(after.ports[0]?.settings.filter(({ annotation }) => annotation !== null), []);
  });

  await t.step("a Service there is none of: the nearest; one it does not serve: why", async () => {
    const ask = async (name: string, ...flags: readonly string[]): Promise<string> =>
      operatorSentence(await runLightpath(lab.node, ["explain", name, ...flags]));
    const ports = [{ name: "http", port: 80 }];
    const proxy = "service.kubernetes.io/service-proxy-name";
    await manifests.write("others.yaml", [
      service("peers", { clusterIPs: ["None"], ports }),
      service("foreign", { clusterIPs: ["10.96.0.30"], ports, labels: { [proxy]: "cilium" } }),
    ]);
    const offline = `--manifests=${manifests.path}`;
    for (const flags of [[offline], []]) {
      await until("the manifest", () => ask("default/peers", ...flags), {
        wanted: (sentence) => sentence.startsWith("Service default/peers is not served here: it is headless"),
      });
      assertMatch(
        await ask("default/foreign", ...flags),
        /^Service default\/foreign is not served here: it is another proxy's by its label .*: cilium;/,
      );
      assertMatch(
        await ask("default/ehco", ...flags),
        /^there is no Service default\/ehco; the nearest that is served is default\/echo$/,
      );
    }
  });

  await t.step("the socket is the owner's alone, and goes with the agent", async () => {
    const socket = "/run/lightpath/agent.sock";
    assertEquals((await lab.node.run(["stat", "-c", "%a", socket])).trim(), "600");
    assertEquals(await agent.stop(), 0);
    assertEquals((await lab.node.exec(["test", "-e", socket])).code, 1);
  });
});
