/**
 * The ipsets: their names and types, and which of a plan's elements is which entry.
 *
 * In: held elements (`elements.ts`); entries as `ipset save` prints them. Out: the other. Pure.
 * Invariant: all names begin with `lightpath-`. An entry is the text that `ipset save` prints for it.
 *
 * - Destinations by address are `hash:ip,port`, whose ports carry their protocol. NodePorts are `hash:net,port` at all addresses: an
 *   entry for each of this node's would be more entries, and changes. (`bitmap:port` knows nothing of SCTP.) A net has a prefix of
 *   one bit at least, so that everybody is two halves, and so is a NodePort.
 * - `ready` and `alone` are said of everybody or nobody. A set matches by some field of the packet, so they hold both halves too.
 * - `endpoints` are VIPs that are endpoints of some destination, too: what this node sends there may be Envoy's.
 * - `gone` is written by the kernel, when it found nobody at Envoy's ports: by the first byte of the client's address, because
 *   there is no field that is the same for all. So clients of another /8 find out for themselves.
 *
 * Source: ipset(8).
 * @module
 */

import type { Path } from "../../agent/model/mod.ts";
import { DESTINATION_SPACES, type ElementContainer, type FamilySuffix } from "../containers.ts";
import type { PlanElement } from "../plan.ts";
import type { ServedPath } from "../served_value.ts";
import { EVERYBODY } from "./elements.ts";

/** An entry of a set. */
export interface SetEntry {
  readonly set: string;
  readonly entry: string;
}

/** What sets of destinations say. */
export type DestinationSet = ServedPath | DestinationContainer | "inside";
type DestinationContainer = "no-endpoint" | "no-local-endpoint" | "masquerade";

const DESTINATION_SETS: readonly DestinationSet[] = [
  "envoy-http",
  "envoy-tcp",
  "kernel",
  "no-endpoint",
  "no-local-endpoint",
  "masquerade",
  "inside",
];
const SHORT: Readonly<Partial<Record<DestinationSet, string>>> = { "no-local-endpoint": "no-local" };

/** All our sets begin so. */
export const SET_PREFIX = "lightpath-";

/** The set of VIPs of which something holds. */
export function vipSet(set: DestinationSet, suffix: FamilySuffix): string {
  return `${SET_PREFIX}${SHORT[set] ?? set}-${suffix}`;
}

/** The set of NodePorts of which something holds. */
export function nodePortSet(set: DestinationSet, suffix: FamilySuffix): string {
  return `${SET_PREFIX}np-${SHORT[set] ?? set}-${suffix}`;
}

/** A set of which there is one for each family. */
export function familySet(
  name:
    | "ready"
    | "alone"
    | "gone"
    | "holds"
    | "node"
    | "cluster"
    | "cidrs"
    | "restricted"
    | "allowed"
    | "endpoints",
  suffix: FamilySuffix,
): string {
  return `${SET_PREFIX}${name}-${suffix}`;
}

/** How long nobody is sent to Envoy's ports after somebody found nobody there; then the next one tries. */
const GONE_SECONDS = 30;
/** No limit that a cluster meets; it costs nothing. */
const MOST_ENTRIES = "maxelem 1048576";

/** A set as `ipset` is told to make it: its name and what follows. */
export interface SetShape {
  readonly name: string;
  readonly type: string;
}

/** The sets of a family. */
export function setsOf(suffix: FamilySuffix): readonly SetShape[] {
  const family = suffix === "4" ? "family inet" : "family inet6";
  const many = `${family} ${MOST_ENTRIES}`;
  return [
    { name: familySet("ready", suffix), type: `hash:net ${family}` },
    { name: familySet("alone", suffix), type: `hash:net ${family}` },
    { name: familySet("gone", suffix), type: `hash:ip ${family} netmask 8 timeout ${GONE_SECONDS}` },
    { name: familySet("holds", suffix), type: `hash:ip,port ${many}` },
    { name: familySet("endpoints", suffix), type: `hash:ip,port ${many}` },
    { name: familySet("node", suffix), type: `hash:ip ${family}` },
    { name: familySet("cluster", suffix), type: `hash:ip ${many}` },
    { name: familySet("cidrs", suffix), type: `hash:net ${family}` },
    { name: familySet("restricted", suffix), type: `hash:ip,port ${many}` },
    { name: familySet("allowed", suffix), type: `hash:ip,port,net ${many}` },
    ...DESTINATION_SETS.map((set) => ({ name: vipSet(set, suffix), type: `hash:ip,port ${many}` })),
    ...DESTINATION_SETS.map((set) => ({ name: nodePortSet(set, suffix), type: `hash:net,port ${many}` })),
  ];
}

/** Writes one container's keys as entries of a set, and reads them. */
interface Rendering {
  readonly container: ElementContainer;
  /** The element's value. */
  readonly value: string;
  render(key: string): string;
  parse(entry: string): string;
}

