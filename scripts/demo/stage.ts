/**
 * Where the demo plays: a node with three echo servers and a client as pods, a folder of manifests, Envoy, the agent.
 *
 * In: the programs' paths. Out: all of it running; disposing it ends and removes all of it.
 * Invariant: nothing of it is on the host but processes and one temporary folder.
 * @module
 */

import { join } from "@std/path/join";
import { Lab, type LabProcess, type Pod, startEchoServerIn } from "../lab/mod.ts";
import { Agent, startEnvoy, startEnvoyAgain } from "./agent.ts";
import { copyExample } from "./manifests.ts";

/** The pods of examples/whoami/endpointslice.yaml: their names and the last part of their addresses. */
const BACKENDS = [{ name: "pod-1", host: 11 }, { name: "pod-2", host: 12 }, {
  name: "pod-3",
  host: 13,
}] as const;

/** The names of the pods behind the Service. */
export const BACKEND_NAMES: readonly string[] = BACKENDS.map(({ name }) => name);

/** The VIPs of examples/whoami/service.yaml. */
export const VIP = { ipv4: "10.96.0.10", ipv6: "fd00:10:96::10" } as const;

/** The scene; see the module's comment. */
export class Stage implements AsyncDisposable {
  readonly lab: Lab;
  readonly client: Pod;
  readonly backends: readonly Pod[];
  readonly manifests: string;
  envoy: LabProcess;
  agent: Agent;
  /** From the agent's start until it was ready for the first time. */
  readonly readyMs: number;
  readonly #envoyBinary: string;

  private constructor(parts: {
    readonly lab: Lab;
    readonly client: Pod;
    readonly backends: readonly Pod[];
    readonly manifests: string;
    readonly envoy: LabProcess;
    readonly envoyBinary: string;
    readonly started: { readonly agent: Agent; readonly readyMs: number };
  }) {
    this.lab = parts.lab;
    this.client = parts.client;
    this.backends = parts.backends;
    this.manifests = parts.manifests;
    this.envoy = parts.envoy;
    this.#envoyBinary = parts.envoyBinary;
    this.agent = parts.started.agent;
    this.readyMs = parts.started.readyMs;
  }

  /** @param options `envoy` is the binary's path. */
  static async create(options: { readonly envoy: string }): Promise<Stage> {
    const manifests = await Deno.makeTempDir({ prefix: "lightpath-demo-" });
    let lab: Lab | undefined;
    try {
      await copyExample(manifests);
      lab = await Lab.create();
      const backends: Pod[] = [];
      for (const backend of BACKENDS) backends.push(await lab.addPod(backend));
      const client = await lab.addPod({ name: "client", host: 100 });
      await Promise.all(backends.map(({ name, namespace }) => startEchoServerIn(namespace, { name })));
      const envoy = await startEnvoy(lab.node, { binary: options.envoy });
      const started = await Agent.start(lab.node, { manifests, envoy });
      const envoyBinary = options.envoy;
      return new Stage({ lab, client, backends, manifests, envoy, envoyBinary, started });
    } catch (error) {
      await dispose(lab, manifests);
      throw error;
    }
  }

  /** Kills Envoy and starts another at once. @returns The time until that one had all it needs to listen. */
  async restartEnvoy(): Promise<number> {
    const sinceMs = Date.now();
    await this.envoy.kill("SIGKILL");
    await this.envoy.status;
    this.envoy = startEnvoyAgain(this.lab.node, { binary: this.#envoyBinary });
    return await this.agent.listenersTaken({ sinceMs }) - sinceMs;
  }

  /** The resident memory of Envoy, in megabytes. */
  async envoyMemoryMB(): Promise<number> {
    const status = await Deno.readTextFile(`/proc/${await this.envoy.pid()}/status`);
    return Number(/^VmRSS:\s+(\d+) kB/m.exec(status)?.[1] ?? 0) / 1024;
  }

  /** The node's nftables ruleset, as text. */
  async ruleset(): Promise<string> {
    return await this.lab.node.run(["nft", "list", "ruleset"]);
  }

  /** Ends everything and removes the folder. */
  async [Symbol.asyncDispose](): Promise<void> {
    await dispose(this.lab, this.manifests);
  }
}

async function dispose(lab: Lab | undefined, manifests: string): Promise<void> {
  await lab?.[Symbol.asyncDispose]();
  await Deno.remove(join(manifests), { recursive: true });
}
