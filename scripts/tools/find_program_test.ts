import { assertEquals } from "@std/assert/equals";
import { join } from "@std/path/join";
import { findProgram } from "./find_program.ts";

Deno.test("findProgram() takes the first executable file of the name, and no directory or plain file", async () => {
  const root = await Deno.makeTempDir();
  try {
    const name = "lightpath-test-program";
    const [directory, plain, executable, later] = ["a", "b", "c", "d"].map((part) => join(root, part));
    await Deno.mkdir(join(root, "a", name), { recursive: true });
    for (const [part, mode] of [["b", 0o644], ["c", 0o755], ["d", 0o755]] as const) {
      await Deno.mkdir(join(root, part));
      await Deno.writeTextFile(join(root, part, name), "");
      await Deno.chmod(join(root, part, name), mode);
    }
    const searchPath = [root, directory, plain, "", executable, later].join(":");
    assertEquals(await findProgram(name, searchPath), join(root, "c", name));
    assertEquals(await findProgram(name, `${directory}:${plain}`), undefined);
  } finally {
    await Deno.remove(root, { recursive: true });
  }
});
