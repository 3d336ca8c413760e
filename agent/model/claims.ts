/**
 * Decides who owns a VIP or a NodePort that several ServicePorts ask for.
 *
 * In: the claims of each wanted port, as they come and go. Out: the owner of each claim, and who else asks for it.
 * What the cluster allocated outranks what a user wrote: a ClusterIP, then a load balancer's address, then an external
 * IP, for otherwise whoever may create a Service could list the addresses of Services to come and take their traffic
 * (CVE-2020-8554). Among equals the oldest Service owns (`creationTimestamp`), then the smaller key. So the answer does
 * not depend on the order in which objects arrived: every node and every restart decides alike.
 *
 * A claim's text is built here and nowhere else. Undisputed claims, which is nearly all of them, cost one map entry.
 * @module
 */
import { keyOf, type WantedPort } from "./judge_service.ts";
import type { Protocol, VIPKind } from "./types.ts";

/** The text form of "this address, protocol and port" or "this NodePort and protocol". */
export type Claim = string;

/** As what an address or port is asked for. Claims to a VIP and to a NodePort never meet. */
type ClaimKind = VIPKind | "NodePort";

/** The smaller, the stronger. */
const RANKS: Readonly<Record<ClaimKind, number>> = {
  ClusterIP: 0,
  NodePort: 0,
  LoadBalancerIP: 1,
  ExternalIP: 2,
};

/** The claim to a VIP. */
export function vipClaim(address: string, port: number, protocol: Protocol): Claim {
  return `${protocol} ${address} ${port}`;
}

/** The claim to a NodePort; it holds for both families, as the API's allocator hands it out. */
export function nodePortClaim(port: number, protocol: Protocol): Claim {
  return `${protocol} NodePort ${port}`;
}

/** Everything a wanted port asks for; each claim once. */
export function claimsOf({ service, protocol, port, nodePort }: WantedPort): readonly Claim[] {
  const claims = service.addresses.map(({ address }) => vipClaim(address, port, protocol));
  if (nodePort !== 0) claims.push(nodePortClaim(nodePort, protocol));
  return claims;
}

/** Who owns what. */
export class ClaimTable {
  readonly #owners = new Map<Claim, WantedPort>();
  /** Only for disputed claims: everybody who asks, the owner first. */
  readonly #disputed = new Map<Claim, readonly WantedPort[]>();

  /** Whether any claim has more than one claimant. */
  get hasDisputes(): boolean {
    return this.#disputed.size > 0;
  }

  /** The owner, or undefined when nobody asks. */
  ownerOf(claim: Claim): WantedPort | undefined {
    return this.#owners.get(claim);
  }

  /** Everybody who asks, the owner first. */
  claimants(claim: Claim): readonly WantedPort[] {
    const disputed = this.#disputed.get(claim);
    if (disputed !== undefined) return disputed;
    const owner = this.#owners.get(claim);
    return owner === undefined ? NOBODY : [owner];
  }

  /** Adds a claimant, which may take the claim from its owner. */
  add(claim: Claim, claimant: WantedPort): void {
    const others = this.claimants(claim);
    if (others.length === 0) return void this.#owners.set(claim, claimant);
    const all = [...others, claimant].sort((a, b) => compareClaimants(claim, a, b));
    this.#disputed.set(claim, all);
    this.#owners.set(claim, all[0] ?? claimant);
  }

  /** Takes a claimant away: the next of those who still ask owns. */
  remove(claim: Claim, claimant: WantedPort): void {
    const rest = this.claimants(claim).filter((other) => other !== claimant);
    const owner = rest[0];
    if (owner === undefined) this.#owners.delete(claim);
    else this.#owners.set(claim, owner);
    if (rest.length > 1) this.#disputed.set(claim, rest);
    else this.#disputed.delete(claim);
  }
}

const NOBODY: readonly WantedPort[] = [];

function compareClaimants(claim: Claim, a: WantedPort, b: WantedPort): number {
  return RANKS[kindOf(claim, a)] - RANKS[kindOf(claim, b)] ||
    a.service.creationTimestamp - b.service.creationTimestamp || (keyOf(a) < keyOf(b) ? -1 : 1);
}

/** As what somebody asks for it. */
function kindOf(claim: Claim, { service, port, protocol }: WantedPort): ClaimKind {
  const asked = service.addresses.find(({ address }) => vipClaim(address, port, protocol) === claim);
  return asked?.kind ?? "NodePort";
}
