/**
 * What a kept nft does when the program behaves, and when it dies, keeps silent or prints something else. The program is a
 * shell script; `nft_session_namespace_test.ts` has the real one.
 * @module
 */

import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { delay } from "@std/async/delay";
import { join } from "@std/path/join";
import { createLogger } from "../agent/log.ts";
import { RedirectError } from "./redirect_error.ts";
import { createNftSession, type NftSession, type NftSessionOptions, scriptAsLine } from "./nft_session.ts";

/** What a test looks at. */
interface Bench {
  readonly nft: NftSession;
  readonly path: string;
  /** What the program noted, a line for each start and each transaction. */
  noted(): Promise<string[]>;
  readonly logged: readonly string[];
}

/** A program that notes what it is told; `$line` is a transaction told to `nft -i`, `other` is done for it. */
function program(other = "", greeting = ""): string {
  return `#!/bin/sh
echo "start $*" >>"$0.notes"
[ "$1" = -i ] || { cat >>"$0.notes"; [ ! -e "$0.broken" ] || { echo "Error: out of order" >&2; exit 1; }; exit 0; }
echo $$ >"$0.pid"
refuse() { printf 'Error: %s\\n%s\\n%*s^^^\\n' "$1" "$line" "$2" '' >&2; }
${greeting}
while read -r line; do
  case "$line" in
    lightpath-marker-*) refuse 'syntax error, unexpected newline, expecting string' 5; continue ;;
  esac
  echo "$line" >>"$0.notes"
  ${other}
done`;
}

