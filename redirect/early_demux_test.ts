import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { ensureNoEarlyDemux } from "./early_demux.ts";

async function withSetting(
  text: string | undefined,
  fn: (root: string, path: string) => Promise<void> | void,
): Promise<void> {
  const root = await Deno.makeTempDir();
  try {
    const path = `${root}/net/ipv4/tcp_early_demux`;
    await Deno.mkdir(`${root}/net/ipv4`, { recursive: true });
    if (text !== undefined) await Deno.writeTextFile(path, text);
    await fn(root, path);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

Deno.test("ensureNoEarlyDemux() switches it off, and leaves it off", async () => {
  for (const before of ["1\n", "0\n"]) {
    await withSetting(before, async (root, path) => {
      assertEquals(ensureNoEarlyDemux(root), undefined);
      assertEquals((await Deno.readTextFile(path)).trim(), "0");
    });
  }
});

Deno.test("ensureNoEarlyDemux() says what to set where it cannot", async () => {
  await withSetting(undefined, (root) => {
    assertMatch(
      ensureNoEarlyDemux(root) ?? "",
      /^net\.ipv4\.tcp_early_demux is not 0, .*set it on the node$/,
    );
  });
});
