/**
 * The plan behind testdata/redirect/: `table.nft` is what it renders to, the JSON what nft lists after it was given that
 * (without the expressions of rules, which nobody reads). `deno task record-table` writes both anew.
 * @module
 */

import { servicePort } from "../../agent/model/testing/service_ports.ts";
import { type PlanElement, planNode, planServicePort } from "../plan.ts";
import { withEndpoints, withKind } from "./endpoints.ts";

/** At least one element in every kind of container. */
export const GOLDEN_PLAN: readonly PlanElement[] = [
  ...planNode({
    addresses: { IPv4: ["192.168.0.2", "10.0.0.1"], IPv6: ["2001:db8::2"] },
    serviceCIDRs: { IPv4: ["10.96.0.0/16", "10.97.0.0/24"], IPv6: ["fd00::/108"] },
    envoyReady: true,
    envoyAloneWith: [
      { address: "10.96.0.10", family: "IPv4", port: 80 },
      { address: "fd00::10", family: "IPv6", port: 80 },
    ],
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
  ...planServicePort({
    ...withKind(
      withEndpoints(
        servicePort({ name: "mail", appProtocol: "tcp", vips: ["203.0.113.25 25", "2001:db8:1::25 25"] }),
        ["10.244.0.5 2525", "fd00:244::5 2525"],
        ["10.244.0.5 2525", "fd00:244::5 2525"],
      ),
      "LoadBalancerIP",
    ),
    loadBalancerSourceRanges: { IPv4: ["198.51.100.0/24", "192.0.2.1/32"], IPv6: ["2001:db8::/32"] },
  }),
  ...planServicePort(withEndpoints(
    servicePort({
      name: "local",
      protocol: "SCTP",
      vips: ["10.96.0.77 77"],
      affinityTimeoutSeconds: 10_800,
      nodePort: 30077,
      families: ["IPv4", "IPv6"],
      externalTrafficPolicy: "Local",
    }),
    ["10.244.1.5 77", "fd00:244:1::5 77"],
  )),
];
