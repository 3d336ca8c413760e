import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertThrows } from "@std/assert/throws";
import { fromFileUrl } from "@std/path/from-file-url";
import { LIBC_PATHS } from "./libc.ts";
import { countOpenFiles, readSystemFile, writeSystemFile } from "./system_files.ts";

Deno.test("readSystemFile() reads what Deno reads, whatever its length; what is not there has no text", async () => {
  assertEquals(readSystemFile("/proc/self/limits"), Deno.readTextFileSync("/proc/self/limits"));
  assertEquals(readSystemFile("/proc/nowhere"), undefined);
  assertEquals(readSystemFile(`/proc/${2 ** 30}/status`), undefined);
  const path = await Deno.makeTempFile();
  try {
    // Longer than what is read at a time, with characters of several bytes across the seams.
    const text = "§".repeat(20_000) + "end";
    await Deno.writeTextFile(path, text);
    assertEquals(readSystemFile(path), text);
  } finally {
    await Deno.remove(path);
  }
});

Deno.test("what the system refuses is told with its reason and the path", () => {
  assertMatch(
    assertThrows(() => readSystemFile("/proc/self"), Error).message,
    /Is a directory .*"\/proc\/self"/,
  );
  assertThrows(
    () => writeSystemFile("/proc/nowhere", "0"),
    Error,
    'No such file or directory (os error 2): "/proc/nowhere"',
  );
});

Deno.test("countOpenFiles() counts one more when one more is open", () => {
  const before = countOpenFiles() ?? 0;
  using _file = Deno.openSync(fromFileUrl(import.meta.url));
  assertEquals(countOpenFiles(), before + 1);
});

/** What comes of reading a file in a program that has this permission alone. */
async function asked(permission?: string, ...args: readonly string[]): Promise<string> {
  const script = `
    const { readSystemFile } = await import(${JSON.stringify(import.meta.resolve("./system_files.ts"))});
    try { console.log(readSystemFile(Deno.args[0] ?? "/proc/self/limits")?.split("\\n")[0]); } catch (error) { console.log(error.message); }`;
  const file = await Deno.makeTempFile({ suffix: ".ts" });
  try {
    await Deno.writeTextFile(file, script);
    const flags = ["--quiet", "--no-prompt", ...(permission === undefined ? [] : [permission])];
    const { stdout } = await new Deno.Command(Deno.execPath(), {
      args: ["run", ...flags, file, ...args],
      cwd: fromFileUrl(new URL("..", import.meta.url)),
    }).output();
    return new TextDecoder().decode(stdout);
  } finally {
    await Deno.remove(file);
  }
}

Deno.test("a program that may call the C library needs no other permission; one that may not is told so", async () => {
  assertMatch(await asked(`--allow-ffi=${LIBC_PATHS}`), /^Limit/);
  assertMatch(await asked("--allow-ffi"), /^Limit/);
  // What the system refuses is told all the same.
  assertMatch(await asked(`--allow-ffi=${LIBC_PATHS}`, "/proc/self"), /^Is a directory/);
  assertMatch(await asked(), /^\/proc\/self\/limits cannot be opened: Deno was started without --allow-ffi/);
});
