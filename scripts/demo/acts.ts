/**
 * The demo's acts, each showing one thing that Lightpath claims, with figures measured on the spot.
 *
 * In: the scene and the narrator. Out: text and claims.
 * Invariant: whatever an act changes, it puts back. They are played in the order in which they stand here: the first
 * needs ports that nobody has used yet, the third counts those that the first two used.
 * @module
 */

import { type Answer, type LoadReport, type LoadRun, request, startLoad } from "../lab/mod.ts";
import { Agent, cleanUp } from "./agent.ts";
import { writeEndpoints } from "./manifests.ts";
import { sumOf } from "./metrics_text.ts";
import { counts, duration, type Narrator } from "./narrator.ts";
import { BACKEND_NAMES, type Stage, VIP } from "./stage.ts";

const HTTP_URL = `http://${VIP.ipv4}/`;
const TCP_URL = `tcp://${VIP.ipv4}:9000`;

/** Enough requests for a random choice among three to meet each of them. */
const ENOUGH = 60;

/** The first connection to a VIP, when Envoy learns of it, and those after it. */
export async function firstConnection(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("The first connection, and the next one");
  const before = await stage.agent.metrics();
  narrator.say(
    `Envoy (${Math.round(await stage.envoyMemoryMB())} MB) knows no Service yet: it was sent ` +
      `${sumOf(before, "lightpath_xds_resources_sent_total")} resources. It asks at the first connection.`,
  );
  const warmUpUrl = `http://${stage.backends[0]?.ipv4}:8080/`;
  const direct = await startLoad(stage.client.namespace, {
    url: warmUpUrl,
    warmUpUrl,
    requests: 20,
    newConnections: true,
  }).report();
  narrator.say(
    `For comparison, straight to a pod, a new connection each: ${duration(direct.latencyMs.p50)}.`,
  );
  for (const url of [HTTP_URL, TCP_URL]) {
    const report = await startLoad(stage.client.namespace, {
      url,
      warmUpUrl,
      requests: 20,
      newConnections: true,
    }).report();
    const [first = 0, second = 0] = report.firstMs;
    narrator.claim(
      report.failed === 0,
      `${url}: first connection ${duration(first)}, the next ${duration(second)}, ` +
        `later ones ${duration(report.latencyMs.p50)}${failures(report)}`,
    );
  }
}

/** One request in full, and who answers many. */
export async function throughEnvoy(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("A request from a pod to the Service");
  const answer = await request(stage.client.namespace, HTTP_URL);
  narrator.say(`$ curl -i ${HTTP_URL}\n${renderAnswer(answer)}`);
  narrator.claim(
    answer.status === 200 && "x-envoy-upstream-service-time" in answer.headers &&
      /^x-request-id: /m.test(answer.body),
    "answered by a pod, with the headers of the Envoy in between (x-envoy-…, x-request-id)",
  );
  narrator.claim(
    !/x-lightpath/i.test(answer.body),
    "the header that Envoy uses inside does not reach the pod",
  );
  const urls = [HTTP_URL, `h2c://${VIP.ipv4}/`, TCP_URL];
  if (stage.client.ipv6 !== undefined) urls.push(`http://[${VIP.ipv6}]/`);
  for (const url of urls) {
    const report = await startLoad(stage.client.namespace, { url, requests: ENOUGH, newConnections: true })
      .report();
    narrator.claim(
      report.failed === 0 && servedBy(report, BACKEND_NAMES),
      `${url}: ${counts(report.byBackend)}`,
    );
  }
  const fromNode = await startLoad(stage.lab.node, { url: HTTP_URL, requests: ENOUGH }).report();
  narrator.claim(
    fromNode.failed === 0 && servedBy(fromNode, BACKEND_NAMES),
    `from the node itself, one connection: ${counts(fromNode.byBackend)}`,
  );
}

/** An endpoint goes and comes back: first with nothing else to do for the machine, then while clients are at work. */
export async function endpointChange(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("An endpoint is removed and added, at rest and while clients are at work");
  for (const pods of [OTHERS, BACKEND_NAMES]) {
    await changeEndpoints(stage, narrator, { pods, when: "at rest" });
  }
  const loads = await startLoads(stage);
  for (const pods of [OTHERS, BACKEND_NAMES]) {
    await changeEndpoints(stage, narrator, { pods, when: "under load" });
    const report = await startLoad(stage.client.namespace, { url: HTTP_URL, requests: ENOUGH }).report();
    narrator.claim(servedBy(report, pods), `the next ${ENOUGH} requests: ${counts(report.byBackend)}`);
  }
  await reportLoads(loads, narrator);
}

const OTHERS: readonly string[] = BACKEND_NAMES.slice(0, -1);

/** Writes other endpoints into the manifest, and tells what that costs. */
async function changeEndpoints(
  stage: Stage,
  narrator: Narrator,
  { pods, when }: { readonly pods: readonly string[]; readonly when: string },
): Promise<void> {
  // The acts before used both ports over IPv4, and HTTP over IPv6: that is all that Envoy has to be told about.
  const inUse = stage.client.ipv6 === undefined ? 2 : 3;
  const before = await stage.agent.metrics();
  const sinceMs = await writeEndpoints(stage.manifests, pods);
  const takenMs = await stage.agent.endpointsTaken({ sinceMs, count: inUse }) - sinceMs;
  const after = await stage.agent.metrics();
  const sent = (name: string, labels: Readonly<Record<string, string>> = {}): number =>
    sumOf(after, name, labels) - sumOf(before, name, labels);
  const resources = sent("lightpath_xds_resources_sent_total");
  const endpoints = sent("lightpath_xds_resources_sent_total", { type: "ClusterLoadAssignment" });
  const what = `${BACKEND_NAMES.at(-1)} ${pods === BACKEND_NAMES ? "added" : "removed"}, ${when}`;
  narrator.claim(
    resources === inUse && resources === endpoints,
    `${what}: acknowledged by Envoy ${
      duration(takenMs)
    } after the file changed; sent over xDS: the endpoints of ` +
      `the ${resources} ports in use, ${sent("lightpath_xds_sent_bytes_total")} bytes; ` +
      `changes in the kernel: ${sent("lightpath_nft_elements_total")}`,
  );
}

