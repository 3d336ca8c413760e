/**
 * Lets one process at a time keep the table: two agents would undo each other's elements, each by its own plan.
 *
 * In: who wants it. Out: a hold, which ends with its disposal or with the process, however that ends; or a refusal that
 * names who has it.
 *
 * The lock is a listening Unix socket in the abstract namespace, because its reach is exactly the table's: a network
 * namespace. Folders, ports and process ids may differ between two containers that share the kernel's table, or be the same
 * between two nodes that do not. nft's own `owner` flag would take the table away with the process. Like a port it can be
 * taken by anybody in the namespace; then the agent does not start and says so.
 * Source: unix(7), "Abstract sockets"; network_namespaces(7).
 * @module
 */
import { TABLE } from "./layout.ts";

/** `ss -xl` shows it with `@` for the zero byte. */
const SOCKET = `\0lightpath/${TABLE.replace(" ", "-")}`;
/** How long a holder may take to say who it is. One that is stopped never does. */
const ANSWER_MS = 1_000;
const LONGEST_ANSWER = 200;

/** Somebody else keeps the table. The message is one sentence for an operator. */
export class TableInUseError extends Error {
  override readonly name = "TableInUseError";
}

/** The table is ours until the disposal. */
export type TableHold = AsyncDisposable;

/**
 * Takes the table.
 * @param who Told to whoever wants it too, e.g. `lightpath agent (pid 17)`.
 * @throws {TableInUseError} At once, when somebody else has it.
 */
export async function holdTable(who: string): Promise<TableHold> {
  let listener: Deno.UnixListener;
  try {
    listener = Deno.listen({ transport: "unix", path: SOCKET });
  } catch (error) {
    if (!(error instanceof Deno.errors.AddrInUse)) throw error;
    throw new TableInUseError(
      `${await askHolder()} keeps the table ${TABLE} of this network namespace: end it first, ` +
        "because two would undo each other's work",
    );
  }
  const serving = introduce(listener, who);
  return {
    [Symbol.asyncDispose]: async () => {
      listener.close();
      await serving;
    },
  };
}

/** Tells everybody who connects who we are. */
async function introduce(listener: Deno.UnixListener, who: string): Promise<void> {
  const answer = new TextEncoder().encode(who);
  for await (const connection of listener) {
    using open = connection;
    try {
      await open.write(answer);
    } catch {
      // Whoever asked has gone again, and misses nothing but a name.
    }
  }
}

/** Who has the table, in its own words as far as they are fit to be printed. */
async function askHolder(): Promise<string> {
  const signal = AbortSignal.timeout(ANSWER_MS);
  try {
    using connection = await Deno.connect({ transport: "unix", path: SOCKET });
    const cut = (): void => connection.close();
    signal.addEventListener("abort", cut);
    try {
      const buffer = new Uint8Array(LONGEST_ANSWER);
      const length = await connection.read(buffer) ?? 0;
      const text = new TextDecoder().decode(buffer.subarray(0, length)).replaceAll(/[^ -~]/g, "?");
      if (text !== "") return text;
    } finally {
      signal.removeEventListener("abort", cut);
    }
  } catch {
    // It has gone in this moment, or does not answer; the refusal stands, only the name is missing.
  }
  return "another process, which does not say who it is,";
}
