/**
 * Runs the `ip` program, once for each call: the one place from which policy routes are read and written.
 *
 * In: a family, a rule or a table. Out: nothing, or what was read. Faults become `IpError`s with a sentence.
 * Invariants: one process per call, none outlives its timeout; protocols and tables of rules are read as numbers (`-N`), the kernel's too (`-d`),
 * whatever names the node gave them.
 * Source: ip-rule(8), ip-route(8); messages of iproute2 5.10 to 6.x. BusyBox' `ip` knows neither JSON nor protocols.
 * @module
 */

import type { IPFamily } from "../agent/model/mod.ts";
import { killChild } from "./child_process.ts";
import { type Ip, type PolicyRoute, type PolicyRule, ROUTE_PROTOCOL } from "./policy_routes.ts";

/** Policy routes could not be read or written. The message is the end of a sentence for the operator. */
export class IpError extends Error {
  override readonly name = "IpError";
}

/** What `createIp` needs. */
export interface IpOptions {
  /** Program to run. @default "ip" */
  readonly ipPath?: string;
  /** Arguments in front of the program, e.g. to enter a network namespace. @default [] */
  readonly argvPrefix?: readonly string[];
  /** A call that takes longer is killed. @default 10_000 */
  readonly timeoutMs?: number;
}

const FAMILY_FLAGS: Readonly<Record<IPFamily, string>> = { IPv4: "-4", IPv6: "-6" };

/** An `Ip` that runs the program. */
export function createIp(options: IpOptions = {}): Ip {
  const ipPath = options.ipPath ?? "ip";
  const timeoutMs = options.timeoutMs ?? 10_000;
  const [program = ipPath, ...prefixed] = [...(options.argvPrefix ?? []), ipPath];

  async function run(family: IPFamily, args: readonly string[]): Promise<string> {
    const { code, killed, stdout, stderr } = await output([...prefixed, FAMILY_FLAGS[family], ...args]);
    if (killed) throw new IpError(`ip did not end within ${timeoutMs} ms`);
    if (code !== 0) throw refusal(args, stderr);
    return stdout;
  }

  async function output(
    args: readonly string[],
  ): Promise<
    { readonly code: number; readonly killed: boolean; readonly stdout: string; readonly stderr: string }
  > {
    let timer: ReturnType<typeof setTimeout> | undefined;
    try {
      const child = new Deno.Command(program, {
        args: [...args],
        env: { LC_ALL: "C", LANG: "C" },
        stdin: "null",
        stdout: "piped",
        stderr: "piped",
      }).spawn();
      timer = setTimeout(() => killChild(child), timeoutMs);
      const { code, signal, stdout, stderr } = await child.output();
      const decoder = new TextDecoder();
      return {
        code,
        killed: signal === "SIGKILL",
        stdout: decoder.decode(stdout),
        stderr: decoder.decode(stderr),
      };
    } catch (cause) {
      if (cause instanceof Deno.errors.NotFound || cause instanceof Deno.errors.PermissionDenied) {
        throw new IpError(`there is no program "${program}"; install iproute2, or name it with --ip-bin`, {
          cause,
        });
      }
      throw new IpError(`ip could not be run: ${String(cause)}`, { cause });
    } finally {
      clearTimeout(timer);
    }
  }

  async function list<T>(family: IPFamily, args: readonly string[]): Promise<readonly T[]> {
    const text = await run(family, ["-j", ...args]);
    try {
      // Of an empty table nothing is printed, or half a list.
      return /^\s*(?:\[\s*)?$/.test(text) ? [] : JSON.parse(text);
    } catch (cause) {
      throw new IpError("ip printed no JSON; iproute2 4.18 or newer is wanted", { cause });
    }
  }

  return {
    rules: (family) => list<PolicyRule>(family, ["-d", "-N", "rule", "list"]),
    addRule: async (family, rule) => void await run(family, ["rule", "add", ...selecting(rule)]),
    deleteRule: async (family, rule) => void await run(family, ["rule", "del", ...selecting(rule)]),
    async routes(family, table): Promise<readonly PolicyRoute[]> {
      try {
        return await list<PolicyRoute>(family, ["route", "show", "table", table]);
      } catch (error) {
        if (error instanceof IpError && /FIB table does not exist/.test(error.message)) return [];
        throw error;
      }
    },
    takeIn: async (family, table, destination) =>
      void await run(family, [
        ...["route", "replace", "local", destination, "dev", "lo"],
        ...["table", table, "protocol", ROUTE_PROTOCOL],
      ]),
    leaveOut: async (family, table, destination) =>
      void await run(family, ["route", "del", "local", destination, "dev", "lo", "table", table]),
  };
}

/** The arguments that say which rule. */
function selecting({ priority, fwmark, fwmask, iif, goto, table, protocol }: PolicyRule): string[] {
  return [
    ...["priority", String(priority)],
    ...(fwmark === undefined ? [] : ["fwmark", fwmask === undefined ? fwmark : `${fwmark}/${fwmask}`]),
    ...(iif === undefined ? [] : ["iif", iif]),
    ...(protocol === undefined ? [] : ["protocol", protocol]),
    ...(goto === undefined ? [] : ["goto", String(goto)]),
    ...(table === undefined ? [] : ["lookup", table]),
  ];
}

function refusal(args: readonly string[], stderr: string): IpError {
  const said = stderr.trim().split("\n")[0] ?? "";
  if (/Operation not permitted|Permission denied/.test(said)) {
    return new IpError(
      "the kernel lets us make no policy routes: run as root or with the capability CAP_NET_ADMIN",
    );
  }
  return new IpError(`ip ${args.join(" ")} was refused: ${said === "" ? "it gave no reason" : said}`);
}
