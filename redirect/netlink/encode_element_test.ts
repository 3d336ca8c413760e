import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import ipaddr from "ipaddr.js";
import { Random } from "../../agent/model/testing/random.ts";
import { CONTAINERS } from "../containers.ts";
import type { PlanElement } from "../plan.ts";
import { Bytes } from "./bytes.ts";
import { isEncodable, writeElement } from "./encode_element.ts";

/** In hexadecimal digits. */
function encoded(container: string, key: string, value = ""): string {
  const bytes = new Bytes(1);
  writeElement(bytes, { container, key, value } as PlanElement, { withValue: value !== "" });
  return bytes.written().toHex();
}

/**
 * Container, key, value, and what nft 1.0.6 puts into its list of elements when it is told to add that, as seen by
 * `strace -e trace=sendmsg -e write=all nft 'add element …'`.
 */
const GOLDEN = (await Deno.readTextFile(
  new URL("../../testdata/redirect/elements_nft_1_0_6.tsv", import.meta.url),
)).trimEnd().split("\n").map((line) => line.split("\t"));

Deno.test("writeElement() writes what nft sends, for every set and map that a plan fills", () => {
  for (const [container = "", key = "", value, bytes = ""] of GOLDEN) {
    assertEquals(encoded(container, key, value), bytes, `${container} ${key} : ${value}`);
  }
  const shown = new Set(GOLDEN.map(([container]) => container));
  const ofAPlan = CONTAINERS.filter(({ name, dynamicSize }) =>
    dynamicSize === undefined && isEncodable(name)
  );
  assertEquals(ofAPlan.map(({ name }) => name).filter((name) => !shown.has(name)), []);
});

Deno.test("writeElement() leaves out the value where it is not asked for", () => {
  const bytes = new Bytes(1);
  const element: PlanElement = { container: "envoy-address-4", key: "tcp", value: "192.0.2.1" };
  writeElement(bytes, element, { withValue: false });
  assertEquals(bytes.written().toHex(), "100001800c0001800500010006000000");
});

Deno.test("writeElement() writes any address as ipaddr.js reads it", () => {
  const random = new Random(1);
  for (let time = 0; time < 2_000; time++) {
    const octets = Array.from({ length: 16 }, () => random.chance(0.6) ? 0 : random.integer(0, 255));
    const address = new ipaddr.IPv6(octets).toRFC5952String();
    // A mapped address has no canonical text of its own.
    if (new ipaddr.IPv6(octets).isIPv4MappedAddress()) continue;
    assertEquals(encoded("node-addresses-6", address).slice(24), new Uint8Array(octets).toHex(), address);
    const [a = 0, b = 0, c = 0, d = 0] = octets;
    const quad = `${a}.${b}.${c}.${d}`;
    assertEquals(encoded("node-addresses-4", quad).slice(24), new Uint8Array([a, b, c, d]).toHex(), quad);
  }
});

Deno.test("writeElement() writes a range by its first and its last address", () => {
  const random = new Random(2);
  for (let time = 0; time < 500; time++) {
    const prefix = random.integer(0, 128);
    const first = ipaddr.IPv6.networkAddressFromCIDR(`2001:db8:ffff:1:2:3:4:5/${prefix}`);
    const last = ipaddr.IPv6.broadcastAddressFromCIDR(`2001:db8:ffff:1:2:3:4:5/${prefix}`);
    const text = encoded("allowed-sources-6", `fd00::1 . tcp . 80 . ${first.toRFC5952String()}/${prefix}`);
    const [key, keyEnd] = text.split(/(?=30000a80)/);
    assertEquals(key?.slice(-32), new Uint8Array(first.toByteArray()).toHex(), `/${prefix}`);
    assertEquals(keyEnd?.slice(-32), new Uint8Array(last.toByteArray()).toHex(), `/${prefix}`);
  }
});

Deno.test("writeElement() refuses what is no element of the table", () => {
  const bad: readonly (readonly [container: string, ...(readonly [key: string, value?: string])])[] = [
    ["node-addresses-4", "10.0.0"],
    ["node-addresses-4", "10.0.0.256"],
    ["node-addresses-4", "10.0.0.1.2"],
    ["node-addresses-4", "10..0.1"],
    ["node-addresses-4", "10.0.0.1 "],
    ["node-addresses-4", ""],
    ["node-addresses-4", "fd00::1"],
    ["node-addresses-6", "10.0.0.1"],
    ["node-addresses-6", "fd00::1::2"],
    ["node-addresses-6", "1:2:3:4:5:6:7"],
    ["node-addresses-6", "1:2:3:4:5:6:7:8:9"],
    ["node-addresses-6", "1:2:3:4::5:6:7:8"],
    ["node-addresses-6", "fd00::12345"],
    ["node-addresses-6", "fd00::g"],
    ["envoy-ready", "icmp"],
    ["no-endpoint-nodeports-4", "tcp . 70000"],
    ["no-endpoint-nodeports-4", "tcp . 80a"],
    ["no-endpoint-nodeports-4", "tcp . -1"],
    ["no-endpoint-nodeports-4", "tcp"],
    ["no-endpoint-nodeports-4", "tcp . 80 . 80"],
    ["service-nodeports-4", "tcp . 80", "envoy"],
    ["service-nodeports-4", "tcp . 80", "4c51"],
    ["service-nodeports-4", "tcp . 80", "14c51:1"],
    ["service-nodeports-4", "tcp . 80", "4c51:1:1"],
    ["endpoints-nodeports-4", "tcp . 80 . 4294967296", "10.0.0.1 . 80"],
    ["endpoints-nodeports-4", "tcp . 80 . 0", "10.0.0.1"],
    ["allowed-sources-4", "10.0.0.1 . tcp . 80 . 10.0.0.0/33"],
    ["allowed-sources-4", "10.0.0.1 . tcp . 80 . 10.0.0.0/"],
  ];
  for (const [container, key, value] of bad) {
    assertThrows(
      () => encoded(container, key, value),
      RangeError,
      undefined,
      `${container} ${key} : ${value}`,
    );
  }
  assertThrows(() => encoded("nowhere", "tcp"), TypeError);
});
