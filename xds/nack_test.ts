import { assertEquals } from "@std/assert/equals";
import { attributeNack } from "./nack.ts";

function attribute(message: string, names: readonly string[]): Record<string, string> {
  return Object.fromEntries(attributeNack(message, names));
}

Deno.test("attributeNack() reads the list of a wildcard subscription", () => {
  assertEquals(
    attribute("Error adding/updating cluster(s) 10.0.0.1:80: no such thing, 10.0.0.3:80: bad: worse", [
      "10.0.0.3:80",
      "10.0.0.2:80",
      "10.0.0.1:80",
    ]),
    { "10.0.0.1:80": "no such thing", "10.0.0.3:80": "bad: worse" },
  );
});

Deno.test("attributeNack() reads the form of an on-demand subscription", () => {
  assertEquals(
    attribute("Error adding/updating cluster 10.0.0.1:80 - 10.0.0.1:80: bad", ["10.0.0.1:80", "10.0.0.2:80"]),
    { "10.0.0.1:80": "bad" },
  );
});

Deno.test("attributeNack() tells a name from another that begins or ends with it", () => {
  const names = ["10.0.0.1:80", "10.0.0.1:8080", "110.0.0.1:80"];
  assertEquals(attribute("Error adding/updating cluster(s) 10.0.0.1:8080: bad", names), {
    "10.0.0.1:8080": "bad",
  });
  assertEquals(attribute("Error adding/updating cluster(s) 110.0.0.1:80: bad", names), {
    "110.0.0.1:80": "bad",
  });
  assertEquals(attribute("Error adding/updating cluster(s) 10.0.0.1:80: bad", names), {
    "10.0.0.1:80": "bad",
  });
});

Deno.test("attributeNack() reads IPv6 names", () => {
  assertEquals(attribute("Error adding/updating cluster(s) [fd00::1]:80: bad", ["[fd00::1]:80", "1]:80"]), {
    "[fd00::1]:80": "bad",
  });
});

Deno.test("attributeNack() does not blame a name that a reason mentions", () => {
  const message = "Error adding/updating cluster(s) 10.0.0.1:80: same address as 10.0.0.2:80: drop one";
  assertEquals(Object.keys(attribute(message, ["10.0.0.1:80", "10.0.0.2:80"])), ["10.0.0.1:80"]);
});

Deno.test("attributeNack() finds nothing in messages of another form", () => {
  const names = ["10.0.0.1:80"];
  assertEquals(attribute("Proto constraint validation failed (ClusterValidationError.Name)", names), {});
  assertEquals(attribute("malformed IP address: 10.0.0.1:80: oops", names), {});
  assertEquals(attribute("Bad things: one, 10.0.0.1:80: two", names), {});
  assertEquals(attribute("", names), {});
});
