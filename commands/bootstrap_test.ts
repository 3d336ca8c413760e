import { assertEquals } from "@std/assert/equals";
import { assertStringIncludes } from "@std/assert/string-includes";
import { join } from "@std/path/join";
import { fromFileUrl } from "@std/path/from-file-url";

async function lightpath(...args: readonly string[]): Promise<{ code: number; stderr: string }> {
  const { code, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["run", "-A", fromFileUrl(new URL("../mod.ts", import.meta.url)), ...args],
    stdout: "null",
  }).output();
  return { code, stderr: new TextDecoder().decode(stderr) };
}

Deno.test("lightpath bootstrap says in one sentence that it cannot write its output", async () => {
  const folder = await Deno.makeTempDir();
  const output = join(folder, "missing", "envoy.json");
  const { code, stderr } = await lightpath("bootstrap", "--node-name=node-1", `--output=${output}`);
  await Deno.remove(folder);
  assertEquals(code, 1);
  assertStringIncludes(stderr, `cannot write to ${output} (--output): `);
  assertEquals([stderr.includes("report it"), stderr.trimEnd().split("\n").length], [false, 1]);
});
