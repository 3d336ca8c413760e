/**
 * The plan behind testdata/redirect/: `table.nft` is what it renders to, the JSON what nft lists after it was given that
 * (without the expressions of rules, which nobody reads).
 * @module
 */

import { servicePort } from "../../agent/model/testing/service_ports.ts";
import { type PlanElement, planNode, planServicePort } from "../plan.ts";
import { withEndpoints } from "./endpoints.ts";

/** At least one element in every kind of container. */
export const GOLDEN_PLAN: readonly PlanElement[] = [
  ...planNode({
    addresses: { IPv4: ["192.168.0.2", "10.0.0.1"], IPv6: ["2001:db8::2"] },
    envoyReady: true,
  }),
  ...planServicePort(servicePort({
    vips: ["10.96.0.10 80", "fd00::10 80", "::a00:1 80"],
    nodePort: 30080,
    families: ["IPv4", "IPv6"],
    endpoints: ["IPv4"],
  })),
  ...planServicePort(withEndpoints(
    servicePort({
      name: "dns",
      protocol: "UDP",
      vips: ["10.96.0.53 53", "fd00::53 53"],
      nodePort: 30053,
      families: ["IPv4", "IPv6"],
    }),
    ["10.244.0.5 5353", "10.244.1.5 5353", "fd00:244::5 5353"],
  )),
];
