/**
 * Decides who owns a VIP or a NodePort that several ServicePorts ask for.
 *
 * In: the claims of each ServicePort, as they come and go. Out: the owner of each claim, and which ServicePorts
 * gained or lost something. What the cluster allocated outranks what a user wrote: a ClusterIP, then a load balancer's
 * address, then an external IP, for otherwise whoever may create a Service could list the addresses of Services to come
 * and take their traffic (CVE-2020-8554). Among equals the oldest Service owns (`creationTimestamp`), then the smaller
 * key. So the answer does not depend on the order in which objects arrived: every node and every restart decides alike.
 *
 * A claim's text is built here and nowhere else. Undisputed claims, which is nearly all of them, cost one map entry.
 * @module
 */
import type { NamespacedName } from "../kube/objects.ts";
import type { WantedPort } from "./judge_service.ts";
import type { Protocol, ServicePortKey, VIPKind } from "./types.ts";

/** The text form of "this address, protocol and port" or "this NodePort and protocol". */
export type Claim = string;

/** As what an address or port is asked for. Claims to a VIP and to a NodePort never meet. */
export type ClaimKind = VIPKind | "NodePort";

/** The smaller, the stronger. */
const RANKS: Readonly<Record<ClaimKind, number>> = {
  ClusterIP: 0,
  NodePort: 0,
  LoadBalancerIP: 1,
  ExternalIP: 2,
};

/** Somebody who asks for a claim. */
export interface Claimant {
  readonly key: ServicePortKey;
  readonly service: NamespacedName;
  readonly kind: ClaimKind;
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
export function claimsOf(
  port: WantedPort,
): readonly { readonly claim: Claim; readonly kind: ClaimKind }[] {
  const { protocol } = port.name;
  const claims: { readonly claim: Claim; readonly kind: ClaimKind }[] = port.vips.map((vip) => ({
    claim: vipClaim(vip.address, vip.port, protocol),
    kind: vip.kind,
  }));
  if (port.nodePort !== 0) claims.push({ claim: nodePortClaim(port.nodePort, protocol), kind: "NodePort" });
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
  return RANKS[a.kind] - RANKS[b.kind] || a.creationTimestampMs - b.creationTimestampMs ||
    (a.key < b.key ? -1 : a.key > b.key ? 1 : 0);
}
