/**
 * Measures how long a built program takes to start.
 *
 * In: the words that run it. Out: medians of some runs: until `version` and `bootstrap` have printed, and until an agent has read the
 * manifests in examples/, in a network of its own and with nothing else there.
 * @module
 */
import { fromFileUrl } from "@std/path/from-file-url";
import { Namespace, namespacesUnavailable } from "../lab/mod.ts";
import { print } from "./options.ts";

const RUNS = 5;
const EXAMPLES = fromFileUrl(new URL("../../examples/whoami", import.meta.url));
/** In the lab's own /run, and where the program may read. */
const MANIFESTS = "/run/lightpath/manifests";

/** In milliseconds; undefined where it cannot be measured. */
export interface Measured {
  readonly versionMs: number;
  readonly bootstrapMs: number;
  readonly servesMs: number | undefined;
}

/** @throws {Error} with what the program said, when it fails */
export async function measureProgram(
  command: readonly string[],
  { env = {} }: { readonly env?: Readonly<Record<string, string>> } = {},
): Promise<Measured> {
  const versionMs = await median(() => runToEnd([...command, "version"], env));
  const bootstrapMs = await median(() => runToEnd([...command, "bootstrap", "--node-name=node-1"], env));
  if (await namespacesUnavailable() !== undefined) return { versionMs, bootstrapMs, servesMs: undefined };
  await using node = await Namespace.create({ name: "node" });
  await node.run(["sh", "-c", `mkdir -p /run/lightpath && cp -r '${EXAMPLES}' ${MANIFESTS}`]);
  return { versionMs, bootstrapMs, servesMs: await median(() => untilServed(node, command, env)) };
}

/** Prints what was measured. */
export function renderMeasured(path: string, sizeBytes: number, measured: Measured): void {
  const ms = (value: number): string => `${Math.round(value)} ms`;
  const { versionMs, bootstrapMs, servesMs } = measured;
  const lines = [
    `${path}: ${(sizeBytes / 1e6).toFixed(1)} MB`,
    `lightpath version: ${ms(versionMs)}; bootstrap: ${ms(bootstrapMs)}`,
    servesMs === undefined
      ? "an agent's start cannot be measured on this machine, which allows no network namespaces"
      : `lightpath agent: ${ms(servesMs)} until it has read examples/whoami`,
  ];
  print(Deno.stdout, `${lines.join("\n")}\n`);
}

async function runToEnd(
  [program = "", ...args]: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, { args, env: { ...env }, stdout: "null" })
    .output();
  if (!success) throw new Error(`${[program, ...args].join(" ")}: ${new TextDecoder().decode(stderr)}`);
}

async function untilServed(
  node: Namespace,
  command: readonly string[],
  env: Readonly<Record<string, string>>,
): Promise<() => Promise<void>> {
  const flags = [
    `--manifests=${MANIFESTS}`,
    "--node-name=node-1",
    "--envoy=external",
    "--redirect=none",
    "--state-dir=",
    "--log-level=debug",
  ];
  const agent = node.spawn([...command, "agent", ...flags], { env });
  await agent.waitForLine(/endpointSlices=[1-9]/);
  return async () => {
    await agent.kill("SIGKILL");
    await agent.status;
  };
}

/** @param run What is measured; returns what is to be done after it, which is not. */
async function median(run: () => Promise<void | (() => Promise<void>)>): Promise<number> {
  const times: number[] = [];
  for (let index = 0; index < RUNS; index++) {
    const beganMs = performance.now();
    const finish = await run();
    times.push(performance.now() - beganMs);
    await finish?.();
  }
  return times.sort((a, b) => a - b)[RUNS >> 1] ?? NaN;
}
