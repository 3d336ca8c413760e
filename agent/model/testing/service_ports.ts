/**
 * A builder of ServicePorts for tests: everything defaulted, each test names only what it is about.
 * @module
 */

import { DEFAULT_SETTINGS, type PortSettings } from "../annotations/mod.ts";
import { servicePortKey } from "../service_port_name.ts";
import {
  type AppProtocol,
  type Carrier,
  IP_FAMILIES,
  type IPFamily,
  type Protocol,
  type ServicePort,
  type TrafficPolicy,
} from "../types.ts";

/** What a test is about; all else is defaulted. */
export interface ServicePortSketch {
  readonly name?: string;
  /** The port's name. */
  readonly port?: string;
  readonly protocol?: Protocol;
  readonly appProtocol?: AppProtocol;
  readonly settings?: PortSettings;
  /** `address port` pairs, e.g. `10.96.0.10 80` or `fd00::1 80`. */
  readonly vips?: readonly string[];
  readonly nodePort?: number;
  readonly families?: readonly IPFamily[];
  readonly prefersNear?: boolean;
  /** Families that have an endpoint. */
  readonly endpoints?: readonly IPFamily[];
  readonly carrier?: Carrier;
  readonly internalTrafficPolicy?: TrafficPolicy;
  readonly externalTrafficPolicy?: TrafficPolicy;
  readonly affinityTimeoutSeconds?: number;
}

/** An HTTP port of `default/echo` with an endpoint in each family and VIP 10.96.0.10:80, unless said otherwise. */
export function servicePort(sketch: ServicePortSketch = {}): ServicePort {
  const protocol = sketch.protocol ?? "TCP";
  const name = { namespace: "default", name: sketch.name ?? "echo", port: sketch.port ?? "web", protocol };
  const withEndpoints = sketch.endpoints ?? IP_FAMILIES;
  const endpoint = { port: 8080, zone: "", isLocal: false };
  return {
    key: servicePortKey(name),
    name,
    appProtocol: sketch.appProtocol ?? "http",
    carrier: sketch.carrier ?? (protocol === "TCP" ? "envoy" : "kernel"),
    settings: sketch.settings ?? DEFAULT_SETTINGS,
    vips: (sketch.vips ?? ["10.96.0.10 80"]).map((text) => {
      const [address = "", port] = text.split(" ");
      return {
        address,
        family: address.includes(":") ? "IPv6" : "IPv4",
        port: Number(port),
        kind: "ClusterIP",
      };
    }),
    nodePort: sketch.nodePort ?? 0,
    families: sketch.families ?? ["IPv4"],
    prefersNear: sketch.prefersNear ?? false,
    internalTrafficPolicy: sketch.internalTrafficPolicy ?? "Cluster",
    externalTrafficPolicy: sketch.externalTrafficPolicy ?? "Cluster",
    affinityTimeoutSeconds: sketch.affinityTimeoutSeconds ?? 0,
    loadBalancerSourceRanges: { IPv4: [], IPv6: [] },
    localEndpoints: { IPv4: [], IPv6: [] },
    terminatingEndpoints: { IPv4: [], IPv6: [] },
    endpoints: {
      IPv4: withEndpoints.includes("IPv4") ? [{ ...endpoint, address: "10.244.0.5" }] : [],
      IPv6: withEndpoints.includes("IPv6") ? [{ ...endpoint, address: "fd00:244::5" }] : [],
    },
  };
}
