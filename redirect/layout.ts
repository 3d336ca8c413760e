/**
 * The constant part of the nft table: sets, maps, chains and rules. Nothing here depends on the Services.
 *
 * In: the ports of Envoy's two constant listeners, what pods' addresses are in, the marks. Out: a `Layout` value, and the fingerprint by which the layout
 * found in the kernel is recognised as this one.
 * Invariants: one table, `inet lightpath`, nothing outside it; every rule carries a hash of its own text in its
 * comment, so that rules can be compared by what `nft -j list` prints whatever the version that prints it.
 *
 * The parts: `containers.ts`, and the chains, with the reason of each hook, in `service_chains.ts`,
 * `affinity_chains.ts`, `source_chains.ts` and `filter_chains.ts`.
 *
 * Needs kernel 5.13 or newer (`reject` in prerouting alone needs 5.9, nat in inet 5.2) with `nft_socket`, and nft 1.0.1 or newer. `ct timeout` is
 * done without where the kernel lacks it.
 * Source of hooks and priorities: kubernetes/pkg/proxy/nftables/README.md; nft(8).
 * @module
 */

import { createHash } from "node:crypto";
import { DEFAULT_MARK_MASK, marksOf } from "../agent/model/mod.ts";
import { affinityChains } from "./affinity_chains.ts";
import type {
  EnvoyPorts,
  LayoutChain,
  LayoutHook,
  LayoutOptions,
  LayoutRule,
  LayoutTimeout,
} from "./chains.ts";
import { CONTAINERS, type LayoutContainer } from "./containers.ts";
import { filterChains } from "./filter_chains.ts";
import { ENVOY_TIMEOUTS, serviceChains } from "./service_chains.ts";
import { sourceChains } from "./source_chains.ts";

/** The one table, as `nft` spells it in commands. */
export const TABLE = "inet lightpath";
/** Name of that table alone, as `nft -j` prints it. */
export const TABLE_NAME = "lightpath";

/** The constant part. Chains come before those that refer to them. */
export interface Layout {
  readonly containers: readonly LayoutContainer[];
  readonly timeouts: readonly LayoutTimeout[];
  readonly chains: readonly CommentedChain[];
}

/** A rule with the comment it has in the kernel: its purpose and a hash of chain and text, e.g. `VIPs #1a2b3c4d`. */
export interface CommentedRule extends LayoutRule {
  readonly comment: string;
}

/** A chain of such rules. */
export interface CommentedChain extends LayoutChain {
  readonly rules: readonly CommentedRule[];
}

/** Nobody is known to be a pod. */
const NO_CLUSTER_CIDRS: LayoutOptions["clusterCIDRs"] = { IPv4: [], IPv6: [] };
const DEFAULT_MARKS = marksOf(DEFAULT_MARK_MASK);

/**
 * The layout for these settings.
 * @throws {RangeError} when a port is not an integer of 1-65535.
 */
export function createLayout(
  ports: EnvoyPorts,
  { clusterCIDRs = NO_CLUSTER_CIDRS, marks = DEFAULT_MARKS, hasTimeouts = true }: Partial<
    Omit<LayoutOptions, "ports">
  > = {},
): Layout {
  const options = { ports, clusterCIDRs, marks, hasTimeouts };
  for (const port of [ports.tcp, ports.http]) {
    if (!Number.isInteger(port) || port < 1 || port > 65535) {
      throw new RangeError(`Cannot redirect to port ${port}: want an integer of 1-65535`);
    }
  }
  const chains = [
    ...serviceChains(options),
    ...affinityChains(),
    ...sourceChains(options),
    ...filterChains(options),
  ];
  return {
    containers: CONTAINERS,
    timeouts: hasTimeouts ? ENVOY_TIMEOUTS : [],
    chains: chains.map((chain) => ({
      ...chain,
      rules: chain.rules.map((rule) => ({ ...rule, comment: ruleComment(chain.name, rule) })),
    })),
  };
}

function ruleComment(chain: string, rule: LayoutRule): string {
  const hash = createHash("sha256").update(`${chain} ${rule.text}`).digest("hex").slice(0, 8);
  return `${rule.purpose} #${hash}`;
}

/** What a container is made of, as `nft -j list` tells it. */
export interface ContainerShape {
  readonly name: string;
  readonly keyTypes: readonly string[];
  readonly valueTypes: readonly string[];
  /** Flags, sizes and the like. */
  readonly flags: readonly string[];
}

/** One line of a fingerprint per kind of object; `parse_ruleset.ts` writes the same lines from what it finds. */
export const fingerprintLine = {
  container: ({ name, keyTypes, valueTypes, flags }: ContainerShape): string =>
    `${valueTypes.length === 0 ? "set" : "map"} ${name} ${keyTypes.join(".")}:${valueTypes.join(".")}${
      flags.map((flag) => ` ${flag}`).join("")
    }`,
  timeout: ({ name, ip, policy }: LayoutTimeout): string =>
    `timeout ${name} ${ip}${
      Object.entries(policy).map(([state, seconds]) => ` ${state} ${seconds}`).join("")
    }`,
  chain: (name: string): string => `chain ${name}`,
  baseChain: (name: string, hook: LayoutHook, policy: string): string =>
    `chain ${name} ${hook.type} ${hook.hook} ${hook.priority} ${policy}`,
  rule: (chain: string, position: number, comment: string): string => `rule ${chain} ${position} ${comment}`,
} as const;

/** What identifies the layout, one line per object, sorted. Equal lines mean an equal layout. */
export function layoutFingerprint(layout: Layout): readonly string[] {
  const lines: string[] = [];
  for (const container of layout.containers) {
    const { interval, dynamicSize } = container;
    const flags = [
      ...(interval ? ["interval"] : []),
      ...(dynamicSize ? ["timeout", String(dynamicSize)] : []),
    ];
    lines.push(fingerprintLine.container({ ...container, flags }));
  }
  for (const timeout of layout.timeouts) lines.push(fingerprintLine.timeout(timeout));
  for (const { name, hook, rules } of layout.chains) {
    lines.push(hook ? fingerprintLine.baseChain(name, hook, "accept") : fingerprintLine.chain(name));
    rules.forEach((rule, position) => lines.push(fingerprintLine.rule(name, position, rule.comment)));
  }
  return lines.sort();
}
