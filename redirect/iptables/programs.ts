/**
 * What the iptables backend needs of the kernel, as an interface.
 *
 * Implementation: `run_programs.ts`.
 * @module
 */

import type { FamilySuffix } from "../containers.ts";
import type { Table } from "./chains.ts";

/** The few things that are asked of `iptables`, `ip6tables` and `ipset`. Each method throws `RedirectError` and nothing else. */
export interface Programs {
  /** How the programs are called, for people: `iptables-nft`. */
  readonly name: string;
  /** All tables of a family that the kernel has in use. Cost: that of its rules. */
  saveTables(family: FamilySuffix): Promise<string>;
  /** Performs a text for `iptables-restore --noflush`: table by table, each as one step. */
  restoreTables(family: FamilySuffix, text: string): Promise<void>;
  /** Whether the program takes the text; changes nothing. */
  checkTables(family: FamilySuffix, text: string): Promise<void>;
  /** The rules of one of the kernel's own chains, as the program lists them. */
  showChain(family: FamilySuffix, table: Table, chain: string): Promise<string>;
  /** All sets. Cost: that of their entries. */
  saveSets(): Promise<string>;
  /**
   * Performs a text for `ipset restore`, line by line: what stands before a line that is refused is done. What is there already, or
   * gone already, is no error.
   */
  restoreSets(text: string): Promise<void>;
}
