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
import { type TableSense, TableWatch } from "./table_watch.ts";

/** What `createNftablesBackend` needs. */
export interface NftablesBackendOptions {
  /** Remains the caller's, to be disposed of where it can be. */
  readonly nft: Nft;
  /** What is better at changes of elements, if there is anything. */
  readonly elements?: PreferredWriter | undefined;
  /** By which it is seen at once what others do to the table; without, at comparisons only. */
  readonly sense?: TableSense | undefined;
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

/** A look takes 0.02 ms; some of those after a change of anything in nftables, 2 (`table_watch.ts`). */
const LOOK_INTERVAL_MS = 250;

class NftablesBackend implements RedirectBackend {
  readonly name = "nftables";
  readonly lookIntervalMs: number;
  readonly #nft: Nft;
  readonly #elements: ElementRoute;
  readonly #layoutWithout: () => Layout;
  readonly #sense: TableSense | undefined;
  #layout: Layout;
  #watch: TableWatch | undefined;
  #readAhead: Promise<KernelTable | undefined> | undefined;

  constructor({ nft, elements, sense, ports, ...settings }: NftablesBackendOptions) {
    this.#nft = nft;
    this.#elements = new ElementRoute(nft, elements);
    this.#layout = createLayout(ports, settings);
    this.#sense = sense;
    this.lookIntervalMs = sense === undefined ? Infinity : LOOK_INTERVAL_MS;
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
    const reading = this.#readAhead = this.#readNow();
    await reading;
  }

  apply(delta: PlanDelta): Promise<void> {
    return this.#elements.write(delta);
  }

  async reconcile(plan: () => Iterable<PlanElement>): Promise<Reconciliation> {
    const outcome = await reconcile({
      nft: this.#nft,
      elements: this.#elements,
      layout: this.#layout,
      read: () => this.#read(),
      plan,
    });
    if (outcome.layoutDifferences.length > 0) this.#watch?.replaced();
    return outcome;
  }

  async look(): Promise<string | undefined> {
    try {
      return await this.#watch?.look();
    } catch (error) {
      if (!(error instanceof RedirectError)) throw error;
      return `the table cannot be seen: ${error.message}`;
    }
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
    return await this.#readNow();
  }

  async #readNow(): Promise<KernelTable | undefined> {
    if (this.#sense !== undefined) this.#watch ??= new TableWatch(this.#sense, this.#layout);
    await this.#watch?.note();
    return await readTable(this.#nft);
  }
}
