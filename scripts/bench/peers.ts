/**
 * `deno task bench peers`: Lightpath beside kube-proxy, one after the other on the same node and the same objects.
 *
 * In: flags. Out: a table per peer and one of ratios, with `--json` one line for machines at the end, and a file in
 * `.lightpath/bench/`. The API server is a real one, with its etcd.
 * @module
 */
import { parseArgs } from "node:util";
import { delay } from "@std/async/delay";
import { VantagePoint } from "../../commands/testing/vantage_point.ts";
import { progress } from "../tool_path.ts";
import { type Figures, ratiosToFirst, renderComparison, renderTable, summarize, toJson } from "./figures.ts";
import { NodeStage } from "./node_stage.ts";
import { parseCount } from "./options.ts";
import { PEER_NAMES, type PeerName } from "./peer_names.ts";
import { preparePeers } from "./peer_programs.ts";
import { measurePeer, PEER_FIGURES, type PeerEffort, type PeerFigure } from "./peer_run.ts";
import { findPrograms } from "./programs.ts";
import { describeMachine, RESULTS_FOLDER, writeResult } from "./results.ts";
import { MAX_SERVICES } from "./world.ts";
import { Generations } from "./world_host.ts";

/** What it says about itself. */
export const PEERS_USAGE =
  `deno task bench peers --services N [--repetitions R] [--only PEER] [--quick] [--results DIR] [--json]

  --services N      Services in the cluster, two endpoints each; 100 of them are used by this node
  --repetitions R   how often each is measured, from nothing on (default 1)
  --only PEER       lightpath, "kube-proxy nftables" or "kube-proxy iptables"; may be repeated (default all)
  --quick           looks at everything, but too briefly for good figures
  --results DIR     where the result is written (default .lightpath/bench)
  --json            ends with one line of JSON
`;

const FULL_EFFORT: PeerEffort = {
  changes: 20,
  warmUpChanges: 2,
  changesMs: 120_000,
  pauseMs: 5_000,
  idleMs: 10_000,
  steadySeconds: 10,
};
const QUICK_EFFORT: PeerEffort = {
  changes: 2,
  warmUpChanges: 2,
  changesMs: 120_000,
  pauseMs: 500,
  idleMs: 500,
  steadySeconds: 1,
};

/** The command line, read. */
export interface PeersOptions {
  readonly services: number;
  readonly repetitions: number;
  readonly only: readonly PeerName[];
  readonly quick: boolean;
  readonly results: string;
  readonly json: boolean;
}

/** Reads the command line. @throws {TypeError} with a sentence for whoever typed it */
export function parsePeersOptions(args: readonly string[]): PeersOptions {
  const { values } = parseArgs({
    args: [...args],
    options: {
      services: { type: "string" },
      repetitions: { type: "string", default: "1" },
      only: { type: "string", multiple: true, default: [] },
      quick: { type: "boolean", default: false },
      results: { type: "string", default: RESULTS_FOLDER },
      json: { type: "boolean", default: false },
    },
  });
  for (const name of values.only) {
    if (PEER_NAMES.some((known) => known === name)) continue;
    throw new TypeError(`--only is "${name}": wanted one of ${PEER_NAMES.join(", ")}`);
  }
  return {
    services: parseCount("--services", values.services, { max: MAX_SERVICES }),
    repetitions: parseCount("--repetitions", values.repetitions, { max: 100 }),
    only: values.only.length === 0 ? PEER_NAMES : PEER_NAMES.filter((name) => values.only.includes(name)),
    quick: values.quick,
    results: values.results,
    json: values.json,
  };
}

/**
 * Compares, and writes what it found through `print`.
 * @throws {Error} When the machine lacks something, or one of the programs does not work.
 */
export async function runPeers(args: readonly string[], print: (text: string) => void): Promise<void> {
  const options = parsePeersOptions(args);
  const { services } = options;
  const programs = await findPrograms("api");
  const machine = describeMachine();
  const each = new Map<PeerName, Figures<PeerFigure>[]>();
  {
    progress(`${services} Services: preparing`);
    await using stage = await NodeStage.create({
      ...{ services, mode: "on-demand", source: "api", programs },
      denoFlags: [],
      onProgress: progress,
    });
    const peers = await preparePeers(stage.dir);
    const client = await VantagePoint.create(stage.client.namespace, stage.dir);
    const effort = options.quick ? QUICK_EFFORT : FULL_EFFORT;
    const generations = new Generations();
    for (const name of options.only) {
      for (let number = 1; number <= options.repetitions; number++) {
        // Let the API server finish with what was before: objects just made, a peer that just ended.
        await delay(effort.pauseMs);
        progress(`${name}, repetition ${number} of ${options.repetitions}`);
        const figures = await measurePeer(name, stage, { programs: peers, client, effort, generations });
        each.set(name, [...each.get(name) ?? [], figures]);
      }
    }
  }
  const summaries = new Map([...each].map(([name, found]) => [name, summarize(PEER_FIGURES, found)]));
  for (const [name, summary] of summaries) {
    print(`${name}\n${renderTable(PEER_FIGURES, summary, { services })}\n`);
  }
  print(renderComparison(PEER_FIGURES, summaries));
  const result = {
    bench: "peers",
    services,
    repetitions: options.repetitions,
    quick: options.quick,
    peers: Object.fromEntries([...summaries].map(([name, summary]) => [name, toJson(summary)])),
    ratios: ratiosToFirst(PEER_FIGURES, summaries),
    machine,
  };
  const file = await writeResult(options.results, `peers-${services}`, {
    ...result,
    each: Object.fromEntries(each),
  });
  progress(`every repetition is in ${file}`);
  if (options.json) print(`${JSON.stringify(result)}\n`);
}
