/**
 * The real program as a child process on loopback, without a namespace: its log, its health, its metrics.
 * @module
 */
import { sumOf } from "../../scripts/demo/metrics_text.ts";
import { freePorts } from "../../scripts/lab/control_plane.ts";
import { LIGHTPATH } from "./lightpath_process.ts";

/** A running `lightpath agent` or `lightpath webhook`. */
export interface LoopbackProgram extends AsyncDisposable {
  /** What it has written to standard error. */
  log(): string;
  /** The sum of a metric's samples that have these labels. */
  metric(name: string, labels?: Readonly<Record<string, string>>): Promise<number>;
  /** The first condition that is not met, with its reason; empty when ready. */
  ready(): Promise<string>;
  /** Asks it to end. @returns Its exit code */
  end(): Promise<number>;
  /** Kills it. */
  kill(): Promise<void>;
}

/** Starts one. `command` is the name of the command with its flags; health and metrics are added. */
export function startLoopbackProgram(
  command: readonly string[],
  { env = {}, program: [program = "", ...args] = LIGHTPATH }: {
    readonly env?: Readonly<Record<string, string>>;
    /** The program with all that stands before the command. */
    readonly program?: readonly string[];
  } = {},
): LoopbackProgram {
  const [healthPort, metricsPort] = freePorts(2);
  const child = new Deno.Command(program, {
    args: [
      ...args,
      ...command,
      `--healthz-bind-address=127.0.0.1:${healthPort}`,
      `--metrics-bind-address=127.0.0.1:${metricsPort}`,
    ],
    env: { ...env },
    stdin: "null",
    stdout: "null",
    stderr: "piped",
  }).spawn();
  let log = "";
  const reading = (async () => {
    for await (const text of child.stderr.pipeThrough(new TextDecoderStream())) log += text;
  })();
  const sent = new Set<Deno.Signal>();
  let ended = false;
  child.status.then(() => ended = true);
  const end = async (signal: Deno.Signal): Promise<number> => {
    // A second SIGTERM would end it at once.
    if (!ended && !sent.has(signal)) child.kill(signal);
    sent.add(signal);
    await reading;
    return (await child.status).code;
  };
  return {
    log: () => log,
    metric: async (name, labels = {}) => {
      const response = await fetch(`http://127.0.0.1:${metricsPort}/metrics`);
      return sumOf(await response.text(), name, labels);
    },
    ready: async () => {
      const response = await fetch(`http://127.0.0.1:${healthPort}/readyz`).catch(() => undefined);
      if (response === undefined) return "nobody listens";
      const { conditions } = await response.json() as {
        conditions: readonly { name: string; ok: boolean; reason?: string }[];
      };
      const unmet = conditions.find(({ ok }) => !ok);
      return unmet === undefined ? "" : `${unmet.name}: ${unmet.reason}`;
    },
    end: () => end("SIGTERM"),
    kill: async () => void await end("SIGKILL"),
    [Symbol.asyncDispose]: async () => void await end("SIGTERM"),
  };
}
