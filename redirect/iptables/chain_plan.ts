/**
 * Keeps which chains a plan asks for, beside the constant ones, so that a change rewrites those it touches and no other.
 *
 * In: held elements (`elements.ts`) that come and go. Out: chains to write, with their rules, and chains to remove.
 * Invariant: rules follow from the elements alone, whatever the order in which they came. Chains of destinations that go are
 * there until `removeGone`, so that nothing points to what is not there while sets are changed in between.
 * Cost: that of the change, and of the branches it is on.
 * @module
 */

import type { FamilySuffix } from "../containers.ts";
import type { PlanDelta } from "../diff.ts";
import type { PlanElement } from "../plan.ts";
import { destinationChainName, FAMILY_WORDS, type Side } from "./chains.ts";
import { destinationRules, protocolOf } from "./destination_rules.ts";
import { branchesTo } from "./dispatch.ts";
import { ALWAYS_THERE, HAIRPINS } from "./layout.ts";

/** What changes of a family's chains. */
export interface ChainChanges {
  /** Rules by chain: all that the chain is to have. */
  readonly write: ReadonlyMap<string, readonly string[]>;
  readonly remove: readonly string[];
  /** Whether the address by which connections are handed to Envoy is another: constant chains depend on it. */
  readonly hasOtherEnvoyAddress: boolean;
}

/** Keys of VIPs that have become endpoints of some destination, or are none any more. */
export interface VIPEndpointChanges {
  readonly come: readonly string[];
  readonly gone: readonly string[];
}

/** A destination with endpoints, as it is found from one side. */
interface Destination {
  readonly key: string;
  readonly side: Side;
  readonly endpoints: Map<number, string>;
  /** Branches lead to it. */
  isLedTo: boolean;
}

/** What a change touches. */
interface Touched {
  readonly destinations: Set<Destination>;
  /** Chains other than those of destinations. */
  readonly structure: Set<string>;
  readonly sockets: Set<string>;
}

const SIDES = ["outside", "inside"] as const;

