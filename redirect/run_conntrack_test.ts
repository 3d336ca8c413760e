import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { join } from "@std/path/join";
import { type Conntrack, ConntrackError } from "./conntrack.ts";
import { createConntrack } from "./run_conntrack.ts";
import { flowTo } from "./testing/udp_flows.ts";
import type { UdpFlow } from "./udp_flow.ts";

const LINE = "udp      17 29 src=10.244.0.5 dst=10.96.0.10 sport=1003 dport=53 [UNREPLIED] src=10.244.1.9 " +
  "dst=10.244.0.5 sport=5353 dport=1003 mark=0 use=1";
const FLOW = flowTo("10.96.0.10 53", "10.244.1.9 5353");

/** Calls `use` with a conntrack that is a shell script. */
async function withScript(
  script: string,
  use: (conntrack: Conntrack, path: string) => Promise<void>,
  timeoutMs = 10_000,
): Promise<void> {
  const folder = await Deno.makeTempDir({ prefix: "lightpath-conntrack-" });
  try {
    const path = join(folder, "conntrack");
    await Deno.writeTextFile(path, `#!/bin/sh\n${script}\n`, { mode: 0o755 });
    await use(createConntrack({ conntrackPath: path, timeoutMs }), path);
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
}

async function read(conntrack: Conntrack, signal = new AbortController().signal): Promise<UdpFlow[]> {
  const flows: UdpFlow[] = [];
  await conntrack.readUdpFlows({ family: "IPv4", onFlow: (flow) => flows.push(flow), signal });
  return flows;
}

function remove(conntrack: Conntrack, like: UdpFlow = FLOW): Promise<number> {
  return conntrack.deleteUdpFlows(like, new AbortController().signal);
}

async function refusal(act: () => Promise<unknown>): Promise<ConntrackError> {
  return await assertRejects(act, ConntrackError);
}

Deno.test("readUdpFlows() hands over each line's flow, however the output is cut, and skips what is none", async () => {
  const script = `echo "$* $LC_ALL" >"$0.args"; printf '%s' '${LINE.slice(0, 70)}'; sleep 0.05
printf '%s\\n' '${LINE.slice(70)}' 'unknown 47 src=10.0.0.1' '${LINE}'; echo '2 flow entries' >&2`;
  await withScript(script, async (conntrack, path) => {
    assertEquals(await read(conntrack), [FLOW, FLOW]);
    assertEquals(await Deno.readTextFile(`${path}.args`), "-L -p udp -f ipv4 C\n");
  });
});

Deno.test("deleteUdpFlows() names destination and answerer, and the zone where nothing was translated", async () => {
  const script = `echo "$*" >"$0.args"; echo "${LINE}"
echo "conntrack v1.4.7 (conntrack-tools): 3 flow entries have been deleted." >&2`;
  await withScript(script, async (conntrack, path) => {
    assertEquals(await remove(conntrack), 3);
    assertEquals(
      await Deno.readTextFile(`${path}.args`),
      "-D -p udp -f ipv4 --orig-dst 10.96.0.10 --orig-port-dst 53 --reply-src 10.244.1.9 --reply-port-src 5353\n",
    );
    await remove(conntrack, flowTo("fd00:96::a 53", "fd00:96::a 53"));
    assertMatch(await Deno.readTextFile(`${path}.args`), /-f ipv6 --orig-dst fd00:96::a .* --zone 0\n$/);
  });
});

Deno.test("to find none any more is no fault", async () => {
  const script = "echo 'conntrack v1.4.7 (conntrack-tools): 0 flow entries have been deleted.' >&2; exit 1";
  await withScript(script, async (conntrack) => assertEquals(await remove(conntrack), 0));
});

Deno.test("faults say what is wrong and who can mend it", async () => {
  const missing = await refusal(() => read(createConntrack({ conntrackPath: "/proc/none/conntrack" })));
  assertEquals(missing.kind, "missing-binary");
  assertMatch(
    missing.message,
    /^no program "\/proc\/none\/conntrack"; install the package conntrack .*--conntrack-bin$/,
  );

  const denied = "Operation failed: sorry, you must be root or get CAP_NET_ADMIN capability to do this";
  await withScript(`echo 'conntrack v1.4.7 (conntrack-tools): ${denied}' >&2; exit 1`, async (conntrack) => {
    for (const act of [() => read(conntrack), () => remove(conntrack)]) {
      const error = await refusal(act);
      assertEquals(error.kind, "permission");
      assertMatch(error.message, /root or with the capability CAP_NET_ADMIN/);
    }
  });
  await withScript(
    "echo 'conntrack v1.4.7 (conntrack-tools): unknown option' >&2; exit 2",
    async (conntrack) => {
      const error = await refusal(() => remove(conntrack));
      assertEquals([error.kind, error.message], ["other", "conntrack refused: unknown option"]);
    },
  );
  await withScript("echo '<flow>10.96.0.10</flow>'", async (conntrack) => {
    assertEquals((await refusal(() => read(conntrack))).kind, "unreadable");
  });
});

Deno.test("a call that takes too long, or is not wanted any more, is ended", async () => {
  // It becomes the sleep, which so ends with it.
  await withScript("exec sleep 60", async (conntrack) => {
    assertEquals((await refusal(() => read(conntrack))).kind, "timeout");
  }, 50);
  await withScript("exec sleep 60", async (conntrack) => {
    const end = new AbortController();
    const reading = refusal(() => read(conntrack, end.signal));
    end.abort();
    assertEquals((await reading).kind, "aborted");
    assertEquals((await refusal(() => read(conntrack, end.signal))).kind, "aborted");
  });
});
