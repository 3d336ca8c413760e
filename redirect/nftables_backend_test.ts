import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { createNftablesBackend } from "./nftables_backend.ts";
import { RedirectError } from "./redirect_error.ts";
import { FakeNft } from "./testing/fake_nft.ts";

/** A kernel that takes no script with this in it. */
function kernelWithout(word: string): FakeNft {
  const nft = new FakeNft();
  const refuse = (script: string): void => {
    if (script.includes(word)) throw new RedirectError(`no ${word}`, { kind: "not-found" });
  };
  // The name of the table that is checked is another.
  nft.check = (script) => new Promise((resolve) => resolve(refuse(script)));
  nft.beforeApply = (script) => new Promise((resolve) => resolve(refuse(script)));
  return nft;
}

Deno.test("a kernel without ct timeout is given the table without it, any other lack is told", async () => {
  const tables: (readonly [string, number, number])[] = [];
  for (const word of ["ct timeout", "nothing"]) {
    const nft = kernelWithout(word);
    const backend = createNftablesBackend({ nft, ports: { tcp: 1666, http: 1667 } });
    await backend.probe();
    await backend.reconcile(() => []);
    const rules = [...nft.table?.chains.values() ?? []].flatMap(({ rules }) => rules);
    const using = rules.filter(({ text }) => text.includes("ct timeout")).length;
    tables.push([word, nft.table?.timeouts.size ?? 0, using]);
    // Found again as it was made.
    assertEquals((await backend.reconcile(() => [])).layoutDifferences, []);
  }
  assertEquals(tables, [["ct timeout", 0, 0], ["nothing", 2, 4]]);
  const backend = createNftablesBackend({ nft: kernelWithout("socket"), ports: { tcp: 1666, http: 1667 } });
  await assertRejects(() => backend.probe(), RedirectError, "no socket");
});
