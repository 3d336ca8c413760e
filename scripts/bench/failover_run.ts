/**
 * One fault of `bench failover`: clients run, something ends, something comes back.
 *
 * In: how many Services. Out: figures of each fault.
 * @module
 */
import { delay } from "@std/async/delay";
import type { RunningAgent } from "../../commands/testing/lightpath_process.ts";
import { service, slice } from "../../commands/testing/manifests.ts";
import { fixtureUnavailable, NodeFixture } from "../../commands/testing/node_fixture.ts";
import { type LoadReport, startLoad } from "../lab/mod.ts";
import type { FailoverFigure, Fault } from "./failover.ts";
import type { Figures } from "./figures.ts";

const VIP = "10.96.0.10";
/** Before the fault, and after the last recovery. */
const CALM_MS = 500;
const NOBODY_IS_THERE_MS = 2_000;
const LONGEST_MS = 30_000;
/** Clients side by side, HTTP and TCP; each has one request under way at a time. */
const CLIENTS = [`http://${VIP}/`, `http://${VIP}/`, `tcp://${VIP}:9000`, `tcp://${VIP}:9000`];

/** Who met nobody tries again after a second, when Envoy may be back: too late to see who served in between. */
const ASK_AGAIN_MS = 200;

/** A node whose agent runs, with an Envoy that serves. */
export class FailoverStage implements AsyncDisposable {
  readonly #fixture: NodeFixture;
  #agent: RunningAgent;

  private constructor(fixture: NodeFixture, agent: RunningAgent) {
    this.#fixture = fixture;
    this.#agent = agent;
  }

  /** @throws {Error} where namespaces, nft or Envoy lack */
  static async create(services: number): Promise<FailoverStage> {
    const lacking = fixtureUnavailable.find((reason) => reason !== undefined);
    if (lacking !== undefined) throw new Error(`cannot measure here: ${lacking}`);
    await using made = new AsyncDisposableStack();
    const fixture = made.use(await NodeFixture.create());
    const ports = [{ name: "http", port: 80 }, { name: "echo", port: 9000 }];
    const endpointPorts = [{ name: "http", port: 8080 }, { name: "echo", port: 9000 }];
    const endpoints = { addresses: fixture.addresses("ipv4"), ports: endpointPorts };
    const objects = [service("asked", { clusterIPs: [VIP], ports }), slice("asked", endpoints)];
    for (let index = 2; index < services; index++) {
      const name = `other-${index}`;
      const address = `10.97.${index >> 8}.${index & 255}`;
      objects.push(service(name, { clusterIPs: [address], ports }), slice(name, endpoints));
    }
    await fixture.manifests.write("services.yaml", objects);
    const stage = new FailoverStage(fixture, await fixture.startAgent().ready());
    await stage.#until(true);
    made.move();
    return stage;
  }

  /** Makes the fault while clients run. @throws {Error} when the node does not recover */
  async measure(fault: Fault): Promise<Figures<FailoverFigure>> {
    const runs = CLIENTS.map((url) =>
      startLoad(this.#fixture.client.namespace, { url, newConnections: true, pauseMs: 2 })
    );
    await Promise.all(runs.map((run) => run.started()));
    await delay(CALM_MS);
    const startMs = performance.now();
    await this.#make(fault);
    const takeoverMs = await this.#until(false) - startMs;
    if (fault === "both") await delay(NOBODY_IS_THERE_MS);
    if (fault !== "envoy") this.#agent = this.#fixture.startAgent();
    const backMs = await this.#until(true) - startMs;
    await delay(CALM_MS);
    const reports = await Promise.all(runs.map((run) => run.stop()));
    return { ...count(reports), takeoverMs, backMs };
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#agent.stop();
    await this.#fixture[Symbol.asyncDispose]();
  }

  async #make(fault: Fault): Promise<void> {
    switch (fault) {
      case "envoy":
        await this.#fixture.killEnvoy();
        return;
      case "agentEnds":
        await this.#agent.stop();
        return;
      case "both":
        await this.#agent.kill();
        return;
      default:
        fault satisfies never;
    }
  }

  /** Asks until connections go through Envoy, or do not. Returns when that was. */
  async #until(throughEnvoy: boolean): Promise<number> {
    const startMs = performance.now();
    const ask = (): Promise<unknown> =>
      this.#fixture.pod.isThroughEnvoy(`${VIP}:80`, { timeoutMs: ASK_AGAIN_MS });
    while (await ask() !== throughEnvoy) {
      if (performance.now() - startMs > LONGEST_MS) {
        throw new Error(`the node does not recover:\n${this.#agent.process.recentOutput()}`);
      }
      await delay(1);
    }
    return performance.now();
  }
}

/** What happened to requests: those that Envoy took along are told from those that never had a chance. */
function count(
  reports: readonly LoadReport[],
): Required<Pick<Figures<FailoverFigure>, "requests" | "failed" | "inFlight" | "longestMs">> {
  let requests = 0;
  let failed = 0;
  let inFlight = 0;
  for (const report of reports) {
    requests += report.requests;
    for (const [error, times] of Object.entries(report.errors)) {
      if (/refused|timed? ?out|abort/i.test(error)) failed += times;
      else inFlight += times;
    }
  }
  return {
    requests,
    failed,
    inFlight,
    longestMs: Math.max(...reports.map(({ latencyMs }) => latencyMs.max)),
  };
}
