import { assertEquals } from "@std/assert/equals";
import { planNodeAddresses, planServicePort } from "./plan.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";

function lines(elements: ReturnType<typeof planServicePort>): string[] {
  return elements.map(({ container, key, value }) => `${container} ${key} ${value}`.trim());
}

Deno.test("planServicePort() plans each VIP in the map of its family and path, and NodePorts per family", () => {
  const port = servicePort({
    vips: ["10.96.0.10 80", "203.0.113.4 80", "fd00::10 80"],
    nodePort: 30080,
    families: ["IPv4", "IPv6"],
    endpoints: ["IPv4"],
  });
  assertEquals(lines(planServicePort(port)), [
    "envoy-http-ips-4 10.96.0.10 . tcp . 80",
    "envoy-http-ips-4 203.0.113.4 . tcp . 80",
    "no-endpoint-ips-6 fd00::10 . tcp . 80",
    "envoy-http-nodeports-4 tcp . 30080",
    "no-endpoint-nodeports-6 tcp . 30080",
  ]);
});

Deno.test("planServicePort() plans nothing for UDP, SCTP and what does not exist", () => {
  assertEquals(planServicePort(servicePort({ protocol: "UDP", nodePort: 30053 })), []);
  assertEquals(planServicePort(servicePort({ protocol: "SCTP", endpoints: [] })), []);
  assertEquals(planServicePort(undefined), []);
});

Deno.test("planNodeAddresses() makes all answer NodePorts and the first reach Envoy", () => {
  const addresses = { IPv4: ["192.168.0.2", "10.0.0.1", "10.0.0.1"], IPv6: [] };
  assertEquals(lines(planNodeAddresses(addresses)), [
    "envoy-address-4 tcp 192.168.0.2",
    "node-addresses-4 192.168.0.2",
    "node-addresses-4 10.0.0.1",
  ]);
});
