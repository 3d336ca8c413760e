import { assertEquals } from "@std/assert/equals";
import { diffChanges } from "./diff.ts";
import { planServicePort } from "./plan.ts";
import { SharedElements } from "./shared_elements.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import type { ServicePort } from "../agent/model/mod.ts";
import { withEndpoints } from "./testing/endpoints.ts";
import { changes } from "./testing/random_ports.ts";

function local(name: string, ...endpoints: readonly string[]): ServicePort {
  return withEndpoints(
    servicePort({ name, vips: [], protocol: "UDP", nodePort: 30000 + name.charCodeAt(0) }),
    endpoints,
    endpoints,
  );
}

/** What a change does to hairpins, in a word each. */
function hairpins(
  shared: SharedElements,
  ...pairs: readonly (readonly [ServicePort | undefined, ServicePort | undefined])[]
): string[] {
  const delta = diffChanges(changes(...pairs), shared);
  const words = (sign: string, elements: typeof delta.add): string[] =>
    elements.filter(({ container }) => container === "hairpin-4").map(({ key }) =>
      `${sign}${key.split(" ")[0]}`
    );
  return [...words("-", delta.delete), ...words("+", delta.add)];
}

Deno.test("an element of several ServicePorts comes with the first and goes with the last", () => {
  const shared = new SharedElements();
  const [a, b] = [local("a", "10.244.0.1"), local("b", "10.244.0.1", "10.244.0.2")];
  assertEquals(hairpins(shared, [undefined, a]), ["+10.244.0.1"]);
  assertEquals(hairpins(shared, [undefined, b]), ["+10.244.0.2"]);
  assertEquals(hairpins(shared, [a, undefined]), []);
  assertEquals(hairpins(shared, [undefined, a], [b, undefined]), ["-10.244.0.2"]);
  assertEquals(hairpins(shared, [a, undefined], [undefined, b]), ["+10.244.0.2"]);
  assertEquals(hairpins(shared, [b, undefined]), ["-10.244.0.1", "-10.244.0.2"]);
});

Deno.test("after a recount the counts are those of that plan", () => {
  const shared = new SharedElements();
  const [a, b] = [local("a", "10.244.0.1"), local("b", "10.244.0.1")];
  hairpins(shared, [undefined, a]);
  shared.recount([...planServicePort(a), ...planServicePort(b)]);
  assertEquals(hairpins(shared, [a, undefined]), []);
  assertEquals(hairpins(shared, [b, undefined]), ["-10.244.0.1"]);
});
