/**
 * Starts an Envoy again and again that is given so many Clusters.
 *
 * In: how many Clusters, how many starts. Out: figures of each start. A real Envoy and the agent's ADS server on loopback.
 * @module
 */
import { join } from "@std/path/join";
import { httpBackend, slicesFor } from "../../xds/testing/backends.ts";
import { EnvoyFixture, envoyTool } from "../../xds/testing/envoy_fixture.ts";
import { WorkingSet } from "../../xds/working_set.ts";
import type { Figures } from "./figures.ts";
import { residentMB } from "./process_figures.ts";
import type { WarmFigure } from "./warm.ts";

/** @throws {Error} when there is no Envoy */
export async function measureWarmStarts(
  count: number,
  repetitions: number,
): Promise<Figures<WarmFigure>[]> {
  if (envoyTool.unavailable !== undefined) throw new Error(`cannot measure here: ${envoyTool.unavailable}`);
  await using backend = httpBackend("a");
  await using fixture = await EnvoyFixture.start([]);
  // One at least, to be asked for.
  const addresses = Array.from(
    { length: Math.max(count, 1) },
    (_, index) => `127.1.${index >> 8}.${index & 255}`,
  );
  fixture.apply(...addresses.flatMap((address, index) => [
    fixture.service(`s${index}`, 0, { overrides: { clusterIPs: [address] } }),
    ...slicesFor(`s${index}`, "http", [backend]),
  ]));
  const used = new WorkingSet();
  used.used(addresses.slice(0, count).map((address) => `${address}:${fixture.httpPort}`), Date.now());
  const found: Figures<WarmFigure>[] = [];
  for (let repetition = 0; repetition < repetitions; repetition++) {
    await fixture.stopEnvoy();
    await fixture.stopServer();
    // Each time anew: what is asked for below would be known at the next start.
    await Deno.writeTextFile(join(fixture.directory, "working-set.json"), used.render(Date.now()));
    await fixture.startServer();
    const startMs = performance.now();
    await fixture.spawnEnvoy();
    while (!await fixture.isListening()) await new Promise((resolve) => setTimeout(resolve, 2));
    const listeningMs = performance.now() - startMs;
    const envoyMB = await residentMB(fixture.envoyPid);
    const url = `http://${addresses[0]}:${fixture.httpPort}/`;
    found.push({ listeningMs, envoyMB, firstMs: await timed(url), secondMs: await timed(url) });
  }
  return found;
}

/** Milliseconds of a request on a connection of its own. */
async function timed(url: string): Promise<number> {
  using client = Deno.createHttpClient({ poolMaxIdlePerHost: 0 });
  const startMs = performance.now();
  const response = await fetch(url, { client });
  await response.text();
  if (!response.ok) throw new Error(`${url} gave status ${response.status}`);
  return performance.now() - startMs;
}
