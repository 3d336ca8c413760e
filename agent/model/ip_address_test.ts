import { assertEquals } from "@std/assert/equals";
import { parseIPAddress, unusableAddress } from "./ip_address.ts";

Deno.test("parseIPAddress() gives the text Envoy and the kernel print", () => {
  const cases: readonly (readonly [string, string | undefined])[] = [
    ["10.96.0.10", "10.96.0.10"],
    ["255.255.255.255", "255.255.255.255"],
    ["FD00:0:0:0::1", "fd00::1"],
    ["fd00:0:0:1:0:0:0:1", "fd00:0:0:1::1"],
    ["2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"],
    ["::ffff:10.0.0.1", "10.0.0.1"],
    ["::", "::"],
    ["010.0.0.1", undefined],
    ["0x0a.0.0.1", undefined],
    ["10.0.1", undefined],
    ["10.0.0.256", undefined],
    ["10.0.0.1.", undefined],
    ["10.0.0.1/24", undefined],
    ["fe80::1%eth0", undefined],
    [" 10.0.0.1", undefined],
    ["fd00::1::2", undefined],
    ["echo.default", undefined],
    ["", undefined],
  ];
  for (const [text, expected] of cases) assertEquals(parseIPAddress(text)?.address, expected, `"${text}"`);
});

Deno.test("unusableAddress() refuses what nobody can connect to", () => {
  const reason = (text: string): string | undefined => {
    const parsed = parseIPAddress(text);
    return parsed && unusableAddress(parsed);
  };
  assertEquals(reason("0.0.0.0"), "is the unspecified address");
  assertEquals(reason("::"), "is the unspecified address");
  assertEquals(reason("224.0.0.1"), "is a multicast address");
  assertEquals(reason("ff02::1"), "is a multicast address");
  assertEquals(reason("10.0.0.1"), undefined);
  assertEquals(reason("127.0.0.1"), undefined);
});
