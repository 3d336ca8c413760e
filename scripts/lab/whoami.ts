/**
 * Servers that tell who they are and who asked, and clients that ask many of them at once: over TCP, HTTP, UDP and SCTP.
 *
 * In: a namespace; what to serve, or what to ask. Out: running servers, or how each attempt ended.
 * Invariant: an attempt is a real connection of its own, and nothing is retried. (Of SCTP it is the first two packets,
 * made by hand, because many kernels have no sockets for it.) Python, because Deno has no raw sockets.
 * @module
 */
import { fromFileUrl } from "@std/path/from-file-url";
import type { Addresses } from "./pod.ts";
import type { Namespace } from "./namespace.ts";
import type { LabProcess } from "./process.ts";

const SERVER = fromFileUrl(new URL("./whoami.py", import.meta.url));
const CLIENT = fromFileUrl(new URL("./ask.py", import.meta.url));

/** What is spoken; `http` is HTTP/1.1. */
export type Speech = "tcp" | "http" | "udp" | "sctp";

/** Asked `times` times, one after the other, up to the first timeout. */
export interface Question {
  readonly protocol: Speech;
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  readonly times: number;
  /** Of one attempt. */
  readonly timeoutMs: number;
  /** Between attempts. @default 0 */
  readonly pauseMs?: number;
  /** Of `http`. @default "/" */
  readonly path?: string;
}

/** How one attempt ended. */
export interface Attempt {
  /**
   * `refused` is a reset or "port unreachable" as the answer to the attempt, `reset` and `closed` an end later on,
   * `unreachable` another ICMP error.
   */
  readonly outcome: "answered" | "refused" | "reset" | "closed" | "unreachable" | "timeout";
  readonly ms: number;
  /** Of `http`. */
  readonly status?: number;
  readonly body?: string;
}

/** What a server says of itself and of who asked. */
export interface Whoami {
  readonly name: string;
  /** The client's address, as the server saw it. */
  readonly source: string;
  /** The server's own port. */
  readonly port: number;
}

/** Starts a server on these addresses of a namespace; it listens when this returns. */
export async function startWhoami(
  namespace: Namespace,
  { name, addresses, ports }: {
    readonly name: string;
    readonly addresses: Addresses;
    readonly ports: readonly number[];
  },
): Promise<LabProcess> {
  const { ipv4, ipv6 } = addresses;
  const bound = [ipv4, ...(ipv6 === undefined ? [] : [ipv6])].join(",");
  const server = namespace.spawn(["python3", SERVER, name, bound, ...ports.map(String)]);
  await server.waitForLine(/^listening$/);
  return server;
}

/** Asks all questions side by side from one namespace. @returns The attempts of each. */
export async function ask(from: Namespace, questions: readonly Question[]): Promise<Attempt[][]> {
  if (questions.length === 0) return [];
  return JSON.parse(await from.run(["python3", CLIENT], { stdin: JSON.stringify(questions) })) as Attempt[][];
}

/** What a whoami server said; undefined when this is not its answer. */
export function whoami({ body }: Attempt): Whoami | undefined {
  const said = /^\{"name": "(?<name>[^"]+)", "source": "(?<source>[^"]+)", "port": (?<port>\d+)\}$/
    .exec(body?.trim() ?? "")?.groups;
  if (said === undefined) return undefined;
  return { name: said["name"] ?? "", source: said["source"] ?? "", port: Number(said["port"]) };
}
