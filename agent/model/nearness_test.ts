import { assertEquals } from "@std/assert/equals";
import { endpointTiers, prefersOwnZone } from "./preferred_zone.ts";
import type { Endpoint } from "./types.ts";

const ENDPOINTS: readonly Endpoint[] = [
  { address: "10.244.0.9", port: 8080, zone: "" },
  { address: "10.244.0.5", port: 8080, zone: "zone-a" },
  { address: "10.244.1.5", port: 8080, zone: "zone-b" },
  { address: "10.244.2.5", port: 8080, zone: "zone-c" },
];

function tiers(preferredZone: string, endpoints = ENDPOINTS): string[][] {
  return endpointTiers(endpoints, preferredZone).map((tier) => tier.map(({ zone }) => zone));
}

Deno.test("prefersOwnZone() knows both names of it, and what is not followed", () => {
  const values = ["", "PreferSameZone", "PreferClose", "PreferSameNode", "prefersamezone"];
  assertEquals(values.map(prefersOwnZone), [false, true, true, undefined, undefined]);
});

Deno.test("endpointTiers(): the preferred zone first, then all others alike", () => {
  assertEquals(tiers("zone-b"), [["zone-b"], ["", "zone-a", "zone-c"]]);
});

Deno.test("endpointTiers() is one tier where no zone is preferred, or it has none of them, or all", () => {
  assertEquals(tiers(""), [["", "zone-a", "zone-b", "zone-c"]]);
  assertEquals(tiers("zone-z"), [["", "zone-a", "zone-b", "zone-c"]]);
  assertEquals(tiers("zone-a", ENDPOINTS.slice(1, 2)), [["zone-a"]]);
});

Deno.test("endpointTiers() of no endpoints has no tier", () => {
  assertEquals([tiers("", []), tiers("zone-a", [])], [[], []]);
});
