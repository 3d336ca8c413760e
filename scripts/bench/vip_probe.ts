/**
 * A program that finds out from inside a pod how long it takes until all of some VIPs have answered.
 *
 * In: on the command line how many milliseconds each may take, an address to practise on (not counted), then
 * destinations `address:port`.
 * Out: one line of JSON, a `VipReport`. Each destination gets one HTTP/1.1 request on a connection of its own, and
 * again until it is answered. The last one is asked alone until it answers, so that a wait costs little. Imports nothing
 * from outside.
 * @module
 */

/** What it saw. */
export interface VipReport {
  /** From the first connection until the last destination had answered. */
  readonly tookMs: number;
  /** How long each took, in their order; with its repetitions. */
  readonly eachMs: readonly number[];
  /** Attempts that were not answered, by what happened instead. */
  readonly failures: Readonly<Record<string, number>>;
  /** Destinations that never answered. */
  readonly unanswered: readonly string[];
}

const PARALLEL = 8;
/** Envoy gives up on an unknown VIP after five seconds. */
const ATTEMPT_MS = 6_000;
const PAUSE_MS = 20;

async function probe(destinations: readonly string[], giveUpMs: number): Promise<VipReport> {
  const eachMs: number[] = [];
  const failures: Record<string, number> = {};
  const unanswered: string[] = [];
  const startMs = performance.now();
  let next = 0;

  async function ask(index: number): Promise<void> {
    const destination = destinations[index]!;
    const beganMs = performance.now();
    for (;;) {
      const outcome = await request(destination);
      if (outcome === "answered") break;
      failures[outcome] = (failures[outcome] ?? 0) + 1;
      if (performance.now() - beganMs > giveUpMs) {
        unanswered.push(destination);
        break;
      }
      await new Promise((resolve) => setTimeout(resolve, PAUSE_MS));
    }
    eachMs[index] = performance.now() - beganMs;
  }

  async function worker(): Promise<void> {
    while (next < destinations.length - 1) await ask(next++);
  }

  await ask(destinations.length - 1);
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  return { tookMs: performance.now() - startMs, eachMs, failures, unanswered };
}

/** `answered`, or in a few words what happened instead. */
async function request(destination: string): Promise<string> {
  const colon = destination.lastIndexOf(":");
  const [hostname, port] = [destination.slice(0, colon), Number(destination.slice(colon + 1))];
  const timeout = AbortSignal.timeout(ATTEMPT_MS);
  try {
    using connection = await Deno.connect({ hostname, port, signal: timeout });
    const cut = (): void => connection.close();
    timeout.addEventListener("abort", cut);
    try {
      const text = `GET / HTTP/1.1\r\nHost: ${destination}\r\nConnection: close\r\n\r\n`;
      await connection.write(new TextEncoder().encode(text));
      const buffer = new Uint8Array(4096);
      const size = await connection.read(buffer);
      if (size === null) return "closed without an answer";
      const [status = ""] = new TextDecoder().decode(buffer.subarray(0, size)).split("\r\n");
      return status.startsWith("HTTP/1.1 200") ? "answered" : status;
    } finally {
      timeout.removeEventListener("abort", cut);
    }
  } catch (error) {
    if (timeout.aborted) return "timed out";
    return error instanceof Error ? error.name : String(error);
  }
}

if (import.meta.main) {
  const [giveUpMs = "", practice = "", ...destinations] = Deno.args;
  for (let i = 0; i < 20; i++) await request(practice);
  Deno.stdout.writeSync(
    new TextEncoder().encode(`${JSON.stringify(await probe(destinations, Number(giveUpMs)))}\n`),
  );
  Deno.exit(0);
}
