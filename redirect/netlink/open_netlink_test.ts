import { assertEquals } from "@std/assert/equals";
import { createLogger } from "../../agent/log.ts";
import { openNetlink } from "./open_netlink.ts";

/** Tries to open, and returns what was logged. */
async function linesOfOpening(): Promise<string[]> {
  const lines: string[] = [];
  const logger = createLogger({ level: "debug", format: "json", write: (line) => lines.push(line) });
  using netlink = await openNetlink(logger);
  assertEquals(netlink, undefined);
  return lines;
}

Deno.test(
  {
    name: "where Deno may not call foreign code that is said once, and nft writes",
    permissions: { ffi: false },
  },
  async () => {
    const [line = "", ...others] = await linesOfOpening();
    const { level, message, reason } = JSON.parse(line);
    assertEquals([level, message, reason, others], [
      "warn",
      "nft writes all changes, which takes longer than over netlink, and what others do to the table is found at --resync-interval only",
      "Deno was started without --allow-ffi",
      [],
    ]);
  },
);
