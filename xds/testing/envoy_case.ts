/**
 * A test case against a real Envoy, skipped with a reason where there is none; and what such tests ask again and again.
 * @module
 */
import type { Service } from "../../agent/kube/objects.ts";
import { CONFIG_PREFIX } from "../../agent/model/mod.ts";
import { type EnvoyFixture, envoyTool } from "./envoy_fixture.ts";

/** Registers the test. */
export function envoyTest(name: string, run: () => Promise<void>): void {
  const reason = envoyTool.unavailable;
  if (reason === undefined) Deno.test(`Envoy: ${name}`, run);
  else Deno.test({ name: `Envoy: ${name} (skipped: ${reason})`, ignore: true, fn: run });
}

/** GET / at 127.0.0.<host>, or at an address: status and body. */
export async function get(fixture: EnvoyFixture, host: number | string): Promise<string> {
  const address = typeof host === "number" ? `127.0.0.${host}` : host;
  const response = await fetch(`http://${address}:${fixture.httpPort}/`);
  return `${response.status} ${await response.text()}`;
}

/** A Service at 127.0.0.<host> with these settings as annotations. */
export function configured(
  fixture: EnvoyFixture,
  name: string,
  host: number,
  settings: Readonly<Record<string, string>>,
  kind: "http" | "h2c" | "tcp" = "http",
): Service {
  const annotations = Object.fromEntries(
    Object.entries(settings).map(([setting, value]) => [CONFIG_PREFIX + setting, value]),
  );
  return fixture.service(name, host, { kind, overrides: { annotations } });
}

/** How many resources and removals of a type were sent by the agent that runs now. */
export function sent(fixture: EnvoyFixture, type: string): number {
  return fixture.recorded.responses.filter((response) => response.type === type)
    .reduce((sum, { resources, removed }) => sum + resources + removed, 0);
}
