/**
 * A redis server to stand behind a Service: keys and values in memory, in Redis' own protocol (RESP2).
 *
 * In: a port. Out: answers to GET, SET, PING and DBSIZE, one after the other; an error to everything else.
 * Prints `listening` when ready. Imports nothing from outside, because it runs where nothing can be fetched.
 *
 *     deno run -A commands/testing/resp_server.ts 6379
 * @module
 */

const values = new Map<string, string>();

function answer([command = "", key = "", value = ""]: readonly string[]): string {
  switch (command.toUpperCase()) {
    case "PING":
      return "+PONG\r\n";
    case "DBSIZE":
      return `:${values.size}\r\n`;
    case "SET":
      values.set(key, value);
      return "+OK\r\n";
    case "GET": {
      const found = values.get(key);
      return found === undefined ? "$-1\r\n" : `$${found.length}\r\n${found}\r\n`;
    }
    default:
      return `-ERR unknown command '${command}'\r\n`;
  }
}

/** Takes whole commands (`*2 $3 GET $1 k`, each in a line of its own) from the beginning of a text. Values hold no line ends. */
function takeCommands(text: string): { readonly commands: readonly string[][]; readonly rest: string } {
  const commands: string[][] = [];
  let rest = text;
  for (;;) {
    const words = Number(/^\*(\d+)\r\n/.exec(rest)?.[1] ?? NaN);
    const lines = rest.split("\r\n");
    // A head and two lines for each word; what stands after the last line end is not whole.
    if (!(lines.length > 1 + 2 * words)) return { commands, rest };
    commands.push(Array.from({ length: words }, (_, index) => lines[2 + 2 * index] ?? ""));
    rest = lines.slice(1 + 2 * words).join("\r\n");
  }
}

async function serve(connection: Deno.TcpConn): Promise<void> {
  using open = connection;
  const decoder = new TextDecoder();
  const buffer = new Uint8Array(65_536);
  let text = "";
  for (;;) {
    const size = await open.read(buffer);
    if (size === null) return;
    const { commands, rest } = takeCommands(text + decoder.decode(buffer.subarray(0, size)));
    text = rest;
    const bytes = new TextEncoder().encode(commands.map(answer).join(""));
    for (let written = 0; written < bytes.length;) written += await open.write(bytes.subarray(written));
  }
}

if (import.meta.main) {
  const listener = Deno.listen({ hostname: "0.0.0.0", port: Number(Deno.args[0]) });
  Deno.stdout.writeSync(new TextEncoder().encode("listening\n"));
  for await (const connection of listener) {
    serve(connection).catch((error) => {
      // The client sees its connection end.
      Deno.stderr.writeSync(new TextEncoder().encode(`${String(error)}\n`));
    });
  }
}