/** See the module's comment. For one family. */
export class ChainPlan {
  readonly #suffix: FamilySuffix;
  readonly #destinations: Readonly<Record<Side, Map<string, Destination>>> = {
    outside: new Map(),
    inside: new Map(),
  };
  /** For how many seconds clients keep their endpoint, by destination. */
  readonly #sticky = new Map<string, number>();
  /** Rules by child, by parent. */
  readonly #branches = new Map<string, Map<string, string>>();
  readonly #hairpins = new Set<string>();
  /** How many destinations have a socket as endpoint; written like the key of a VIP. */
  readonly #sockets = new Map<string, number>();
  readonly #vipEndpoints = new Set<string>();
  #envoyAddress: string | undefined;
  #gone = new Set<Destination>();

  constructor(suffix: FamilySuffix) {
    this.#suffix = suffix;
  }

  /** The address by which connections are handed to Envoy. */
  get envoyAddress(): string | undefined {
    return this.#envoyAddress;
  }

  /** Keys of VIPs that are endpoints of some destination. */
  get vipEndpoints(): ReadonlySet<string> {
    return this.#vipEndpoints;
  }

  /** Takes a change, but leaves the chains of destinations that go. */
  apply(delta: PlanDelta): ChainChanges & { readonly vipEndpoints: VIPEndpointChanges } {
    const before = this.#envoyAddress;
    const touched: Touched = { destinations: new Set(), structure: new Set(), sockets: new Set() };
    const { destinations, structure } = touched;
    for (const element of delta.delete) this.#take(element, false, touched);
    for (const element of delta.add) this.#take(element, true, touched);
    const write = new Map<string, readonly string[]>();
    for (const destination of destinations) {
      if (destination.endpoints.size === 0) {
        this.#gone.add(destination);
        continue;
      }
      if (!destination.isLedTo) this.#leadTo(destination, structure);
      write.set(chainNameOf(destination), this.#destinationRules(destination));
    }
    for (const name of structure) write.set(name, this.#structureRules(name));
    return {
      write,
      remove: [],
      hasOtherEnvoyAddress: before !== this.#envoyAddress,
      vipEndpoints: this.#changeVIPEndpoints(touched),
    };
  }

  /** Forgets the destinations that have gone, and the branches that led to them alone. */
  removeGone(): ChainChanges {
    const structure = new Set<string>();
    const remove: string[] = [];
    for (const destination of this.#gone) {
      // It may have come back.
      if (destination.endpoints.size > 0) continue;
      this.#destinations[destination.side].delete(destination.key);
      if (destination.isLedTo) this.#leadNoMore(destination, structure, remove);
    }
    this.#gone.clear();
    for (const name of remove) structure.delete(name);
    return {
      write: new Map([...structure].map((name) => [name, this.#structureRules(name)])),
      remove,
      hasOtherEnvoyAddress: false,
    };
  }

  /** All chains, with their rules. */
  *chains(): Generator<readonly [string, readonly string[]]> {
    for (const name of new Set([...ALWAYS_THERE, ...this.#branches.keys()])) {
      yield [name, this.#structureRules(name)];
    }
    for (const side of SIDES) {
      for (const destination of this.#destinations[side].values()) {
        if (destination.isLedTo) yield [chainNameOf(destination), this.#destinationRules(destination)];
      }
    }
  }

  #take(
    { container, key, value }: PlanElement,
    isAdded: boolean,
    { destinations, structure, sockets }: Touched,
  ): void {
    if (!container.endsWith(`-${this.#suffix}`)) return;
    if (container.startsWith("endpoints-")) {
      const at = key.lastIndexOf(" . ");
      const side = container.startsWith("endpoints-inside-") ? "inside" : "outside";
      const destination = this.#destination(key.slice(0, at), side);
      const place = Number(key.slice(at + 3));
      if (isAdded) destination.endpoints.set(place, value);
      else destination.endpoints.delete(place);
      destinations.add(destination);
      sockets.add(this.#countSocket(destination.key, value, isAdded ? 1 : -1));
    } else if (container.startsWith("sticky-")) {
      if (isAdded) this.#sticky.set(key, Number(value));
      else this.#sticky.delete(key);
      for (const side of SIDES) {
        const destination = this.#destinations[side].get(key);
        if (destination !== undefined) destinations.add(destination);
      }
    } else if (container.startsWith("hairpin-")) {
      const address = key.slice(0, key.indexOf(" "));
      if (isAdded) this.#hairpins.add(address);
      else this.#hairpins.delete(address);
      structure.add(HAIRPINS);
    } else if (container.startsWith("envoy-address-")) {
      this.#envoyAddress = isAdded ? value : undefined;
    }
  }

  /** Counts an endpoint of a destination, and returns its socket. */
  #countSocket(key: string, endpoint: string, by: 1 | -1): string {
    const [address, port] = endpoint.split(" . ");
    const socket = `${address} . ${protocolOf(key)} . ${port}`;
    const count = (this.#sockets.get(socket) ?? 0) + by;
    if (count === 0) this.#sockets.delete(socket);
    else this.#sockets.set(socket, count);
    return socket;
  }

  #changeVIPEndpoints({ destinations, sockets }: Touched): VIPEndpointChanges {
    const come: string[] = [];
    const gone: string[] = [];
    for (const key of new Set([...sockets, ...[...destinations].map(({ key }) => key)])) {
      const was = this.#vipEndpoints.has(key);
      const is = this.#sockets.has(key) && (this.#destinations.outside.get(key)?.endpoints.size ?? 0) > 0;
      if (is && !was) {
        this.#vipEndpoints.add(key);
        come.push(key);
      }
      if (was && !is) {
        this.#vipEndpoints.delete(key);
        gone.push(key);
      }
    }
    return { come, gone };
  }

  #destination(key: string, side: Side): Destination {
    const known = this.#destinations[side].get(key);
    if (known !== undefined) return known;
    const destination = { key, side, endpoints: new Map(), isLedTo: false };
    this.#destinations[side].set(key, destination);
    return destination;
  }

  #leadTo(destination: Destination, structure: Set<string>): void {
    destination.isLedTo = true;
    for (const { parent, child, rule } of branchesTo(destination.key, destination.side, this.#suffix)) {
      const children = this.#branches.get(parent) ?? new Map<string, string>();
      if (children.has(child)) continue;
      this.#branches.set(parent, children.set(child, rule));
      structure.add(parent);
    }
  }

  #leadNoMore({ key, side }: Destination, structure: Set<string>, remove: string[]): void {
    // From the leaf to the root, as long as a branch had nothing else behind it.
    for (const { parent, child } of branchesTo(key, side, this.#suffix).toReversed()) {
      const children = this.#branches.get(parent);
      children?.delete(child);
      remove.push(child);
      structure.add(parent);
      if (children !== undefined && children.size > 0 || ALWAYS_THERE.includes(parent)) return;
      this.#branches.delete(parent);
    }
  }

  #structureRules(name: string): readonly string[] {
    if (name !== HAIRPINS) return [...this.#branches.get(name)?.values() ?? []].sort();
    const { host } = FAMILY_WORDS[this.#suffix];
    return [...this.#hairpins].sort().map((address) =>
      `-s ${address}${host} -d ${address}${host} -j MASQUERADE --random-fully`
    );
  }

  #destinationRules({ key, endpoints }: Destination): readonly string[] {
    const places = [...endpoints].sort(([a], [b]) => a - b).map(([, endpoint]) => endpoint);
    const stickySeconds = this.#sticky.get(key);
    return destinationRules({ suffix: this.#suffix, key, endpoints: places, stickySeconds });
  }
}

function chainNameOf({ key, side }: Destination): string {
  return destinationChainName(key, side);
}
