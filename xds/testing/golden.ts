/**
 * Comparison with files a reviewer can read.
 * @module
 */
import { assertEquals } from "@std/assert/equals";

/** Compares with testdata/xds/<name>.json. `UPDATE_GOLDEN=1` writes the file first, for the next diff to show. */
export async function assertGolden(name: string, message: unknown): Promise<void> {
  const file = new URL(`../../testdata/xds/${name}.json`, import.meta.url);
  if (Deno.env.get("UPDATE_GOLDEN") === "1") {
    await Deno.writeTextFile(file, `${JSON.stringify(message, null, 2)}\n`);
  }
  assertEquals(message, JSON.parse(await Deno.readTextFile(file)));
}
