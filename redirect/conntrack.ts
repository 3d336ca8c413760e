/**
 * What is asked of the kernel's table of tracked connections, as an interface, and how a refusal is told.
 *
 * Implementations: `run_conntrack.ts` (the real tool), `testing/fake_conntrack.ts` (in memory).
 * @module
 */

import type { IPFamily } from "../agent/model/mod.ts";
import type { UdpFlow } from "./udp_flow.ts";

/** What is done with UDP flows. Each method throws `ConntrackError` and nothing else. */
export interface Conntrack {
  /**
   * Hands over each UDP flow of a family, one by one as they are read; one that is not translated both ways round.
   * Cost: that of the table's size (60,000 flows: 0.3 s of one processor, most of it the kernel's and the tool's).
   */
  readUdpFlows(options: ReadFlowsOptions): Promise<void>;
  /** Deletes all flows like this one, whoever their clients are, and says how many. Cost: half that of reading. */
  deleteUdpFlows(like: UdpFlow, signal: AbortSignal): Promise<number>;
}

/** What `readUdpFlows` needs. */
export interface ReadFlowsOptions {
  readonly family: IPFamily;
  /** Must not throw. */
  readonly onFlow: (flow: UdpFlow) => void;
  /** Ends the reading at once; it then rejects. */
  readonly signal: AbortSignal;
}

/**
 * Why it could not be done.
 * - `missing-binary`, `permission`: someone has to mend the machine or the manifest.
 * - `timeout`: the tool did not end in time. `aborted`: it was asked to end.
 * - `unreadable`: what it printed is not what this version expects.
 * - `other`: anything else.
 */
export type ConntrackErrorKind =
  | "missing-binary"
  | "permission"
  | "timeout"
  | "aborted"
  | "unreadable"
  | "other";

/** conntrack did not do what was asked. The message is one sentence for an operator. */
export class ConntrackError extends Error {
  readonly kind: ConntrackErrorKind;

  constructor(message: string, options: { readonly kind: ConntrackErrorKind; readonly cause?: unknown }) {
    super(message, options.cause === undefined ? undefined : { cause: options.cause });
    this.name = "ConntrackError";
    this.kind = options.kind;
  }
}
