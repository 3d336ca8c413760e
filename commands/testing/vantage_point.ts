/**
 * A place in the lab from which tests connect: a namespace with the prober running in it.
 *
 * In: probes. Out: how they ended.
 * @module
 */
import { join } from "@std/path/join";
import { fromFileUrl } from "@std/path/from-file-url";
import type { Namespace } from "../../scripts/lab/mod.ts";
import type { Probe, ProbeResult } from "./prober.ts";

const PROBER = fromFileUrl(new URL("./prober.ts", import.meta.url));

/** See the module's comment. */
export class VantagePoint {
  readonly namespace: Namespace;
  readonly #socket: string;

  private constructor(namespace: Namespace, socket: string) {
    this.namespace = namespace;
    this.#socket = socket;
  }

  /** Starts the prober; `folder` holds its socket. It ends with the namespace. */
  static async create(namespace: Namespace, folder: string): Promise<VantagePoint> {
    const socket = join(folder, `${namespace.name}.sock`);
    const argv = [Deno.execPath(), "run", "--allow-all", "--no-config", PROBER, socket];
    await namespace.spawn(argv).waitForLine(/^listening$/);
    return new VantagePoint(namespace, socket);
  }

  /** One HTTP/1.1 request to `10.96.0.10:80` or `[fd00::1]:80`. */
  async http(
    target: string,
    options: Pick<Probe, "path" | "headers" | "timeoutMs"> = {},
  ): Promise<ProbeResult> {
    return await this.#probe({ protocol: "http", ...parseTarget(target), ...options });
  }

  /** One request over HTTP/2 with prior knowledge. */
  async h2c(target: string, options: Pick<Probe, "path" | "headers"> = {}): Promise<ProbeResult> {
    return await this.#probe({ protocol: "h2c", ...parseTarget(target), ...options });
  }

  /** One TCP connection, up to the first line of what the other side says. */
  async tcp(target: string, options: Pick<Probe, "timeoutMs"> = {}): Promise<ProbeResult> {
    return await this.#probe({ protocol: "tcp", ...parseTarget(target), ...options });
  }

  /** One connection on which these words are said; up to so many lines of answer, or to its end by the other side. */
  async raw(
    target: string,
    options: Pick<Probe, "words" | "lines" | "timeoutMs"> = {},
  ): Promise<ProbeResult> {
    return await this.#probe({ protocol: "raw", ...parseTarget(target), ...options });
  }

  /** What became of a request, in a word or two: the backend's name, or `status 503`, `refused`, `timeout` … */
  async who(target: string, protocol: Probe["protocol"] = "http"): Promise<string> {
    return summary(await this.#probe({ protocol, ...parseTarget(target) }));
  }

  /** Whether an HTTP request went through Envoy, which adds a header to the answer. Where none came, what happened instead. */
  async isThroughEnvoy(
    target: string,
    options: Pick<Probe, "timeoutMs"> = {},
  ): Promise<boolean | ProbeResult["outcome"]> {
    const { outcome, headers } = await this.http(target, options);
    return outcome === "answered" ? headers["x-envoy-upstream-service-time"] !== undefined : outcome;
  }

  async #probe(probe: Probe): Promise<ProbeResult> {
    using connection = await Deno.connect({ transport: "unix", path: this.#socket });
    await connection.write(new TextEncoder().encode(`${JSON.stringify(probe)}\n`));
    let text = "";
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const size = await connection.read(buffer);
      if (size === null) break;
      text += decoder.decode(buffer.subarray(0, size), { stream: true });
    }
    if (text === "") {
      throw new Error(`the prober in ${this.namespace.name} failed at ${JSON.stringify(probe)}`);
    }
    return JSON.parse(text) as ProbeResult;
  }
}

/** The backend's name when the echo server answered with 200, else what happened instead. */
export function summary({ outcome, status, body }: ProbeResult): string {
  if (outcome !== "answered") return outcome;
  const name = /^Hostname: (\S+)/.exec(body)?.[1];
  return name !== undefined && (status === 200 || status === 0) ? name : `status ${status}`;
}

/** The value of a header as the echo server saw it; undefined when it saw none. */
export function seenHeader(body: string, name: string): string | undefined {
  return new RegExp(`^${name}: (.*)$`, "m").exec(body)?.[1];
}

function parseTarget(target: string): { readonly host: string; readonly port: number } {
  const end = target.lastIndexOf(":");
  return { host: target.slice(0, end).replace(/^\[|\]$/g, ""), port: Number(target.slice(end + 1)) };
}