const AS_IT_IS = { render: (key: string): string => key, parse: (entry: string): string => entry };
/** `10.96.0.10 . tcp . 80`, with a source's range behind it or not, as `10.96.0.10,tcp:80`. */
const AS_SOCKET = {
  render(key: string): string {
    const [address = "", protocol = "", port = "", ...source] = key.split(" . ");
    return [address, `${protocol}:${port}`, ...source].join(",");
  },
  parse(entry: string): string {
    const [address = "", port = "", ...source] = entry.split(",");
    return [address, port.replace(":", " . "), ...source].join(" . ");
  },
};

/** `tcp . 30080` as `0.0.0.0/1,tcp:30080`, one of its halves. */
function asNodePort(suffix: FamilySuffix): Pick<Rendering, "render" | "parse"> {
  return {
    render: (key) => `${EVERYBODY[suffix][0]},${key.replace(" . ", ":")}`,
    parse: (entry) => entry.slice(entry.indexOf(",") + 1).replace(":", " . "),
  };
}

function destinationRendering(
  set: DestinationSet,
  space: typeof DESTINATION_SPACES[number],
  suffix: FamilySuffix,
): Pick<Rendering, "container" | "value"> {
  // What only the inside finds is the kernel's.
  if (set === "inside") return { container: `service-inside-${space}-${suffix}`, value: "kernel" };
  const isPath = set === "envoy-http" || set === "envoy-tcp" || set === "kernel";
  return isPath
    ? { container: `service-${space}-${suffix}`, value: set satisfies Path }
    : { container: `${set}-${space}-${suffix}`, value: "" };
}

/** By a set's name, what its entries are. Those of `ready` and `alone` are no element each, `gone` and `endpoints` are no plan's. */
const RENDERINGS: ReadonlyMap<string, Rendering> = (() => {
  const renderings = new Map<string, Rendering>();
  for (const suffix of ["4", "6"] as const) {
    const simple = [
      ["holds", `envoy-holds-${suffix}`, AS_SOCKET],
      ["node", `node-addresses-${suffix}`, AS_IT_IS],
      ["cluster", `cluster-ips-${suffix}`, AS_IT_IS],
      ["cidrs", `service-cidrs-${suffix}`, AS_IT_IS],
      ["restricted", `restricted-ips-${suffix}`, AS_SOCKET],
      ["allowed", `allowed-sources-${suffix}`, AS_SOCKET],
    ] as const;
    for (const [name, container, how] of simple) {
      renderings.set(familySet(name, suffix), { container, value: "", ...how });
    }
    for (const set of DESTINATION_SETS) {
      renderings.set(vipSet(set, suffix), { ...destinationRendering(set, "ips", suffix), ...AS_SOCKET });
      renderings.set(nodePortSet(set, suffix), {
        ...destinationRendering(set, "nodeports", suffix),
        ...asNodePort(suffix),
      });
    }
  }
  return renderings;
})();

const SET_BY_CONTAINER: ReadonlyMap<string, string> = new Map(
  [...RENDERINGS].map(([set, { container, value }]) => [`${container} ${value}`, set]),
);

/** The entries that a held element is; none when rules hold it. */
export function entriesOf(element: PlanElement): readonly SetEntry[] {
  const { container, key } = element;
  if (container === "envoy-ready" || container === "envoy-alone") {
    const name = container === "envoy-ready" ? "ready" : "alone";
    return (["4", "6"] as const).flatMap((suffix) =>
      EVERYBODY[suffix].map((entry) => ({ set: familySet(name, suffix), entry }))
    );
  }
  const set = SET_BY_CONTAINER.get(`${container} ${element.value}`);
  const rendering = set === undefined ? undefined : RENDERINGS.get(set);
  if (set === undefined || rendering === undefined) return [];
  const entry = rendering.render(key);
  const other = otherHalf(set, entry);
  return [{ set, entry }, ...(other === undefined ? [] : [{ set, entry: other }])];
}

/** A VIP, by its key, among those that are endpoints too. */
export function vipEndpointEntry(key: string, suffix: FamilySuffix): SetEntry {
  return { set: familySet("endpoints", suffix), entry: AS_SOCKET.render(key) };
}

/** The other half of what an entry says by halves; undefined when it does not. */
export function otherHalf(set: string, entry: string): string | undefined {
  if (!set.startsWith(`${SET_PREFIX}np-`)) return undefined;
  const [first = "", second = ""] = EVERYBODY[set.endsWith("-4") ? "4" : "6"];
  return entry.startsWith(`${first},`)
    ? `${second}${entry.slice(first.length)}`
    : `${first}${entry.slice(second.length)}`;
}

/** The held element that an entry is; undefined when it is none. Either half of one gives the same. Not of `ready`, `alone`, `gone` and `endpoints`. */
export function elementOf({ set, entry }: SetEntry): PlanElement | undefined {
  const rendering = RENDERINGS.get(set);
  if (rendering === undefined) return undefined;
  const { container, value } = rendering;
  return { container, key: rendering.parse(entry), value };
}