/** The agent goes and comes back while clients are at work. */
export async function agentRestart(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("The agent is restarted while clients are at work");
  const rules = await stage.ruleset();
  const loads = await startLoads(stage);
  const code = await stage.agent.stop();
  const endedMs = Date.now();
  await sleep(1_000);
  const { agent } = await Agent.start(stage.lab.node, stage);
  stage.agent = agent;
  narrator.claim(
    code === 0,
    `the agent ended with code ${code}; for ${
      duration(Date.now() - endedMs)
    } there was none, then the next was ready`,
  );
  // Some more traffic after the change of hands.
  await sleep(1_000);
  await reportLoads(loads, narrator);
  const metrics = await agent.metrics();
  const resent = sumOf(metrics, "lightpath_xds_resources_sent_total");
  narrator.claim(
    resent === 0 && sumOf(metrics, "lightpath_connected_envoys") === 1,
    `Envoy is connected again, resources sent again: ${resent}`,
  );
  narrator.claim(
    sumOf(metrics, "lightpath_nft_elements_total", { action: "added" }) === 0 &&
      await stage.ruleset() === rules,
    "the kernel's table was read and found right: only the note was taken back that the last agent left at its end, of what Envoy " +
      "could carry alone",
  );
}

/** Envoy goes and comes back: what the acts before used is there before anybody connects. */
export async function envoyRestart(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("Envoy is restarted");
  const before = await stage.agent.metrics();
  const awayMs = await stage.restartEnvoy();
  const fed = await stage.agent.metrics();
  const clusters = { type: "Cluster" };
  const grown = (from: string, to: string, name: string): number =>
    sumOf(to, name, clusters) - sumOf(from, name, clusters);
  const given = grown(before, fed, "lightpath_xds_resources_sent_total");
  narrator.claim(
    given > 0,
    `killed, and ${
      duration(awayMs)
    } later the next one has the ${given} Clusters that were used before, and listens`,
  );
  const warmUpUrl = `http://${stage.backends[0]?.ipv4}:8080/`;
  for (const url of [HTTP_URL, TCP_URL]) {
    const report = await startLoad(stage.client.namespace, {
      url,
      warmUpUrl,
      requests: 20,
      newConnections: true,
    }).report();
    const [first = 0, second = 0] = report.firstMs;
    narrator.claim(
      report.failed === 0,
      `${url}: first connection ${duration(first)}, the next ${duration(second)}${failures(report)}`,
    );
  }
  const asked = grown(fed, await stage.agent.metrics(), "lightpath_xds_on_demand_requests_total");
  narrator.claim(asked === 0, `Clusters that Envoy had to ask for: ${asked}`);
}

/** What `lightpath cleanup` leaves. */
export async function removal(stage: Stage, narrator: Narrator): Promise<void> {
  narrator.chapter("Removing it");
  const code = await stage.agent.stop();
  await cleanUp(stage.lab.node);
  const left = (await stage.ruleset()).trim();
  narrator.claim(
    code === 0 && left === "",
    `after \`lightpath cleanup\` the node's ruleset is ${left === "" ? "empty" : `\n${left}`}`,
  );
}

async function startLoads(stage: Stage): Promise<readonly (readonly [string, LoadRun])[]> {
  const from = stage.client.namespace;
  const loads = [
    ["HTTP, 4 kept connections", startLoad(from, { url: HTTP_URL, connections: 4, pauseMs: 2 })],
    ["HTTP, a new connection each", startLoad(from, { url: HTTP_URL, newConnections: true, pauseMs: 2 })],
    ["TCP, a new connection each", startLoad(from, { url: TCP_URL, newConnections: true, pauseMs: 2 })],
  ] as const;
  for (const [, load] of loads) await load.started();
  return loads;
}

async function reportLoads(
  loads: readonly (readonly [string, LoadRun])[],
  narrator: Narrator,
): Promise<void> {
  for (const [name, load] of loads) {
    const report = await load.stop();
    narrator.claim(
      report.failed === 0 && report.requests > 0,
      `${name}: ${report.requests} requests, failed: ${report.failed}; half within ` +
        `${duration(report.latencyMs.p50)}, longest ${duration(report.latencyMs.max)}${failures(report)}`,
    );
  }
}

function servedBy(report: LoadReport, names: readonly string[]): boolean {
  const served = Object.keys(report.byBackend).sort();
  return served.length === names.length && served.every((name, i) => name === [...names].sort()[i]);
}

function failures(report: LoadReport): string {
  return report.failed === 0 ? "" : ` (errors: ${counts(report.errors)})`;
}

function renderAnswer(answer: Answer): string {
  return [
    `HTTP/1.1 ${answer.status}`,
    ...Object.entries(answer.headers).map(([name, value]) => `${name}: ${value}`),
    "",
    answer.body.trimEnd(),
  ].join("\n");
}

function sleep(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
