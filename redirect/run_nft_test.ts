import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { join } from "@std/path/join";
import type { Nft } from "./nft.ts";
import { RedirectError } from "./redirect_error.ts";
import { createNft, nftErrorKind } from "./run_nft.ts";

/** Calls `use` with an nft that is a shell script. */
async function withScript(script: string, use: (nft: Nft, path: string) => Promise<void>): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lightpath-nft-" });
  try {
    const path = join(folder, "nft");
    await Deno.writeTextFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await use(createNft({ nftPath: path, timeoutMs: 10_000 }), path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Messages as nft 1.0.6 printed them. */
const MESSAGES: readonly (readonly [string, string])[] = [
  ["/dev/stdin:1:44-62: Error: Could not process rule: File exists", "exists"],
  ["/dev/stdin:1:47-65: Error: Could not process rule: No such file or directory", "not-found"],
  ["/dev/stdin:1:28-32: Error: No such file or directory", "not-found"],
  ["/dev/stdin:1:1-9: Error: Could not process rule: Device or resource busy", "busy"],
  ["netlink: Error: Could not process rule: Message too long", "too-large"],
  ["Operation not permitted (you must be root)\nnetlink: Error: cache initialization failed", "permission"],
  ["/dev/stdin:3:1-9: Error: Could not process rule: Operation not supported", "unsupported"],
  ["Unable to initialize Netlink socket: Protocol not supported", "unsupported"],
  ["/dev/stdin:2:83-86: Error: syntax error, unexpected string, expecting comma or '}'", "other"],
  ["/dev/stdin:2:82-102: Error: Could not resolve hostname: Temporary failure in name resolution", "other"],
];

Deno.test("nftErrorKind() tells faults apart by nft's messages", () => {
  for (const [message, kind] of MESSAGES) assertEquals(nftErrorKind(message), kind, message);
});

Deno.test("apply() hands the script over in the C locale, check() with -c", async () => {
  await withScript('echo "$* $LC_ALL" >"$0.args"; cat >"$0.input"', async (nft, path) => {
    const script = "add table inet lightpath\n".repeat(20_000);
    await nft.apply(script);
    assertEquals(await Deno.readTextFile(`${path}.args`), "-f - C\n");
    assert(await Deno.readTextFile(`${path}.input`) === script);
    await nft.check("x\n");
    assertEquals(await Deno.readTextFile(`${path}.args`), "-c -f - C\n");
  });
});

Deno.test("a refusal carries kind, whole message and the line blamed", async () => {
  const message = "/dev/stdin:2:5-9: Error: Could not process rule: File exists";
  await withScript(`cat >/dev/null; echo '${message}' >&2; exit 1`, async (nft) => {
    const error = await assertRejects(() => nft.apply("first\nsecond\nthird\n"), RedirectError);
    assertEquals([error.kind, error.line, error.stderr.trim()], ["exists", "second", message]);
    assertMatch(error.message, /^nft refused: .*File exists$/);
  });
});

Deno.test("a long blamed line is cut around its column", async () => {
  await withScript(`cat >/dev/null; echo '/dev/stdin:1:3000-3004: Error: bad' >&2; exit 1`, async (nft) => {
    const line = `${"a".repeat(2_995)}CULPRIT${"b".repeat(2_000)}`;
    const error = await assertRejects(() => nft.apply(line), RedirectError);
    assert(error.line !== undefined && error.line.length < 250 && error.line.includes("CULPRIT"));
  });
});

Deno.test("an nft that ends without reading its input is judged by its exit code", async () => {
  await withScript("echo 'Operation not permitted (you must be root)' >&2; exit 1", async (nft) => {
    const error = await assertRejects(() => nft.apply("x".repeat(5_000_000)), RedirectError);
    assertEquals(error.kind, "permission");
    assertMatch(error.message, /CAP_NET_ADMIN/);
  });
});

Deno.test("list() decodes JSON, knows an absent table, and passes on other faults", async () => {
  await withScript(`echo "$*" >"$0.args"; echo '{"nftables": []}'`, async (nft, path) => {
    assertEquals(await nft.list(), { nftables: [] });
    assertEquals(await Deno.readTextFile(`${path}.args`), "-j list table inet lightpath\n");
  });
  await withScript("echo 'Error: No such file or directory' >&2; exit 1", async (nft) => {
    assertEquals(await nft.list(), undefined);
  });
  await withScript("echo 'Operation not permitted' >&2; exit 1", async (nft) => {
    assertEquals((await assertRejects(() => nft.list(), RedirectError)).kind, "permission");
  });
  await withScript("echo 'table inet lightpath {'", async (nft) => {
    assertEquals((await assertRejects(() => nft.list(), RedirectError)).kind, "unreadable");
  });
});

Deno.test("an nft that does not end is killed", async () => {
  await withScript('echo $$ >"$0.pid"; exec sleep 600', async (_nft, path) => {
    const hasty = createNft({ nftPath: path, timeoutMs: 200 });
    const error = await assertRejects(() => hasty.apply("x"), RedirectError);
    assertEquals([error.kind, error.message], ["timeout", "nft did not end within 200 ms"]);
    const pid = (await Deno.readTextFile(`${path}.pid`)).trim();
    await assertRejects(() => Deno.stat(`/proc/${pid}`), Deno.errors.NotFound);
  });
});

Deno.test("no nft: one sentence that says what to install", async () => {
  const error = await assertRejects(() => createNft({ nftPath: "/nonexistent/nft" }).list(), RedirectError);
  assertEquals(error.kind, "missing-binary");
  assertMatch(error.message, /no program "\/nonexistent\/nft"; install nftables/);
});
