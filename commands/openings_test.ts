import { assertEquals } from "@std/assert/equals";
import type { NodeAddresses, ServicePort } from "../agent/model/mod.ts";
import { servicePort } from "../agent/model/testing/service_ports.ts";
import { openings } from "./openings.ts";

const NODE: NodeAddresses = { IPv4: ["192.168.0.2", "192.168.0.3"], IPv6: ["2001:db8::2"] };
const OPEN = servicePort();
const SHUT = servicePort({ endpoints: [] });
const OPEN_TCP = servicePort({ appProtocol: "tcp" });

function opened(before: ServicePort | undefined, after: ServicePort | undefined): string[] {
  return openings({ before, after }, NODE).map(({ address, port }) => `${address} ${port}`);
}

for (
  const [what, before, after, destinations] of [
    ["a new Service", undefined, OPEN, ["10.96.0.10 80"]],
    ["a new Service without endpoints", undefined, SHUT, []],
    ["the first endpoint", SHUT, OPEN, ["10.96.0.10 80"]],
    ["the first endpoint of a TCP port", servicePort({ appProtocol: "tcp", endpoints: [] }), OPEN_TCP, [
      "10.96.0.10 80",
    ]],
    ["another endpoint", OPEN, { ...OPEN, endpoints: servicePort({ name: "other" }).endpoints }, []],
    ["the last endpoint goes", OPEN, SHUT, []],
    ["the Service goes", OPEN, undefined, []],
    ["TCP turns into HTTP", OPEN_TCP, OPEN, ["10.96.0.10 80"]],
    ["HTTP turns into TCP", OPEN, OPEN_TCP, []],
    ["HTTP turns into HTTP/2", OPEN, servicePort({ appProtocol: "http2" }), []],
    ["HTTP without endpoints turns into TCP with one", SHUT, OPEN_TCP, ["10.96.0.10 80"]],
    ["a second VIP", OPEN, servicePort({ vips: ["10.96.0.10 80", "10.96.0.11 80"] }), ["10.96.0.11 80"]],
    ["another port number", OPEN, servicePort({ vips: ["10.96.0.10 81"] }), ["10.96.0.10 81"]],
    ["UDP", undefined, servicePort({ protocol: "UDP" }), []],
    ["a NodePort", OPEN, servicePort({ nodePort: 30080 }), ["192.168.0.2 30080", "192.168.0.3 30080"]],
    ["the same NodePort", servicePort({ nodePort: 30080 }), servicePort({ nodePort: 30080 }), []],
    [
      "one family's first endpoint",
      servicePort({ vips: ["10.96.0.10 80", "fd00::1 80"], endpoints: ["IPv4"], nodePort: 30080 }),
      servicePort({ vips: ["10.96.0.10 80", "fd00::1 80"], families: ["IPv4", "IPv6"], nodePort: 30080 }),
      ["fd00::1 80", "2001:db8::2 30080"],
    ],
  ] as const
) {
  Deno.test(`openings(): ${what}`, () => assertEquals(opened(before, after), destinations));
}
