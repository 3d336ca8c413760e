/**
 * The table `inet lightpath` as a backend: one transaction of nft for each change.
 *
 * In: an `Nft`, Envoy's ports. The table's constant part is `layout.ts`, its comparison `reconcile.ts`.
 * @module
 */

import type { Reconciliation, RedirectBackend } from "./backend.ts";
import type { EnvoyPorts, LayoutOptions } from "./chains.ts";
import type { PlanDelta } from "./diff.ts";
import { ElementRoute, type PreferredWriter } from "./element_route.ts";
import { createLayout, type Layout } from "./layout.ts";
import type { Nft } from "./nft.ts";
import type { KernelTable } from "./parse_ruleset.ts";
import type { PlanElement } from "./plan.ts";
import { cleanup, probeNft, readTable, reconcile } from "./reconcile.ts";
import { RedirectError } from "./redirect_error.ts";

/** What `createNftablesBackend` needs. */
export interface NftablesBackendOptions {
  /** Remains the caller's, to be disposed of where it can be. */
  readonly nft: Nft;
  /** What is better at changes of elements, if there is anything. */
  readonly elements?: PreferredWriter | undefined;
  readonly ports: EnvoyPorts;
  /** @default nobody is known to be a pod */
  readonly clusterCIDRs?: LayoutOptions["clusterCIDRs"];
  /** @default those of the default bits */
  readonly marks?: LayoutOptions["marks"];
}

/**
 * A backend that writes the nftables table.
 * @throws {RangeError} when a port is none.
 */
export function createNftablesBackend(options: NftablesBackendOptions): RedirectBackend {
  return new NftablesBackend(options);
}

class NftablesBackend implements RedirectBackend {
  readonly name = "nftables";
  readonly #nft: Nft;
  readonly #elements: ElementRoute;
  readonly #layoutWithout: () => Layout;
  #layout: Layout;
  #readAhead: Promise<KernelTable | undefined> | undefined;

  constructor({ nft, elements, ports, ...settings }: NftablesBackendOptions) {
    this.#nft = nft;
    this.#elements = new ElementRoute(nft, elements);
    this.#layout = createLayout(ports, settings);
    this.#layoutWithout = () => createLayout(ports, { ...settings, hasTimeouts: false });
  }

  /** A kernel that takes all but `ct timeout` is given all but that. */
  async probe(): Promise<void> {
    try {
      await probeNft(this.#nft, this.#layout);
    } catch (error) {
      const layout = this.#layoutWithout();
      const isTaken = await probeNft(this.#nft, layout).then(() => true, () => false);
      if (!isTaken) throw error;
      this.#layout = layout;
    }
  }

  async readAhead(): Promise<void> {
    const reading = this.#readAhead = readTable(this.#nft);
    await reading;
  }

  apply(delta: PlanDelta): Promise<void> {
    return this.#elements.write(delta);
  }

  reconcile(plan: () => Iterable<PlanElement>): Promise<Reconciliation> {
    return reconcile({
      nft: this.#nft,
      elements: this.#elements,
      layout: this.#layout,
      read: () => this.#read(),
      plan,
    });
  }

  cleanup(): Promise<void> {
    return cleanup(this.#nft);
  }

  async #read(): Promise<KernelTable | undefined> {
    const readAhead = this.#readAhead;
    this.#readAhead = undefined;
    try {
      if (readAhead !== undefined) return await readAhead;
    } catch (error) {
      // What was in its way then need not be in the way now.
      if (!(error instanceof RedirectError)) throw error;
    }
    return await readTable(this.#nft);
  }
}
