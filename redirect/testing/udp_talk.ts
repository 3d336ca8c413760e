/**
 * UDP clients that keep their port and go on asking, as many do.
 * @module
 */

import { fromFileUrl } from "@std/path/from-file-url";
import type { LabProcess, Namespace } from "../../scripts/lab/mod.ts";

/** Endpoints and their clients; a script of python3. */
export const ENDPOINT_SCRIPT: string = fromFileUrl(new URL("./endpoint.py", import.meta.url));

/** A UDP flow that is talked over, until its namespace ends. */
export class UdpTalk {
  readonly #client: LabProcess;
  #told = 0;

  private constructor(client: LabProcess) {
    this.#client = client;
  }

  /** Begins to ask. */
  static start(from: Namespace, host: string, port: number): UdpTalk {
    return new UdpTalk(from.spawn(["python3", ENDPOINT_SCRIPT, "talk", "udp", host, String(port)]));
  }

  /** Who answered first, or next after the one told before: an address, or `refused`. Waits for it. */
  async nextAnswer(): Promise<string> {
    const line = await this.#client.waitForLine(new RegExp(`^${++this.#told} `));
    return line.split(" ")[1] ?? "";
  }

  /** How often it was another one who answered. */
  get changes(): number {
    return this.#client.recentOutput().split("\n").length - 1;
  }
}
