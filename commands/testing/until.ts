/**
 * Waits for what takes a while, in tests.
 * @module
 */
import { delay } from "@std/async/delay";

/**
 * Asks again and again until `read` gives what is wanted.
 * @returns What it gave then.
 * @throws {Error} After `timeoutMs`, with what it gave last.
 */
export async function until<T>(
  what: string,
  read: () => T | Promise<T>,
  options: { readonly wanted: (value: T) => boolean; readonly timeoutMs?: number },
): Promise<T> {
  const deadlineMs = Date.now() + (options.timeoutMs ?? 20_000);
  for (;;) {
    const value = await read();
    if (options.wanted(value)) return value;
    if (Date.now() >= deadlineMs) {
      throw new Error(`waited in vain for ${what}; last: ${JSON.stringify(value)}`);
    }
    await delay(20);
  }
}
