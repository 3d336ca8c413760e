import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { type ConntrackLimits, raiseConntrackLimits } from "./conntrack_limits.ts";

const LIMITS: ConntrackLimits = {
  entriesPerCore: 32_768,
  minEntries: 131_072,
  establishedMs: 86_400_000,
  closeWaitMs: 3_600_000,
};

/** The settings as a kernel has them, by the ends of their names; what they are afterwards. */
async function withSettings(
  before: Readonly<Record<string, number>>,
  fn: (root: string) => void,
): Promise<Record<string, number>> {
  const root = await Deno.makeTempDir();
  const folder = `${root}/net/netfilter`;
  try {
    await Deno.mkdir(folder, { recursive: true });
    for (const [name, value] of Object.entries(before)) {
      await Deno.writeTextFile(`${folder}/nf_conntrack_${name}`, `${value}\n`);
    }
    fn(root);
    const after: Record<string, number> = {};
    for (const name of Object.keys(before)) {
      after[name] = Number(await Deno.readTextFile(`${folder}/nf_conntrack_${name}`));
    }
    return after;
  } finally {
    await Deno.remove(root, { recursive: true });
  }
}

/** Those of a small machine. */
const SMALL = {
  max: 65_536,
  buckets: 16_384,
  tcp_timeout_established: 432_000,
  tcp_timeout_close_wait: 60,
};

Deno.test("raiseConntrackLimits() raises what is too low, and lowers nothing", async () => {
  const after = await withSettings(SMALL, (root) => {
    assertEquals(raiseConntrackLimits(root, LIMITS, 2), {
      raised: [
        "net.netfilter.nf_conntrack_max=131072",
        "net.netfilter.nf_conntrack_buckets=32768",
        "net.netfilter.nf_conntrack_tcp_timeout_close_wait=3600",
      ],
      tooLow: [],
    });
    assertEquals(raiseConntrackLimits(root, LIMITS, 2), { raised: [], tooLow: [] });
  });
  assertEquals(after, {
    max: 131_072,
    buckets: 32_768,
    tcp_timeout_established: 432_000,
    tcp_timeout_close_wait: 3_600,
  });
});

Deno.test("raiseConntrackLimits() counts processors", async () => {
  const { max } = await withSettings(SMALL, (root) => void raiseConntrackLimits(root, LIMITS, 64));
  assertEquals(max, 2_097_152);
});

Deno.test("raiseConntrackLimits() leaves alone what is 0", async () => {
  const none = { entriesPerCore: 0, minEntries: 131_072, establishedMs: 0, closeWaitMs: 0 };
  const after = await withSettings(SMALL, (root) => {
    assertEquals(raiseConntrackLimits(root, none, 2), { raised: [], tooLow: [] });
  });
  assertEquals(after, SMALL);
});

Deno.test("raiseConntrackLimits() says what to set where it cannot", async () => {
  await withSettings(
    { max: 65_536, tcp_timeout_established: 432_000, tcp_timeout_close_wait: 60 },
    (root) => {
      const { raised, tooLow } = raiseConntrackLimits(root, LIMITS, 2);
      assertEquals(raised.length, 2);
      assertEquals(tooLow.length, 1);
      assertMatch(
        tooLow.join(),
        /^net\.netfilter\.nf_conntrack_buckets is below 32768, .*No such file.*set it on the node$/,
      );
    },
  );
});
