/**
 * Tests that need more than Deno: registered normally when the machine offers it, otherwise ignored with the reason
 * in their name, where `deno task test` finds it for its list of skipped tests.
 *
 * Sanitizers stay on. Nothing here is imported by the agent.
 * @module
 */

import { namespacesUnavailable } from "./namespace.ts";

/** What a test is registered with. */
export interface NeedyTestOptions {
  /** Reasons why it cannot run; the defined ones make it ignored. */
  readonly unavailable: readonly (string | undefined)[];
}

/** Registers a test that is skipped, with the reason in its name, when something is unavailable. */
export function testUnless(
  name: string,
  options: NeedyTestOptions,
  fn: (t: Deno.TestContext) => void | Promise<void>,
): void {
  const reasons = options.unavailable.filter((reason) => reason !== undefined);
  if (reasons.length === 0) {
    Deno.test(name, fn);
  } else {
    Deno.test({ name: `${name} (skipped: ${reasons.join("; ")})`, ignore: true, fn });
  }
}

const noNamespaces = await namespacesUnavailable();

/** Registers a test that makes network namespaces. */
export function testInNamespace(name: string, fn: (t: Deno.TestContext) => void | Promise<void>): void {
  testUnless(name, { unavailable: [noNamespaces] }, fn);
}
