import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { ABSENT, inodeOf, isAtLeast, whyNotInClientsName } from "./envoy_capability.ts";

const THERE = { mustBeThere: true };

const SOCKETS = `Num       RefCount Protocol Flags    Type St Inode Path
000000009f7a1748: 00000003 00000000 00000000 0001 03 20885850
00000000e70b1cd9: 00000003 00000000 00000000 0001 03 20885851 /run/lightpath/envoy-admin.sock
000000001e7b2eef: 00000002 00000000 00010000 0001 01  2088 /run/lightpath/envoy-admin.sock
000000001e7b2ee0: 00000002 00000000 00010000 0001 01 20886 /run/lightpath/envoy-admin.sock.old
`;

Deno.test("inodeOf() finds the socket that listens at a path", () => {
  assertEquals(inodeOf(SOCKETS, "/run/lightpath/envoy-admin.sock"), "2088");
  assertEquals(inodeOf(SOCKETS, "/run/lightpath/other.sock"), undefined);
  assertEquals(inodeOf("", ""), undefined);
});

Deno.test("isAtLeast() compares kernels", () => {
  const newer = ["5.17.0", "5.17.0-18-amd64", "6.1.0", "10.0"];
  const older = ["5.16.20", "4.19.0-27-amd64", "", "5.2"];
  assertEquals(newer.map((release) => isAtLeast(release, [5, 17])), newer.map(() => true));
  assertEquals(older.map((release) => isAtLeast(release, [5, 17])), older.map(() => false));
});

Deno.test("a process that is not there, or not to be seen, is said to be so", async () => {
  using listener = Deno.listen({ transport: "unix", path: `${Deno.makeTempDirSync()}/admin.sock` });
  const path = (listener.addr as Deno.UnixAddr).path;
  // This process listens: what is said of it by its socket is what is said of it by its number.
  assertEquals(
    await whyNotInClientsName({ adminSocket: path }, THERE),
    await whyNotInClientsName({ pid: Deno.pid }, THERE),
  );
  assertEquals(await whyNotInClientsName({ pid: 2 ** 30 }, THERE), "Envoy's process has just ended");
  assertMatch(
    String(await whyNotInClientsName({ adminSocket: "/nowhere" }, THERE)),
    /^Envoy's process cannot be seen/,
  );
  assertEquals(await whyNotInClientsName({ adminSocket: "/nowhere" }, { mustBeThere: false }), ABSENT);
});
