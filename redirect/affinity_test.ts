import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { AFFINITY_TIMEOUTS, endpointId, timeoutValue } from "./affinity.ts";

Deno.test("timeoutValue() never shortens a time", () => {
  const secondsOf = (value: string): number =>
    AFFINITY_TIMEOUTS[parseInt(value.split(":")[1] ?? "", 16) - 1] ?? 0;
  for (
    const [wanted, kept] of [[1, 5], [5, 5], [6, 10], [10_800, 10_800], [10_801, 21_600], [
      86_400,
      86_400,
    ]] as const
  ) {
    assertEquals(secondsOf(timeoutValue(wanted)), kept);
  }
});

Deno.test("endpointId() stays within its range, and tells endpoints apart", () => {
  const ids = new Set<string>();
  for (let host = 0; host < 5_000; host++) {
    const id = endpointId(`10.244.${host >> 8}.${host & 255} . 8080`);
    const [major = 0, minor = 0] = id.split(":").map((part) => parseInt(part, 16));
    assert(major >= 0x4d00 && major <= 0x5cff && minor >= 1 && minor <= 0xffff, id);
    ids.add(id);
  }
  assert(ids.size > 4_990);
});
