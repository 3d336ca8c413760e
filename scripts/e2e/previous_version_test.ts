import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { join } from "@std/path/join";
import { CHECKOUT, previousVersion } from "./previous_version.ts";

Deno.test("previousVersion() writes a commit's files, and says so where there is no such commit", async () => {
  const folder = await Deno.makeTempDir({ prefix: "lp-" });
  try {
    const version = await previousVersion("HEAD", folder);
    assertEquals(version.skipped, []);
    assertEquals((await Deno.stat(join(version.checkout, "mod.ts"))).isFile, true);
    const none = await previousVersion("no-such-commit", folder);
    assertEquals(none.checkout, CHECKOUT);
    assertMatch(
      none.skipped.join(),
      /^an upgrade from another version: this checkout has no commit no-such-commit/,
    );
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
