import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { ABSENT, isAtLeast, whyNotInClientsName } from "./envoy_capability.ts";

const THERE = { mustBeThere: true };

Deno.test("isAtLeast() compares kernels", () => {
  const newer = ["5.17.0", "5.17.0-18-amd64", "6.1.0", "10.0"];
  const older = ["5.16.20", "4.19.0-27-amd64", "", "5.2"];
  assertEquals(newer.map((release) => isAtLeast(release, [5, 17])), newer.map(() => true));
  assertEquals(older.map((release) => isAtLeast(release, [5, 17])), older.map(() => false));
});

Deno.test("a process that is not there, or not to be seen, is said to be so", () => {
  using listener = Deno.listen({ transport: "unix", path: `${Deno.makeTempDirSync()}/admin.sock` });
  const path = (listener.addr as Deno.UnixAddr).path;
  // This process listens: what is said of it by its socket is what is said of it by its number.
  assertEquals(
    whyNotInClientsName({ adminSocket: path }, THERE),
    whyNotInClientsName({ pid: Deno.pid }, THERE),
  );
  assertEquals(whyNotInClientsName({ pid: 2 ** 30 }, THERE), "Envoy's process has just ended");
  assertMatch(
    String(whyNotInClientsName({ adminSocket: "/nowhere" }, THERE)),
    /^Envoy's process cannot be seen/,
  );
  assertEquals(whyNotInClientsName({ adminSocket: "/nowhere" }, { mustBeThere: false }), ABSENT);
});
