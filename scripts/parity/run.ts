/**
 * Runs the table against one proxy.
 *
 * In: a proxy's name, scenarios. Out: a verdict for each row.
 * Invariants: all Services exist at once and the proxy programs them once; each row is asked once, all rows side by side.
 * @module
 */
import { delay } from "@std/async/delay";
import type { Attempt } from "../lab/mod.ts";
import type { Row, Scenario } from "./case.ts";
import { type Departure, departureOf } from "./departures.ts";
import { faultOf } from "./judge.ts";
import { objectsOf } from "./objects.ts";
import { findTools, type IptablesVariant, type ProxyName, type RunningProxy, startProxy } from "./proxies.ts";
import { rowsOf } from "./rows.ts";
import { Stage } from "./stage.ts";

/** How long a proxy may take until it has programmed everything. */
const PROGRAMMED_MS = 60_000;

/** What came of a row. */
export interface Verdict {
  readonly row: Row;
  /** As far as this proxy is to do otherwise than the table says, or does not do it yet. */
  readonly departure: Departure | undefined;
  /** What is wrong; undefined when nothing is. */
  readonly fault: string | undefined;
  /**
   * `failed` is a row that has to hold and does not, or one that holds though it is called pending: then the note has to
   * go. `different` holds as the departure says.
   */
  readonly state: "passed" | "different" | "pending" | "failed";
}

/** What a run asks. */
export interface RunOptions {
  readonly proxy: ProxyName;
  /** @default "iptables-nft" */
  readonly iptables?: IptablesVariant | undefined;
  readonly scenarios: readonly Scenario[];
  /** Which rows are asked; all are programmed. @default all */
  readonly select?: (row: Row) => boolean;
  readonly onProgress?: (line: string) => void;
}

/** Runs it. @throws {Error} When the lab or the proxy does not come up, with the proxy's last words */
export async function runTable(options: RunOptions): Promise<Verdict[]> {
  const { proxy, iptables, scenarios, select = () => true, onProgress = () => {} } = options;
  const startMs = performance.now();
  const sayTime = (what: string): void =>
    onProgress(`${proxy}: ${what} after ${((performance.now() - startMs) / 1000).toFixed(1)} s`);
  const all = rowsOf(scenarios);
  const tools = await findTools(proxy, iptables);
  await using stage = await Stage.create({ nft: tools.path("nft") });
  sayTime("the lab is there");
  await using running = await startProxy(proxy, { stage, tools }, scenarios.flatMap(objectsOf));
  sayTime("the proxy is started");
  await programmed(stage, running, all.filter(isFirstSign));
  sayTime("everything is programmed");
  const rows = all.filter(select);
  const attempts = await stage.ask(rows);
  sayTime(`${rows.length} rows are asked`);
  return rows.map((row) => judge(row, departureOf(row, proxy), attempts.get(row) ?? []));
}

function judge(row: Row, departure: Departure | undefined, attempts: readonly Attempt[]): Verdict {
  const fault = faultOf(row, attempts);
  if (departure === undefined) {
    return { row, departure, fault, state: fault === undefined ? "passed" : "failed" };
  }
  const { kind, expect, reason } = departure;
  if (kind === "pending" && fault === undefined) {
    return { row, departure, fault: `holds, but is called pending: ${reason}`, state: "failed" };
  }
  if (expect === undefined) return { row, departure, fault, state: "pending" };
  const otherFault = faultOf({ ...row, expect }, attempts);
  return { row, departure, fault: otherFault ?? fault, state: otherFault === undefined ? kind : "failed" };
}

/** That these answer says that a node has programmed a family: everything goes to the kernel at once. */
function isFirstSign({ scenario, from, to, speech }: Row): boolean {
  return scenario === "cluster-ip" && from.startsWith("pod-") && to.kind === "ClusterIP" &&
    to.port === undefined && speech === "tcp";
}

async function programmed(stage: Stage, proxy: RunningProxy, signs: readonly Row[]): Promise<void> {
  let ended = false;
  for (const process of proxy.processes) process.status.then(() => ended = true);
  const deadlineMs = performance.now() + PROGRAMMED_MS;
  const once: Row[] = signs.map((row) => ({ ...row, expect: { kind: "dropped" } }));
  for (;;) {
    const attempts = [...(await stage.ask(once)).values()].flat();
    if (attempts.every(({ outcome }) => outcome === "answered")) return;
    if (ended || performance.now() > deadlineMs) {
      const words = proxy.processes.map((process) => process.recentOutput()).join("\n");
      throw new Error(`${ended ? "the proxy ended" : "nothing was programmed"}; its last words:\n${words}`);
    }
    await delay(200);
  }
}