async function withProgram(
  script: string,
  use: (bench: Bench) => Promise<void>,
  options: Partial<NftSessionOptions> = {},
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lightpath-nft-" });
  try {
    const path = join(folder, "nft");
    await Deno.writeTextFile(path, script, { mode: 0o755 });
    const logged: string[] = [];
    const logger = createLogger({ level: "info", format: "text", write: (line) => logged.push(line) });
    await using nft = createNftSession({ nftPath: path, timeoutMs: 20_000, logger, ...options });
    const noted = async (): Promise<string[]> =>
      (await Deno.readTextFile(`${path}.notes`)).trim().split("\n");
    await use({ nft, path, noted, logged });
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

/** Whether the program of the last `nft -i` runs. */
async function runs(path: string): Promise<boolean> {
  const pid = (await Deno.readTextFile(`${path}.pid`)).trim();
  return await Deno.stat(`/proc/${pid}`).then(() => true, () => false);
}

async function ended(path: string): Promise<void> {
  while (await runs(path)) await delay(5);
}

Deno.test("scriptAsLine() joins statements and keeps places; what a line cannot hold it leaves", () => {
  const script = 'add element inet t m { 10.0.0.1 . tcp . 80 : goto a }\ndelete rule x comment "y"\n';
  assertEquals(scriptAsLine(script), script.trimEnd().replace("\n", ";"));
  assertEquals(scriptAsLine("add x"), "add x");
  for (
    const other of [
      "",
      "\n",
      "add x\n\nadd y\n",
      "add x # a comment\n",
      "add x \\\n",
      "add\tx y\n",
      "add x\ty\n",
      "add x\r\n",
      "add é\n",
      "list ruleset\n",
      "table t {\n}\n",
      "quit\n",
    ]
  ) assertEquals(scriptAsLine(other), undefined, JSON.stringify(other));
});

Deno.test("small scripts go to one program, in their order; the rest to programs of their own", async () => {
  await withProgram(program(), async ({ nft, noted }) => {
    await nft.check("add zero\n");
    await Promise.all([
      nft.apply("add one\n"),
      nft.apply("delete two\nadd three\n"),
      nft.apply("add four # here\n"),
      nft.apply("add five\n"),
    ]);
    await nft.apply("add long\n");
    await nft.apply(`add ${"x".repeat(40)}\n`);
    assertEquals(await noted(), [
      "start -c -f -",
      "add zero",
      "start -i",
      "add one",
      "delete two;add three",
      "start -f -",
      "add four # here",
      "add five",
      "add long",
      "start -f -",
      `add ${"x".repeat(40)}`,
    ]);
  }, { longestScript: 40 });
});

Deno.test("a refusal carries kind, message and the line blamed, without the echo; a fresh nft goes on", async () => {
  const other = `case "$line" in *two*) refuse 'Could not process rule: File exists' 12 ;; esac`;
  await withProgram(program(other), async ({ nft, noted, logged }) => {
    const error = await assertRejects(() => nft.apply("add one\nadd two\nadd three\n"), RedirectError);
    assertEquals([error.kind, error.line], ["exists", "add two"]);
    assertEquals(error.stderr, "Error: Could not process rule: File exists");
    assertMatch(error.message, /^nft refused: .*File exists$/);
    await nft.apply("add four\n");
    assertEquals(await noted(), ["start -i", "add one;add two;add three", "start -i", "add four"]);
    assertEquals(logged, []);
  });
});

Deno.test("a message without a place is a refusal too", async () => {
  const other =
    "printf 'Operation not permitted (you must be root)\\nnetlink: Error: cache initialization failed\\n' >&2";
  await withProgram(program(other), async ({ nft }) => {
    const error = await assertRejects(() => nft.apply("add one\n"), RedirectError);
    assertEquals([error.kind, error.line], ["permission", undefined]);
  });
});

Deno.test("an nft that greets and prompts is used", async () => {
  const greeting = "echo 'using dumb terminal settings.' >&2; yes 'nft> ' | head -c 300000";
  await withProgram(program("", greeting), async ({ nft, noted }) => {
    await nft.apply("add one\n");
    assertEquals(await noted(), ["start -i", "add one"]);
  });
});

for (
  const [what, greeting, reason] of [
    [
      "cannot run like that",
      "echo 'Error: no interactive CLI' >&2; exit 1",
      /exit code 1\): Error: no interactive CLI/,
    ],
    [
      "echoes everything otherwise",
      'while read -r line; do echo "? $line" >&2; done',
      /did not answer within/,
    ],
    [
      "answers with more",
      "read -r line; printf 'Error: x\\n%s\\n ^\\nmore\\n' \"$line\" >&2; sleep 9",
      /unexpected/,
    ],
    ["prints without end", "yes >&2", /printed more than any answer/],
    ["keeps silent", "exec sleep 600", /did not answer within/],
  ] as const
) {
  Deno.test(`an nft -i that ${what}: scripts take the other way, soon without trying`, async () => {
    await withProgram(program("", greeting), async ({ nft, noted, logged, path }) => {
      for (const name of ["one", "two", "three", "four", "five"]) {
        await nft.apply(`add ${name}\n`);
        assert(!await runs(path), "left behind");
      }
      const tried = ["one", "two", "three"].flatMap((name) => ["start -i", "start -f -", `add ${name}`]);
      assertEquals(await noted(), [...tried, "start -f -", "add four", "start -f -", "add five"]);
      assertEquals(logged.length, 1);
      assertMatch(logged[0] ?? "", reason);
    }, { timeoutMs: 1_500 });
  });
}

Deno.test("an nft that keeps silent about a transaction is killed, and nothing is done twice", async () => {
  await withProgram(program("exec sleep 600"), async ({ nft, path, noted }) => {
    const error = await assertRejects(() => nft.apply("add one\n"), RedirectError);
    assertEquals(error.kind, "timeout");
    assertEquals(await runs(path), false);
    assertEquals(await noted(), ["start -i", "add one"]);
  }, { timeoutMs: 1_000 });
});

Deno.test("an nft that does not read is killed, however long the script", async () => {
  const greeting = 'read -r line; refuse "" 1; exec sleep 600';
  await withProgram(program("", greeting), async ({ nft, path, noted }) => {
    const error = await assertRejects(() => nft.apply(`add ${"x".repeat(500_000)}\n`), RedirectError);
    assertEquals([error.kind, await runs(path)], ["timeout", false]);
    assertEquals(await noted(), ["start -i"]);
  }, { timeoutMs: 1_000, longestScript: 1_000_000 });
});

for (
  const [what, other, reason] of [
    ["dies", "kill -9 $$", /SIGKILL.*unknown/],
    ["ends", "exit 0", /exit code 0.*unknown/],
    ["prints something else", "echo 'good morning' >&2", /good morning.*unknown/],
    [
      "answers with more",
      'read -r line; printf "Error: x\\n%s\\n ^\\nmore\\n" "$line" >&2; sleep 9',
      /unexpected.*unknown/,
    ],
  ] as const
) {
  Deno.test(`an nft that ${what} in a transaction: its fate is unknown, and nothing is done twice`, async () => {
    await withProgram(program(other), async ({ nft, noted, logged, path }) => {
      for (const name of ["one", "two", "three"]) {
        const error = await assertRejects(() => nft.apply(`add ${name}\n`), RedirectError);
        assertEquals(error.kind, "unknown");
        assertMatch(error.message, reason);
        await ended(path);
      }
      await nft.apply("add four\n");
      const tried = ["one", "two", "three"].flatMap((name) => ["start -i", `add ${name}`]);
      assertEquals(await noted(), [...tried, "start -f -", "add four"]);
      assertEquals(logged.length, 1);
    });
  });
}

Deno.test("an nft that died between two transactions costs nothing but a start", async () => {
  await withProgram(program(), async ({ nft, noted, path, logged }) => {
    await nft.apply("add one\n");
    Deno.kill(Number(await Deno.readTextFile(`${path}.pid`)), "SIGKILL");
    await ended(path);
    await delay(20);
    await nft.apply("add two\n");
    await nft.apply("add three\n");
    assertEquals(await noted(), ["start -i", "add one", "start -f -", "add two", "start -i", "add three"]);
    assertEquals(logged, []);
  });
});

Deno.test("an nft that speaks unasked is not asked again", async () => {
  const other = '(sleep 0.1; echo "good night" >&2; echo spoken >>"$0.notes") &';
  await withProgram(program(other), async ({ nft, noted, path }) => {
    await nft.apply("add one\n");
    while (!(await noted()).includes("spoken")) await delay(5);
    await delay(50);
    await nft.apply("add two\n");
    assertEquals(await noted(), ["start -i", "add one", "spoken", "start -f -", "add two"]);
    assertEquals(await runs(path), false);
  });
});

Deno.test("no nft, or a broken one, is not held against the keeping of one", async () => {
  await withProgram(program("", '[ ! -e "$0.broken" ] || exit 1'), async ({ nft, noted, path, logged }) => {
    await Deno.writeTextFile(`${path}.broken`, "");
    for (let time = 0; time < 5; time++) await assertRejects(() => nft.apply("add one\n"), RedirectError);
    await Deno.rename(path, `${path}.away`);
    const error = await assertRejects(() => nft.apply("add one\n"), RedirectError);
    assertEquals(error.kind, "missing-binary");
    await Deno.rename(`${path}.away`, path);
    await Deno.remove(`${path}.broken`);
    await nft.apply("add two\n");
    assertEquals((await noted()).slice(-2), ["start -i", "add two"]);
    assertEquals(logged, []);
  });
});

Deno.test("faults far apart do not end the keeping", async () => {
  await withProgram(program('case "$line" in *die*) exit 1 ;; esac'), async ({ nft, noted }) => {
    for (let time = 0; time < 4; time++) {
      await assertRejects(() => nft.apply("add die\n"), RedirectError);
      for (let good = 0; good < 100; good++) await nft.apply("add x\n");
    }
    assertEquals((await noted()).filter((line) => line === "start -i").length, 5);
    assertEquals((await noted()).includes("start -f -"), false);
  });
});

Deno.test("a fresh nft takes over before the history grows", async () => {
  await withProgram(program(), async ({ nft, noted }) => {
    for (let time = 0; time < 20; time++) await nft.apply(`add ${"x".repeat(80)}\n`);
    const starts = (await noted()).filter((line) => line === "start -i").length;
    assert(starts === 2 || starts === 3, `${starts} starts`);
  }, { renewAfterBytes: 1_000 });
});

Deno.test("nft gets no home, so that nobody's history is read or filled", async () => {
  await withProgram(program("", 'echo "$HOME $LC_ALL" >>"$0.notes"'), async ({ nft, noted }) => {
    await nft.apply("add one\n");
    assertEquals((await noted())[1], "/dev/null C");
  });
});

Deno.test("disposing finishes the transaction that runs and ends nft; later ones have their own", async () => {
  await withProgram(program('sleep 1.3; echo done >>"$0.notes"'), async ({ nft, noted, path }) => {
    await nft.apply("add one\n");
    const running = nft.apply("add two\n");
    await delay(100);
    await nft[Symbol.asyncDispose]();
    await running;
    assertEquals(await runs(path), false);
    await nft.apply("add three\n");
    const last = ["start -f -", "add three"];
    assertEquals(await noted(), ["start -i", "add one", "done", "add two", "done", ...last]);
  });
});

Deno.test("an nft that ignores its end is killed", async () => {
  await withProgram(program("", "trap '' TERM HUP INT") + "\nexec sleep 600", async ({ nft, path }) => {
    await nft.apply("add one\n");
    await nft[Symbol.asyncDispose]();
    assertEquals(await runs(path), false);
  });
});
