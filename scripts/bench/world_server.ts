/**
 * The program that holds a world in the node's namespace and changes it when told to.
 *
 * In: on the command line the path of a Unix socket (which works across network namespaces), the folder for its files,
 * and a `WorldServerOptions` as JSON; on the socket lines of JSON, each a `WorldCommand`, one after the other.
 * Out: for each command one line, a `WorldAnswer`. Prints `listening` and an `ApiAccess` as JSON when the world is complete.
 * A process of its own, so that its work is not on the benchmark's clock nor in the agent's CPU time.
 * @module
 */
import { delay } from "@std/async/delay";
import { RealApi, type RealApiOptions } from "./real_api.ts";
import { SyntheticApi } from "./synthetic_api.ts";
import type { WorldShape } from "./world.ts";
import type { Change, WorldHost } from "./world_host.ts";

/** Which world, on what kind of server. */
export type WorldServerOptions =
  & { readonly shape: WorldShape }
  & (
    | { readonly source: "synthetic" }
    | { readonly source: "api" } & Pick<RealApiOptions, "etcd" | "kubeApiserver" | "node">
  );

/** What it can be told. */
export type WorldCommand =
  /** Work out these changes; the answer comes when that is done. */
  | { readonly do: "stage"; readonly changes: readonly Change[] }
  /** Write what was staged. */
  | { readonly do: "write" }
  /** Write these, nothing staged, one by one and evenly. */
  | { readonly do: "pace"; readonly changes: readonly Change[]; readonly perSecond: number };

/** Its answer: done, after so long, or why not. */
export type WorldAnswer = { readonly tookMs: number } | { readonly error: string };

async function start(dir: string, options: WorldServerOptions): Promise<WorldHost> {
  if (options.source === "synthetic") return await SyntheticApi.start(options.shape);
  return await RealApi.start({ ...options, dir });
}

async function serve(host: WorldHost, socket: string): Promise<void> {
  using listener = Deno.listen({ transport: "unix", path: socket });
  print(`listening ${JSON.stringify(host.access)}`);
  const connection = await listener.accept();
  let rest = "";
  let write: () => Promise<void> = () => Promise.resolve();

  async function perform(command: WorldCommand): Promise<WorldAnswer> {
    const startMs = performance.now();
    switch (command.do) {
      case "stage":
        write = host.stage(command.changes);
        break;
      case "write":
        await write();
        break;
      case "pace":
        await pace(host, command);
        break;
      default:
        throw new TypeError(`unknown command ${JSON.stringify(command satisfies never)}`);
    }
    return { tookMs: performance.now() - startMs };
  }

  for await (const text of connection.readable.pipeThrough(new TextDecoderStream())) {
    const lines = (rest + text).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) {
      const answer = await perform(JSON.parse(line) as WorldCommand).catch((error): WorldAnswer => ({
        error: String(error),
      }));
      await connection.write(new TextEncoder().encode(JSON.stringify(answer) + "\n"));
    }
  }
}

/** Writes changes one by one; one that is late is made up for, so that the rate holds on average. */
async function pace(
  host: WorldHost,
  { changes, perSecond }: { readonly changes: readonly Change[]; readonly perSecond: number },
): Promise<void> {
  const startMs = performance.now();
  const written: Promise<void>[] = [];
  for (const [index, change] of changes.entries()) {
    const waitMs = startMs + index * 1000 / perSecond - performance.now();
    if (waitMs > 0) await delay(waitMs);
    written.push(host.stage([change])());
  }
  await Promise.all(written);
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

if (import.meta.main) {
  const [socket = "", dir = "", options = ""] = Deno.args;
  await using host = await start(dir, JSON.parse(options) as WorldServerOptions);
  await serve(host, socket);
}
