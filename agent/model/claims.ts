/**
 * Decides who owns a VIP or a NodePort that several ServicePorts ask for.
 *
 * In: the claims of each ServicePort, as they come and go. Out: the owner of each claim, and which ServicePorts
 * gained or lost something. The oldest Service owns (`creationTimestamp`), then the smaller key: the answer does
 * not depend on the order in which objects arrived, so every node and every restart decides alike.
 *
 * A claim's text is built here and nowhere else. Undisputed claims, which is nearly all of them, cost one map entry.
 * @module
 */
import type { NamespacedName } from "../kube/objects.ts";
import type { WantedPort } from "./judge_service.ts";
import type { Protocol, ServicePortKey } from "./types.ts";

/** The text form of "this address, protocol and port" or "this NodePort and protocol". */
export type Claim = string;

/** Somebody who asks for a claim. */
export interface Claimant {
  readonly key: ServicePortKey;
  readonly service: NamespacedName;
  /** When the Service was created, milliseconds since the epoch. */
  readonly creationTimestampMs: number;
}

/** The claim to a VIP. */
export function vipClaim(address: string, port: number, protocol: Protocol): Claim {
  return `${protocol} ${address} ${port}`;
}

/** The claim to a NodePort; it holds for both families, as the API's allocator hands it out. */
export function nodePortClaim(port: number, protocol: Protocol): Claim {
  return `${protocol} NodePort ${port}`;
}

/** Everything a wanted port asks for; each claim once. */
export function claimsOf(port: WantedPort): readonly Claim[] {
  const claims = port.vips.map((vip) => vipClaim(vip.address, vip.port, port.name.protocol));
  if (port.nodePort !== 0) claims.push(nodePortClaim(port.nodePort, port.name.protocol));
  return claims;
}

/** Who owns what. */
export class ClaimTable {
  readonly #owners = new Map<Claim, Claimant>();
  /** Only for disputed claims: everybody who asks, the owner first. */
  readonly #disputed = new Map<Claim, Claimant[]>();

  /** The owner, or undefined when nobody asks. */
  ownerOf(claim: Claim): ServicePortKey | undefined {
    return this.#owners.get(claim)?.key;
  }

  /** Adds a claimant. Returns the *other* claimants, whose ownership or problems may have changed. */
  add(claim: Claim, claimant: Claimant): readonly Claimant[] {
    const owner = this.#owners.get(claim);
    if (owner === undefined) {
      this.#owners.set(claim, claimant);
      return [];
    }
    const others = this.#disputed.get(claim) ?? [owner];
    const all = [...others, claimant].sort(compareClaimants);
    this.#disputed.set(claim, all);
    this.#owners.set(claim, all[0] ?? claimant);
    return others;
  }

  /** Takes a claimant away. Returns those who still ask. */
  remove(claim: Claim, key: ServicePortKey): readonly Claimant[] {
    const all = this.#disputed.get(claim);
    if (all === undefined) {
      this.#owners.delete(claim);
      return [];
    }
    const rest = all.filter((claimant) => claimant.key !== key);
    const owner = rest[0];
    if (owner !== undefined) this.#owners.set(claim, owner);
    if (rest.length > 1) this.#disputed.set(claim, rest);
    else this.#disputed.delete(claim);
    return rest;
  }
}

function compareClaimants(a: Claimant, b: Claimant): number {
  return a.creationTimestampMs - b.creationTimestampMs || (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}
