/**
 * Finds out which iptables the node uses: rules of both kinds side by side are not seen by each other's programs.
 *
 * In: programs that may be there. Out: those that are, the one to use first.
 *
 * What the kubelet has marked as used is (chains that it makes for just that); else whichever has more rules that are not ours;
 * else the newer kind. Reading without naming a table loads nothing into the kernel.
 * Source: kubernetes-sigs/iptables-wrappers, iptables-wrapper-installer.sh.
 * @module
 */

import { RedirectError } from "../redirect_error.ts";
import type { Programs } from "./programs.ts";

/** The programs by which both kinds are called where a node has them; else there is `iptables`, of whatever kind. */
export const IPTABLES_NAMES: readonly string[] = ["iptables-nft", "iptables-legacy"];

interface Used {
  readonly programs: Programs;
  readonly isMarked: boolean;
  readonly rules: number;
}

/**
 * Those of the candidates that are there, best first; earlier ones win where nothing speaks for another.
 * @throws {RedirectError} where one is there and refuses
 */
export async function findIptables(candidates: readonly Programs[]): Promise<readonly Programs[]> {
  const found: Used[] = [];
  for (const programs of candidates) {
    const used = await readUse(programs);
    if (used !== undefined) found.push(used);
  }
  return found
    .sort((a, b) => Number(b.isMarked) - Number(a.isMarked) || b.rules - a.rules)
    .map(({ programs }) => programs);
}

async function readUse(programs: Programs): Promise<Used | undefined> {
  try {
    const saved = await programs.saveTables("4");
    const rules = saved.split("\n").filter((line) =>
      line.startsWith("-A ") && !/LIGHTPATH|Lightpath/.test(line)
    );
    return {
      programs,
      isMarked: /^:KUBE-(?:IPTABLES-HINT|KUBELET-CANARY) /m.test(saved),
      rules: rules.length,
    };
  } catch (error) {
    if (error instanceof RedirectError && ["missing-binary", "unsupported"].includes(error.kind)) {
      return undefined;
    }
    throw error;
  }
}
