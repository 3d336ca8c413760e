/**
 * The one process that plays all replicas of a scenario, and how it is told of them.
 *
 * In: a namespace to run in, which replicas to begin and end. Out: replicas that answer in namespaces of their own.
 * Source: `scripts/tools/mock_graph/control.go`.
 * @module
 */
import { join } from "@std/path/join";
import type { LabProcess, Namespace } from "../../lab/mod.ts";

/** A replica that is to begin. */
export interface ReplicaStart {
  readonly name: string;
  /** A file that stands for its network namespace; see {@linkcode networkFile}. */
  readonly network: string;
  /** Addresses by name. */
  readonly hosts: Readonly<Record<string, string>>;
  readonly environment: Readonly<Record<string, string>>;
}

/** See the module's comment. It ends with its namespace. */
export class MockGraph implements Disposable {
  readonly process: LabProcess;
  readonly #connection: Deno.UnixConn;
  readonly #answers: ReadableStreamDefaultReader<string>;
  #pending = "";
  #last: Promise<unknown> = Promise.resolve();

  private constructor(process: LabProcess, connection: Deno.UnixConn) {
    this.process = process;
    this.#connection = connection;
    this.#answers = connection.readable.pipeThrough(new TextDecoderStream()).getReader();
  }

  /** @param options `dir` is a folder for its socket. */
  static async start(
    namespace: Namespace,
    { program, dir }: { readonly program: string; readonly dir: string },
  ): Promise<MockGraph> {
    const path = join(dir, "mock-graph.sock");
    const process = namespace.spawn([program, `--control=${path}`]);
    await process.waitForLine(/^listening$/);
    return new MockGraph(process, await Deno.connect({ transport: "unix", path }));
  }

  /** Returns when it answers. @throws {Error} with its words */
  async begin(start: ReplicaStart): Promise<void> {
    await this.#tell({ start });
  }

  /** Returns when it has ended, with what was under way. @throws {Error} with its words */
  async end(name: string): Promise<void> {
    await this.#tell({ stop: name });
  }

  [Symbol.dispose](): void {
    this.#connection.close();
  }

  /** One after the other: answers have no names. */
  async #tell(command: unknown): Promise<void> {
    const told = this.#last.then(() => this.#ask(command));
    this.#last = told.catch(() => {});
    await told;
  }

  async #ask(command: unknown): Promise<void> {
    const bytes = new TextEncoder().encode(`${JSON.stringify(command)}\n`);
    for (let written = 0; written < bytes.length;) {
      written += await this.#connection.write(bytes.subarray(written));
    }
    while (!this.#pending.includes("\n")) {
      const { value, done } = await this.#answers.read();
      if (done) throw new Error(`mock-graph has ended; its last output:\n${this.process.recentOutput()}`);
      this.#pending += value;
    }
    const end = this.#pending.indexOf("\n");
    const answer = JSON.parse(this.#pending.slice(0, end)) as string;
    this.#pending = this.#pending.slice(end + 1);
    if (answer !== "") throw new Error(`mock-graph: ${answer}`);
  }
}

/** Makes a file that stands for a namespace's network, for as long as the lab is there. @returns its path inside */
export async function networkFile(namespace: Namespace, name: string): Promise<string> {
  const path = `/run/networks/${name}`;
  const script = `mkdir -p /run/networks && touch "$0" && mount --bind /proc/self/ns/net "$0"`;
  await namespace.run(["sh", "-c", script, path]);
  return path;
}
