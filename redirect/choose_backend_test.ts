import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { createLogger, silentLogger } from "../agent/log.ts";
import type { RedirectBackend } from "./backend.ts";
import { chooseBackend, removeLeftovers } from "./choose_backend.ts";
import { createIptablesBackend } from "./iptables/iptables_backend.ts";
import { findIptables } from "./iptables/find_iptables.ts";
import type { Programs } from "./iptables/programs.ts";
import { createNftablesBackend } from "./nftables_backend.ts";
import { RedirectError, type RedirectErrorKind } from "./redirect_error.ts";
import { FakeNft } from "./testing/fake_nft.ts";
import { FakePrograms } from "./testing/fake_programs.ts";

const PORTS = { tcp: 1666, http: 1667 };

function refuse(kind: RedirectErrorKind, message = kind as string): () => Promise<never> {
  return () => Promise.reject(new RedirectError(message, { kind }));
}

/** Both, each refusing as it is told. */
function candidates(
  refusals: { readonly nft?: RedirectErrorKind; readonly iptables?: RedirectErrorKind },
): { readonly nftables: RedirectBackend; readonly iptables: () => Promise<RedirectBackend> } {
  const nft = new FakeNft();
  nft.check = refusals.nft === undefined
    ? () => Promise.resolve()
    : refuse(refusals.nft, `nft: ${refusals.nft}`);
  const programs = new FakePrograms();
  if (refusals.iptables !== undefined) programs.saveSets = refuse(refusals.iptables, "no ipset");
  const iptables = createIptablesBackend({ programs, families: ["4"], ports: PORTS });
  return {
    nftables: createNftablesBackend({ nft, ports: PORTS }),
    iptables: () => Promise.resolve(iptables),
  };
}

Deno.test("nftables where it can be, else iptables with the reason; each alone where it is asked for", async () => {
  const lines: string[] = [];
  const logger = createLogger({ level: "info", format: "text", write: (line) => lines.push(line) });
  const chosen = async (
    wanted: Parameters<typeof chooseBackend>[0],
    refusals: Parameters<typeof candidates>[0],
  ): Promise<string> => (await chooseBackend(wanted, { candidates: candidates(refusals), logger })).name;
  assertEquals(await chosen("auto", { iptables: "missing-binary" }), "nftables");
  assertEquals(await chosen("iptables", { nft: "missing-binary" }), "iptables");
  assertEquals(await chosen("nftables", { iptables: "missing-binary" }), "nftables");
  assertEquals(lines, []);
  assertEquals(await chosen("auto", { nft: "unsupported" }), "iptables");
  assertEquals(lines.map((line) => line.includes("nft: unsupported")), [true]);
});

Deno.test("what is in the way is said: of both where neither can be, of nftables alone where nobody may", async () => {
  for (
    const [wanted, refusals, message] of [
      [
        "auto",
        { nft: "missing-binary", iptables: "unsupported" },
        "nft: missing-binary. Nor is there iptables: no ipset",
      ],
      ["auto", { nft: "permission" }, "nft: permission"],
      ["nftables", { nft: "unsupported" }, "nft: unsupported"],
      ["iptables", { iptables: "unsupported" }, "no ipset"],
    ] as const
  ) {
    await assertRejects(
      () => chooseBackend(wanted, { candidates: candidates(refusals), logger: silentLogger }),
      RedirectError,
      message,
    );
  }
});

Deno.test("leftovers: one that cannot be removed does not keep the others; who is not there left nothing", async () => {
  const lines: string[] = [];
  const logger = createLogger({ level: "info", format: "text", write: (line) => lines.push(line) });
  let removed = 0;
  await removeLeftovers(
    [refuse("missing-binary"), refuse("busy"), () => Promise.resolve(void removed++)],
    logger,
  );
  assertEquals([removed, lines.length], [1, 1]);
});

Deno.test("of two kinds of iptables the one that the kubelet marked, else the one with more rules, else the first", async () => {
  const saved = (name: string, text: string): Programs => {
    const programs = new FakePrograms();
    return Object.assign(programs, { name, saveTables: () => Promise.resolve(text) });
  };
  const found = async (...programs: readonly Programs[]): Promise<string[]> =>
    (await findIptables(programs)).map(({ name }) => name);
  const rule = "-A INPUT -j ACCEPT\n";
  assertEquals(await found(saved("nft", ""), saved("legacy", "")), ["nft", "legacy"]);
  assertEquals(await found(saved("nft", rule), saved("legacy", rule + rule)), ["legacy", "nft"]);
  // Our own say nothing of the node.
  assertEquals(await found(saved("nft", ""), saved("legacy", "-A LIGHTPATH -j RETURN\n")), ["nft", "legacy"]);
  const marked = `*mangle\n:KUBE-KUBELET-CANARY - [0:0]\n`;
  assertEquals(await found(saved("nft", marked), saved("legacy", rule)), ["nft", "legacy"]);
  const missing = Object.assign(new FakePrograms(), { saveTables: refuse("missing-binary") });
  assertEquals(await found(missing, saved("legacy", "")), ["legacy"]);
});
