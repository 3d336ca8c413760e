import { assertEquals } from "@std/assert/equals";
import { defaultInterface, readNodeNetwork } from "./node_network.ts";

/** As the kernel prints it, with its padding. */
const V4 = `Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
*\t00000000\t00000000\t0200\t0\t0\t0\t00000000\t0\t0\t0
wlan0\t00000000\t0101A8C0\t0003\t0\t0\t600\t00000000\t0\t0\t0
eth0\t00000000\t010200C0\t0003\t0\t0\t100\t00000000\t0\t0\t0
tun0\t00000000\t00000000\t0001\t0\t0\t0\t00000080\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
`;
const ZEROS = "0".repeat(32);
const V6 = [
  `fd${"0".repeat(30)} 40 ${ZEROS} 00 ${ZEROS} 00000100 00000001 00000000 00000001     eth1`,
  `${ZEROS} 00 ${ZEROS} 00 fd${"0".repeat(29)}1 00000400 00000002 00000000 00000003     eth0`,
  `${ZEROS} 00 ${ZEROS} 00 fd${"0".repeat(29)}2 00000200 00000002 00000000 00000003     eth2`,
  `${ZEROS} 00 ${ZEROS} 00 ${ZEROS} 00000100 00000001 00000000 00200200       lo`,
  `${ZEROS} 01 ${ZEROS} 00 ${ZEROS} 00000001 00000001 00000000 00000001     tun0`,
].join("\n");

Deno.test("the default route with the smallest metric leads through its interface; one that rejects leads nowhere", () => {
  assertEquals(defaultInterface("IPv4", V4), "eth0");
  assertEquals(defaultInterface("IPv6", V6), "eth2");
});

Deno.test("a table without a default route, or without anything, names no interface", () => {
  assertEquals(
    defaultInterface("IPv4", V4.split("\n").filter((line) => !line.includes("0003")).join("\n")),
    undefined,
  );
  assertEquals(defaultInterface("IPv6", V6.split("\n")[0] ?? ""), undefined);
  for (const family of ["IPv4", "IPv6"] as const) assertEquals(defaultInterface(family, ""), undefined);
});

Deno.test("this machine has the interfaces it names", () => {
  const { interfaces, defaultInterfaces } = readNodeNetwork();
  const names = new Set(interfaces.map(({ name }) => name));
  for (const name of Object.values(defaultInterfaces)) assertEquals(names.has(name), true, name);
});
