import { assertEquals } from "@std/assert/equals";
import { fromFileUrl } from "@std/path/from-file-url";
import { join } from "@std/path/join";
import { differences, generate } from "./generate.ts";

Deno.test("differences() names changed, missing and surplus files", async () => {
  const directory = await Deno.makeTempDir();
  try {
    await Deno.mkdir(join(directory, "a"));
    await Deno.writeTextFile(join(directory, "a", "same.ts"), "1");
    await Deno.writeTextFile(join(directory, "a", "changed.ts"), "1");
    await Deno.writeTextFile(join(directory, "surplus.ts"), "1");
    const generated = new Map([["a/same.ts", "1"], ["a/changed.ts", "2"], ["a/missing.ts", "1"]]);
    assertEquals(await differences(generated, directory), ["a/changed.ts", "a/missing.ts", "surplus.ts"]);
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});

Deno.test("protos/gen is what the pinned packages generate", async () => {
  const gen = fromFileUrl(new URL("./gen/", import.meta.url));
  assertEquals(await differences(await generate(), gen), []);
});
