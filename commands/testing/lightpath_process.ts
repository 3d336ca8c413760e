/**
 * The real program as a child process in a namespace: its log as values, its health and its metrics.
 * @module
 */
import type { ExecResult, LabProcess, Namespace } from "../../scripts/lab/mod.ts";
import { lightpathCommand } from "../../scripts/lightpath_command.ts";
import { sumOf } from "../../scripts/demo/metrics_text.ts";
import type { ProbeResult } from "./prober.ts";
import { until } from "./until.ts";
import type { VantagePoint } from "./vantage_point.ts";

/**
 * How the program is started where nothing can be fetched: from the checkout, unless `PROGRAM_UNDER_TEST` names an executable
 * (`deno task bundle --folder / …`, `deno task compile --folder / …`).
 */
export const LIGHTPATH: readonly string[] = programUnderTest();

/** A command that has not ended by itself after so many seconds is killed, and its code is 137. */
const LONGEST_RUN_S = "20";

/** Runs a command of Lightpath to its end. `prefix` are words in front, e.g. to give up a capability. */
export async function runLightpath(
  node: Namespace,
  args: readonly string[],
  options: { readonly prefix?: readonly string[]; readonly env?: Readonly<Record<string, string>> } = {},
): Promise<ExecResult> {
  const bounded = ["timeout", "--signal=KILL", LONGEST_RUN_S, ...options.prefix ?? [], ...LIGHTPATH, ...args];
  return await node.exec(bounded, { env: options.env ?? {} });
}

/**
 * The one sentence with which a command said why it could not do its work.
 * @throws {Error} When it ended otherwise: with another code than 1, with more or less than one line at level error, or
 * with a stack.
 */
export function operatorSentence({ code, stdout, stderr }: ExecResult): string {
  const lines = stderr.trimEnd().split("\n");
  const errors = lines.flatMap((line) => /^\S+ ERROR (.*)$/.exec(line)?.[1] ?? []);
  const [sentence] = errors;
  if (
    code !== 1 || stdout !== "" || sentence === undefined || errors.length > 1 ||
    lines.some((line) => !/^\d{4}-\S+ (?:INFO|WARN|ERROR)/.test(line)) ||
    /please report|\\n| at file:/.test(sentence)
  ) {
    throw new Error(`ended with code ${code}, not with one sentence:\n${stdout}${stderr}`);
  }
  return sentence;
}

/** A line of the log. */
export interface LoggedLine {
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** What `/readyz` says. */
export interface ReadyAnswer {
  readonly ready: boolean;
  /** Of conditions that are not met, by name. */
  readonly reasons: Readonly<Record<string, string>>;
}

/** A running `lightpath agent` with health and metrics at their default addresses. */
export class RunningAgent {
  readonly process: LabProcess;
  readonly log: LoggedLine[] = [];
  /** What its Envoy wrote of requests and connections. */
  readonly accessLog: Readonly<Record<string, unknown>>[] = [];
  readonly #from: VantagePoint;

  /**
   * @param from A vantage point on the agent's node.
   * @param command What runs the agent, up to its flags.
   */
  constructor(from: VantagePoint, flags: readonly string[], command = [...LIGHTPATH, "agent"]) {
    this.#from = from;
    this.process = from.namespace.spawn([...command, "--log-format=json", ...flags], {
      onLine: (line, stream) => {
        if (!line.startsWith("{")) return;
        if (stream === "stderr") this.#read(line);
        else this.accessLog.push(JSON.parse(line));
      },
    });
  }

  /** What `/readyz` answers; not ready while nobody listens. */
  async readyz(): Promise<ReadyAnswer> {
    const { outcome, status, body } = await this.#from.http("127.0.0.1:10256", { path: "/readyz" });
    if (outcome !== "answered") return { ready: false, reasons: { health: outcome } };
    const report = JSON.parse(body) as {
      ready: boolean;
      conditions: readonly { name: string; ok: boolean; reason?: string }[];
    };
    if (report.ready !== (status === 200)) throw new Error(`/readyz: status ${status} with ${body}`);
    const unmet = report.conditions.filter(({ ok }) => !ok);
    return {
      ready: report.ready,
      reasons: Object.fromEntries(unmet.map((one) => [one.name, one.reason ?? ""])),
    };
  }

  /** Waits until it is ready. @throws {Error} with the reasons and the log when it ends or takes too long */
  async ready(): Promise<this> {
    let ended = false;
    this.process.status.then(() => ended = true);
    try {
      await until("readiness", async () => ended ? { ready: false, reasons: {} } : await this.readyz(), {
        wanted: ({ ready }) => ready || ended,
      });
    } catch (error) {
      throw new Error(`${String(error)}\n${this.process.recentOutput()}`, { cause: error });
    }
    if (ended) throw new Error(`the agent ended:\n${this.process.recentOutput()}`);
    return this;
  }

  /** The sum of a metric's samples that have these labels. */
  async metric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const { body } = await this.#from.http("127.0.0.1:10249", { path: "/metrics" });
    return sumOf(body, name, labels);
  }

  /** The same of Envoy's statistics, as the agent passes them on. */
  async envoyMetric(name: string, labels: Readonly<Record<string, string>> = {}): Promise<number> {
    const { body } = await this.envoyStatistics();
    return sumOf(body, name, labels);
  }

  /** What it says when it is asked for them. */
  async envoyStatistics(): Promise<ProbeResult> {
    return await this.#from.http("127.0.0.1:10249", { path: "/metrics/envoy" });
  }

  /** Waits until a line is logged whose message or fields match. */
  async logged(pattern: RegExp): Promise<LoggedLine> {
    const text = (line: LoggedLine): string => `${line.message} ${JSON.stringify(line.fields)}`;
    try {
      await until(String(pattern), () => this.log.length, {
        wanted: () => this.log.some((line) => pattern.test(text(line))),
        timeoutMs: 10_000,
      });
    } catch (error) {
      throw new Error(`${String(error)}\n${this.process.recentOutput()}`, { cause: error });
    }
    return this.log.find((line) => pattern.test(text(line)))!;
  }

  /** The lines whose message or fields match. */
  lines(pattern: RegExp): LoggedLine[] {
    return this.log.filter((line) => pattern.test(`${line.message} ${JSON.stringify(line.fields)}`));
  }

  /** Ends it as a kubelet would. @returns Its exit code. */
  async stop(): Promise<number> {
    return (await this.process.stop({ graceMs: 15_000 })).code;
  }

  /** Kills it. */
  async kill(): Promise<void> {
    await this.process.kill("SIGKILL");
    await this.process.status;
  }

  #read(line: string): void {
    const { time: _time, level, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
    this.log.push({ level: String(level), message: String(message), fields });
  }
}

function programUnderTest(): readonly string[] {
  const executable = Deno.env.get("PROGRAM_UNDER_TEST");
  return executable === undefined ? lightpathCommand() : [executable];
}
