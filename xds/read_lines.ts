/**
 * Hands on a child process's output line by line.
 *
 * In: a stream of UTF-8. Out: each line without its line break, in order; the last one also when it has none.
 * Invariants: a line longer than the limit arrives in pieces, so that memory stays bounded; what is not UTF-8 arrives
 * as replacement characters. Cost: linear in the output.
 * @module
 */

/** In UTF-16 units. */
const MAX_LINE_LENGTH = 64 * 1024;

/** How long output is awaited after the process ended: a grandchild may hold the pipe open for ever. */
const LINGER_MS = 250;

/** Reads until the stream ends, or shortly after `ended` aborts. The stream is closed then. */
export async function readLines(
  stream: ReadableStream<Uint8Array>,
  onLine: (line: string) => void,
  ended: AbortSignal,
): Promise<void> {
  const reader = stream.getReader();
  const decoder = new TextDecoder();
  let linger: ReturnType<typeof setTimeout> | undefined;
  const giveUp = (): void => {
    linger = setTimeout(() => void reader.cancel(), LINGER_MS);
  };
  ended.addEventListener("abort", giveUp, { once: true });
  let rest = "";
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += done ? decoder.decode() : decoder.decode(value, { stream: true });
      const lines = rest.split("\n");
      rest = lines.pop() ?? "";
      for (const line of lines) onLine(line);
      if (rest.length > MAX_LINE_LENGTH || (done && rest !== "")) {
        onLine(rest);
        rest = "";
      }
      if (done) return;
    }
  } finally {
    clearTimeout(linger);
    ended.removeEventListener("abort", giveUp);
    reader.releaseLock();
  }
}
