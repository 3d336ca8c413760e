/**
 * The benchmark's end of a world server: starts it in a namespace and tells it what to change.
 * @module
 */
import { join } from "@std/path/join";
import { fromFileUrl } from "@std/path/from-file-url";
import type { LabProcess, Namespace } from "../lab/mod.ts";
import type { ApiAccess } from "../lab/service_account.ts";
import type { Change } from "./world_host.ts";
import type { WorldAnswer, WorldCommand, WorldServerOptions } from "./world_server.ts";

const PROGRAM = fromFileUrl(new URL("./world_server.ts", import.meta.url));
/** Creating 50,000 Services and slices on a real API server takes minutes. */
const START_DEADLINE_MS = 30 * 60_000;

/** A world that runs. */
export class World implements AsyncDisposable {
  readonly access: ApiAccess;
  readonly #process: LabProcess;
  readonly #connection: Deno.UnixConn;
  #rest = "";

  private constructor(process: LabProcess, access: ApiAccess, connection: Deno.UnixConn) {
    this.#process = process;
    this.access = access;
    this.#connection = connection;
  }

  /** Waits until all objects are there. `dir` is an empty folder for the server's files. */
  static async start(
    namespace: Namespace,
    options: WorldServerOptions & { readonly dir: string; readonly onProgress: (line: string) => void },
  ): Promise<World> {
    const { dir, onProgress, ...server } = options;
    const socket = join(dir, "world.sock");
    const flags = ["run", "--allow-all", "--no-check", "--cached-only"];
    const process = namespace.spawn(
      [Deno.execPath(), ...flags, PROGRAM, socket, dir, JSON.stringify(server)],
      { onLine: (line) => line.startsWith("listening") ? undefined : onProgress(line) },
    );
    const line = await process.waitForLine(/^listening /, { timeoutMs: START_DEADLINE_MS });
    const connection = await Deno.connect({ transport: "unix", path: socket });
    return new World(process, JSON.parse(line.slice("listening ".length)) as ApiAccess, connection);
  }

  /** Works out changes, so that `write` has only to send them. */
  async stage(changes: readonly Change[]): Promise<void> {
    await this.#tell({ do: "stage", changes });
  }

  /** Writes what was staged. @returns how long the server took */
  async write(): Promise<number> {
    return await this.#tell({ do: "write" });
  }

  /** Writes changes evenly. */
  async pace(changes: readonly Change[], perSecond: number): Promise<number> {
    return await this.#tell({ do: "pace", changes, perSecond });
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.close();
    await this.#process.stop();
  }

  /** One command at a time. @throws {Error} with the server's words */
  async #tell(command: WorldCommand): Promise<number> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(command)}\n`);
    for (let written = 0; written < bytes.length;) {
      written += await this.#connection.write(bytes.subarray(written));
    }
    const answer = JSON.parse(await this.#line()) as WorldAnswer;
    if ("error" in answer) throw new Error(`the world server could not ${command.do}: ${answer.error}`);
    return answer.tookMs;
  }

  async #line(): Promise<string> {
    const buffer = new Uint8Array(4096);
    const decoder = new TextDecoder();
    for (;;) {
      const end = this.#rest.indexOf("\n");
      if (end !== -1) {
        const line = this.#rest.slice(0, end);
        this.#rest = this.#rest.slice(end + 1);
        return line;
      }
      const size = await this.#connection.read(buffer);
      if (size === null) throw new Error(`the world server ended:\n${this.#process.recentOutput()}`);
      this.#rest += decoder.decode(buffer.subarray(0, size), { stream: true });
    }
  }
}
