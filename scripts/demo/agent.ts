/**
 * The agent and its Envoy in the demo's node: started, stopped, asked for figures.
 *
 * In: a node's namespace, a folder of manifests, Envoy's binary.
 * Out: handles; what the agent logged, as values; its metrics.
 * The two are separate processes here (`--envoy external`), as two containers of a pod would be: so the agent can be
 * restarted alone. Both use their default sockets, in /run/lightpath of the node's own /run.
 * @module
 */

import { lightpathCommand } from "../lightpath_command.ts";
import { type LabProcess, type Namespace, request } from "../lab/mod.ts";

const ENVOY_CONFIG = "/run/lightpath/envoy.json";
const LIGHTPATH = lightpathCommand();

/** A line of the agent's log. */
export interface LogLine {
  readonly timeMs: number;
  readonly level: string;
  readonly message: string;
  readonly fields: Readonly<Record<string, unknown>>;
}

/** A running agent. */
export class Agent {
  readonly #node: Namespace;
  readonly #process: LabProcess;
  readonly #lines: LogLine[] = [];

  private constructor(node: Namespace, manifests: string) {
    this.#node = node;
    const flags = [
      `--manifests=${manifests}`,
      "--node-name=demo-node",
      "--envoy=external",
      // In the node's own /run: nothing on the machine is changed.
      "--state-dir=/run/lightpath",
    ];
    this.#process = node.spawn([...LIGHTPATH, "agent", ...flags, "--log-level=debug", "--log-format=json"], {
      onLine: (line) => this.#read(line),
    });
  }

  /**
   * Starts an agent and waits until its /readyz says so.
   * @returns It, and the time that took.
   * @throws {Error} When that does not come; the message holds the reasons and what the agent logged.
   */
  static async start(
    node: Namespace,
    options: { readonly manifests: string; readonly envoy: LabProcess },
  ): Promise<{ readonly agent: Agent; readonly readyMs: number }> {
    const agent = new Agent(node, options.manifests);
    const startMs = Date.now();
    const waiter = node.spawn([Deno.execPath(), "eval", "--no-config", WAIT_UNTIL_READY]);
    const ended = [agent.#process, options.envoy].map((process) =>
      process.status.then(() => "ended" as const)
    );
    const outcome = await Promise.race([waiter.status, ...ended]);
    if (outcome === "ended" || outcome.code !== 0) {
      await waiter.stop();
      throw new Error(
        `the agent did not become ready: ${waiter.recentOutput()}\n` +
          [agent.#process, options.envoy].map((process) =>
            `${process.title} said:\n${process.recentOutput()}`
          )
            .join("\n"),
      );
    }
    return { agent, readyMs: Date.now() - startMs };
  }

  /** Everything logged so far. */
  get lines(): readonly LogLine[] {
    return this.#lines;
  }

  /**
   * Waits until Envoy has taken new endpoints for so many ServicePorts.
   * @returns When it took the last of them, in milliseconds since the epoch.
   */
  async endpointsTaken(options: { readonly sinceMs: number; readonly count: number }): Promise<number> {
    const taken = new Set<string>();
    return await this.#taken("ClusterLoadAssignment", options.sinceMs, ({ fields }) => {
      for (const name of String(fields["resources"]).split(" ")) taken.add(name);
      return taken.size >= options.count;
    });
  }

  /**
   * Waits until an Envoy that has just started has all it needs to listen.
   * @returns When it said so, in milliseconds since the epoch.
   */
  async listenersTaken({ sinceMs }: { readonly sinceMs: number }): Promise<number> {
    return await this.#taken("Listener", sinceMs, () => true);
  }

  /** Waits for Envoy to take responses of a type until one of them, of which each is shown once, is the last. */
  async #taken(type: string, sinceMs: number, isLast: (line: LogLine) => boolean): Promise<number> {
    const deadlineMs = Date.now() + 10_000;
    for (let next = 0;;) {
      for (; next < this.#lines.length; next++) {
        const line = this.#lines[next]!;
        if (line.timeMs < sinceMs || line.message !== "response taken" || line.fields["type"] !== type) {
          continue;
        }
        if (isLast(line)) return line.timeMs;
      }
      if (Date.now() > deadlineMs) {
        throw new Error(`Envoy did not take what it was sent (${type}):\n${this.#process.recentOutput()}`);
      }
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
  }

  /** What /metrics says. */
  async metrics(): Promise<string> {
    return (await request(this.#node, "http://127.0.0.1:10249/metrics")).body;
  }

  /** Ends it as a kubelet would. @returns Its exit code. */
  async stop(): Promise<number> {
    return (await this.#process.stop({ graceMs: 15_000 })).code;
  }

  #read(line: string): void {
    if (!line.startsWith("{")) return;
    const { time, level, message, ...fields } = JSON.parse(line) as Record<string, unknown>;
    this.#lines.push({
      timeMs: Date.parse(String(time)),
      level: String(level),
      message: String(message),
      fields,
    });
  }
}

const WAIT_UNTIL_READY = `const deadline = Date.now() + 60_000;
for (;;) {
  let reason;
  try {
    const response = await fetch("http://127.0.0.1:10256/readyz", { signal: AbortSignal.timeout(2_000) });
    reason = await response.text();
    if (response.ok) Deno.exit(0);
  } catch (error) {
    reason = String(error);
  }
  if (Date.now() > deadline) {
    await Deno.stderr.write(new TextEncoder().encode(reason));
    Deno.exit(1);
  }
  await new Promise((resolve) => setTimeout(resolve, 10));
}`;

/** Starts Envoy with the constant configuration that `lightpath bootstrap` writes. */
export async function startEnvoy(node: Namespace, options: { readonly binary: string }): Promise<LabProcess> {
  await node.run(["mkdir", "-p", "-m", "700", "/run/lightpath"]);
  await node.run([
    ...LIGHTPATH,
    "bootstrap",
    "--node-name=demo-node",
    "--format=json",
    `--output=${ENVOY_CONFIG}`,
  ]);
  return startEnvoyAgain(node, options);
}

/** Starts Envoy with the configuration that is there already. */
export function startEnvoyAgain(node: Namespace, options: { readonly binary: string }): LabProcess {
  const flags = ["-c", ENVOY_CONFIG, "-l", "warning", "--concurrency", "2", "--disable-hot-restart"];
  return node.spawn([options.binary, ...flags]);
}

/** Runs `lightpath cleanup` in the node. */
export async function cleanUp(node: Namespace): Promise<void> {
  await node.run([...LIGHTPATH, "cleanup"]);
}

/** The command line that starts Lightpath in the node, for a person at a shell. */
export function commandToTry(node: Namespace, ...args: string[]): string {
  return node.enter([...LIGHTPATH, ...args]).join(" ");
}
