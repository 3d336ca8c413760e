import { assertEquals } from "@std/assert/equals";
import { assertRejects } from "@std/assert/rejects";
import { join } from "@std/path/join";
import { withFileLock } from "./file_lock.ts";

async function withLockPath(test: (path: string) => Promise<void>): Promise<void> {
  const directory = await Deno.makeTempDir();
  try {
    await test(join(directory, "lock"));
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
}

Deno.test("withFileLock() lets one holder run at a time and tells the other that it waits", async () => {
  await withLockPath(async (path) => {
    const steps: string[] = [];
    const entered = Promise.withResolvers<void>();
    const waits = Promise.withResolvers<void>();
    const first = withFileLock(path, async () => {
      entered.resolve();
      await waits.promise;
      steps.push("first leaves");
    });
    await entered.promise;
    const second = withFileLock(path, () => Promise.resolve(steps.push("second enters")), {
      onWait: () => {
        steps.push("second waits");
        waits.resolve();
      },
    });
    await Promise.all([first, second]);
    assertEquals(steps, ["second waits", "first leaves", "second enters"]);
  });
});

Deno.test("withFileLock() is released by a holder that throws, and a wait for it can be aborted", async () => {
  await withLockPath(async (path) => {
    await assertRejects(() => withFileLock(path, () => Promise.reject(new Error("no"))), Error, "no");
    await withFileLock(path, async () => {
      const abort = new AbortController();
      const waiting = withFileLock(path, () => Promise.resolve(), {
        onWait: () => abort.abort(new Error("enough")),
        signal: abort.signal,
      });
      await assertRejects(() => waiting, Error, "enough");
    });
  });
});
