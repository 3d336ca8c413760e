/**
 * A `Conntrack` in memory. `flow_cleaner_namespace_test.ts` uses the real one.
 * @module
 */

import type { Conntrack, ConntrackError, ReadFlowsOptions } from "../conntrack.ts";
import { socketText, type UdpFlow } from "../udp_flow.ts";

/** See the module's comment. */
export class FakeConntrack implements Conntrack {
  flows: UdpFlow[] = [];
  /** Readings that began. */
  readings = 0;
  /** What every call throws, for as long as it is set. */
  error: ConntrackError | undefined;
  /** Called at the end of each reading, before anything is deleted. */
  onRead: () => void | Promise<void> = () => {};

  async readUdpFlows({ family, onFlow }: ReadFlowsOptions): Promise<void> {
    this.readings++;
    if (this.error !== undefined) throw this.error;
    for (const flow of this.flows) if (flow.family === family) onFlow(flow);
    await this.onRead();
  }

  deleteUdpFlows(like: UdpFlow): Promise<number> {
    if (this.error !== undefined) return Promise.reject(this.error);
    const before = this.flows.length;
    this.flows = this.flows.filter((flow) => text(flow) !== text(like));
    return Promise.resolve(before - this.flows.length);
  }
}

function text({ destination, answeredBy }: UdpFlow): string {
  return `${socketText(destination)} by ${socketText(answeredBy)}`;
}
