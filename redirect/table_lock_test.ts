/** The lock between real processes in real network namespaces. */
import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { fromFileUrl } from "@std/path/from-file-url";
import { type LabProcess, Namespace, namespacesUnavailable } from "../scripts/lab/mod.ts";
import { testUnless } from "../scripts/lab/testing.ts";

const MODULE = fromFileUrl(new URL("./table_lock.ts", import.meta.url));
const CONFIG = fromFileUrl(new URL("../deno.json", import.meta.url));

/** Takes the table and keeps it, or prints the refusal; ends when told to on standard input. */
const HOLDER = `import { holdTable, TableInUseError } from "${MODULE}";
try {
  await using _hold = await holdTable(Deno.args[0]);
  console.log("held");
  await new Promise((resolve) => Deno.addSignalListener("SIGTERM", resolve));
} catch (error) {
  if (!(error instanceof TableInUseError)) throw error;
  console.log("refused: " + error.message);
}
Deno.exit(0);`;

/** Tries to take the table of a namespace; the process, and the line it printed. */
async function tryToHold(
  namespace: Namespace,
  who: string,
): Promise<{ readonly process: LabProcess; readonly line: string }> {
  const script = await Deno.makeTempFile({ prefix: "lightpath-holder-", suffix: ".ts" });
  try {
    await Deno.writeTextFile(script, HOLDER);
    const process = namespace.spawn([Deno.execPath(), "run", "-A", "--config", CONFIG, script, who]);
    return { process, line: await process.waitForLine(/^(?:held|refused)/) };
  } finally {
    await Deno.remove(script);
  }
}

testUnless("the table has one holder", { unavailable: [await namespacesUnavailable()] }, async (t) => {
  await using node = await Namespace.create({ name: "node" });
  await using another = await Namespace.create({ name: "another" });
  const first = await tryToHold(node, "lightpath agent (pid 17, --run-dir /run/a)");
  assertEquals(first.line, "held");

  await t.step("who comes second is told who the first is, each time", async () => {
    for (let times = 0; times < 2; times++) {
      assertEquals(
        (await tryToHold(node, "second")).line,
        "refused: lightpath agent (pid 17, --run-dir /run/a) keeps the table inet lightpath of this network " +
          "namespace: end it first, because two would undo each other's work",
      );
    }
  });

  await t.step("another network namespace has a table of its own", async () => {
    const { line, process } = await tryToHold(another, "of another node");
    assertEquals(line, "held");
    await process.stop();
  });

  await t.step("a holder that is stopped still holds, and is not waited for long", async () => {
    await first.process.kill("SIGSTOP");
    assertMatch((await tryToHold(node, "second")).line, /^refused: another process, which does not say/);
    await first.process.kill("SIGCONT");
  });

  await t.step("it is free as soon as its holder has ended, or was killed", async () => {
    await first.process.stop();
    const second = await tryToHold(node, "evil\nname\u001b[31m");
    assertEquals(second.line, "held");
    assertMatch((await tryToHold(node, "third")).line, /^refused: evil\?name\?\[31m keeps/);
    await second.process.kill("SIGKILL");
    await second.process.status;
    const third = await tryToHold(node, "third");
    assertEquals(third.line, "held");
    await third.process.stop();
  });
});
