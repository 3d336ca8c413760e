/**
 * The rules of a destination's own chain: who of its endpoints gets a new connection.
 *
 * In: its endpoints in the order of their places, and for how long its clients keep theirs. Out: rules as `iptables-save`
 * prints them. Pure.
 *
 * - Each endpoint in turn is taken with the chance of one among those that are left: so all are as likely.
 * - Clients that keep their endpoint: each endpoint has a list of those it was given, of 100 at most (`ip_list_tot` of
 *   xt_recent). Who is found there goes there again, and the time begins anew, as with kube-proxy.
 *
 * Source: kubernetes/pkg/proxy/iptables/proxier.go, writeServiceToEndpointRules.
 * @module
 */

import { hashText } from "../hash.ts";
import { FAMILY_WORDS, hexHash, socketText } from "./chains.ts";

/** A destination as its chain serves it. */
export interface BalancedDestination {
  readonly suffix: "4" | "6";
  readonly key: string;
  /** `ADDRESS . PORT`, by place. */
  readonly endpoints: readonly string[];
  /** Undefined: each connection may go anywhere. */
  readonly stickySeconds: number | undefined;
}

/** One in so many, as the kernel keeps it, in 31 bits, and `iptables-save` prints it. */
export function probabilityText(choices: number): string {
  return (Math.round(2 ** 31 / choices) / 2 ** 31).toFixed(11);
}

/** The protocol of a destination, by its key. */
export function protocolOf(key: string): string {
  const parts = key.split(" . ");
  return parts[parts.length - 2] ?? "";
}

/** The rules, without `-A CHAIN`. */
export function destinationRules({ suffix, key, endpoints, stickySeconds }: BalancedDestination): string[] {
  const protocol = `-p ${protocolOf(key)}`;
  const targets = endpoints.map((endpoint) => {
    const [address = "", port = ""] = endpoint.split(" . ");
    return `-j DNAT --to-destination ${socketText(address, port)}`;
  });
  const chances = targets.map((_, place) => {
    const choices = targets.length - place;
    return choices === 1 ? "" : ` -m statistic --mode random --probability ${probabilityText(choices)}`;
  });
  if (stickySeconds === undefined) {
    return targets.map((target, place) => `${protocol}${chances[place]} ${target}`);
  }
  const { everyBit } = FAMILY_WORDS[suffix];
  const lists = endpoints.map((endpoint) => clientList(key, suffix, endpoint));
  return [
    ...targets.map((target, place) =>
      `${protocol} -m recent --update --seconds ${stickySeconds} --reap --name ${lists[place]} ` +
      `--mask ${everyBit} --rsource ${target}`
    ),
    ...targets.map((target, place) =>
      `${protocol}${chances[place]} -m recent --set --name ${
        lists[place]
      } --mask ${everyBit} --rsource ${target}`
    ),
  ];
}

/** The name of the list of the clients of an endpoint. */
function clientList(key: string, suffix: string, endpoint: string): string {
  return `LIGHTPATH-${suffix}-${hexHash(key, 16)}-${hashText(endpoint).toString(16)}`;
}

/** What the rules of a chain say; undefined when they are not such as `destinationRules` writes. */
export function parseDestinationRules(
  rules: readonly string[],
): Pick<BalancedDestination, "endpoints" | "stickySeconds"> | undefined {
  const endpoints: string[] = [];
  let stickySeconds: number | undefined;
  for (const rule of rules) {
    const [, seconds] = / --update --seconds (\d+) /.exec(rule) ?? [];
    if (seconds !== undefined) {
      stickySeconds = Number(seconds);
      continue;
    }
    const [, v6, v4, port] = / --to-destination (?:\[([^\]]+)\]|([\d.]+)):(\d+)$/.exec(rule) ?? [];
    if (port === undefined) return undefined;
    endpoints.push(`${v6 ?? v4} . ${port}`);
  }
  return { endpoints, stickySeconds };
}
