import { assertEquals } from "@std/assert/equals";
import {
  asksForZone,
  endpointTiers,
  mayBeNear,
  parseTrafficDistribution,
  tiersOf,
  type TrafficDistribution,
} from "./nearness.ts";
import { type Place, placeOf } from "./place.ts";
import { endpoint } from "./testing/objects.ts";

/** Places as node-1 sees them, each written `node zone`, with hints `>zones` and `@nodes` behind. */
function places(...texts: readonly string[]): readonly Place[] {
  return texts.map((text) => {
    const words = text.split(" ");
    const hinted = (sign: string): readonly string[] =>
      words.filter((word) => word.startsWith(sign)).map((word) => word.slice(1));
    const [nodeName = "", zone = ""] = words.map((word) => word === "-" ? "" : word);
    return placeOf(
      endpoint("10.244.0.1", { nodeName, zone, hintedZones: hinted(">"), hintedNodes: hinted("@") }),
      "node-1",
    );
  });
}

/** In zone-a. */
function tiers(distribution: TrafficDistribution, ...texts: readonly string[]): readonly number[] {
  return tiersOf(places(...texts), { distribution, zone: "zone-a" });
}

Deno.test("parseTrafficDistribution() knows both names of the zone, and what is not followed", () => {
  const values = ["", "PreferSameZone", "PreferClose", "PreferSameNode", "prefersamezone"];
  assertEquals(values.map(parseTrafficDistribution), [
    "",
    "PreferSameZone",
    "PreferSameZone",
    "PreferSameNode",
    undefined,
  ]);
});

Deno.test("placeOf() keeps one copy of what is the same from here, and no names of nodes", () => {
  const [one, same, other] = places(
    "node-2 zone-b @node-3",
    "node-3 zone-b @node-2",
    "node-2 zone-c @node-3",
  );
  assertEquals(one === same, true);
  assertEquals(one === other, false);
  const hinted = places("n z >a >b", "m z >a >b", "n z >b", "n y >b", "n z");
  assertEquals(hinted.map((place) => hinted.indexOf(place)), [0, 0, 2, 3, 4]);
  assertEquals(new Set(hinted.map(({ text }) => text)).size, 4);
});

Deno.test("on a node without a name and a zone nothing is near or far", () => {
  const here = endpoint("10.244.0.1", { nodeName: "n", zone: "z", hintedNodes: ["n"], hintedZones: ["z"] });
  const place = placeOf(here, "");
  assertEquals([place.node, place.forNodes], ["unknown", "unknown"]);
  for (const distribution of ["", "PreferSameZone", "PreferSameNode"] as const) {
    assertEquals(mayBeNear(place, { distribution, zone: "" }), false);
    assertEquals(tiersOf([place, ...places("m y >y")], { distribution, zone: "" }), [0, 0]);
  }
});

Deno.test("tiersOf() without distribution and hints knows one tier", () => {
  assertEquals(tiers("", "node-1 zone-a", "node-2 zone-b"), [0, 0]);
});

Deno.test("tiersOf(): PreferSameZone, by where the endpoints are as long as nobody hints", () => {
  assertEquals(tiers("PreferSameZone", "node-1 zone-a", "node-2 zone-a", "node-3 zone-b"), [0, 0, 1]);
  assertEquals(tiers("PreferSameZone", "node-3 zone-b", "node-4 zone-c"), [0, 0], "none in the zone");
  assertEquals(tiers("PreferSameZone", "node-1 zone-a", "node-9 -"), [0, 0], "one in no zone");
});

Deno.test("tiersOf(): PreferSameNode, then the zone, then the others", () => {
  assertEquals(tiers("PreferSameNode", "node-1 zone-a", "node-2 zone-a", "node-3 zone-b"), [0, 1, 2]);
  assertEquals(tiers("PreferSameNode", "node-2 zone-a", "node-3 zone-b"), [0, 1], "none on the node");
  assertEquals(tiers("PreferSameNode", "node-1 -", "node-2 zone-a"), [0, 1], "the zone of one is unknown");
});

Deno.test("tiersOf() follows hints whatever the Service says, as kube-proxy does", () => {
  assertEquals(tiers("", "node-1 zone-a >zone-b", "node-3 zone-b >zone-a >zone-c"), [1, 0]);
  assertEquals(tiers("PreferSameZone", "node-1 zone-a >zone-b", "node-3 zone-b >zone-a"), [1, 0]);
  assertEquals(tiers("", "node-2 zone-a @node-1", "node-1 zone-a @node-2"), [0, 1]);
  assertEquals(tiers("", "node-2 zone-b @node-1 >zone-b", "node-3 zone-a @node-3 >zone-a", "n z @n >z"), [
    0,
    1,
    2,
  ]);
});

Deno.test("tiersOf() leaves hints alone that not every endpoint has, or that name nobody here", () => {
  assertEquals(tiers("", "node-1 zone-a >zone-a", "node-3 zone-b"), [0, 0]);
  assertEquals(tiers("", "node-1 zone-a >zone-b", "node-3 zone-b >zone-c"), [0, 0]);
  assertEquals(
    tiers("", "node-1 zone-a @node-1 >zone-a", "node-3 zone-b >zone-b"),
    [0, 1],
    "those for zones hold",
  );
  assertEquals(
    tiers("PreferSameZone", "node-1 zone-a >zone-a", "node-3 zone-b"),
    [0, 0],
    "though it could be guessed",
  );
});

Deno.test("mayBeNear() where an endpoint could come first, though it does not now", () => {
  const may = (distribution: TrafficDistribution, ...texts: readonly string[]): readonly boolean[] =>
    places(...texts).map((place) => mayBeNear(place, { distribution, zone: "zone-a" }));
  assertEquals(may("", "node-1 zone-a", "node-3 zone-b", "node-3 zone-b >zone-b", "- - @node-2"), [
    false,
    false,
    true,
    true,
  ]);
  assertEquals(may("PreferSameZone", "node-3 zone-b", "node-1 -"), [true, false]);
  assertEquals(may("PreferSameNode", "node-3 -", "- zone-b", "- -"), [true, true, false]);
});

Deno.test("asksForZone() where an endpoint is hinted for zones, or in one and a distribution is asked for", () => {
  const asks = (distribution: TrafficDistribution, ...texts: readonly string[]): readonly boolean[] =>
    places(...texts).map((place) => asksForZone(place, distribution));
  assertEquals(asks("", "node-1 zone-a", "node-3 - >zone-b", "- - @node-2"), [false, true, false]);
  assertEquals(asks("PreferSameZone", "node-3 zone-b", "node-1 -"), [true, false]);
});

Deno.test("endpointTiers() are in order, and none is empty", () => {
  const at = (address: string, tier?: number): Parameters<typeof endpointTiers>[0][number] => {
    const common = { address, port: 1, zone: "", isLocal: false };
    return tier === undefined ? common : { ...common, tier };
  };
  const found = (...endpoints: Parameters<typeof endpointTiers>[0]): readonly (readonly string[])[] =>
    endpointTiers(endpoints).map((tier) => tier.map(({ address }) => address));
  assertEquals(found(at("a", 2), at("b"), at("c", 2), at("d")), [["b", "d"], ["a", "c"]]);
  assertEquals(found(at("a"), at("b")), [["a", "b"]]);
  assertEquals(found(), []);
});
