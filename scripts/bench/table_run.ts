/**
 * Fills a table in a namespace of its own, and changes it.
 *
 * In: the nft program, who writes elements, how many Services. Out: figures of one table.
 * @module
 */
import { silentLogger } from "../../agent/log.ts";
import type { ServicePort } from "../../agent/model/mod.ts";
import { servicePort } from "../../agent/model/testing/service_ports.ts";
import { createNftablesBackend, createNftSession, createRedirector } from "../../redirect/mod.ts";
import { withEndpoints } from "../../redirect/testing/endpoints.ts";
import { openNetlinkIn } from "../../redirect/testing/netlink_in_namespace.ts";
import { Namespace } from "../lab/mod.ts";
import { type Figures, quantile } from "./figures.ts";
import type { TableFigure, Writer } from "./table.ts";

/** What to measure. */
export interface TableTask {
  /** Path of the program. */
  readonly nft: string;
  readonly writer: Writer;
  readonly services: number;
}

/** One after the other, each waited for. */
const CHANGES = 500;

/** @throws {Error} when the kernel did not take something */
export async function measureTable({ nft, writer, services }: TableTask): Promise<Figures<TableFigure>> {
  await using made = new AsyncDisposableStack();
  const node = made.use(await Namespace.create({ name: "node" }));
  const running = made.use(
    createNftSession({ nftPath: nft, argvPrefix: node.enter([]), logger: silentLogger }),
  );
  const elements = writer === "netlink"
    ? { writer: made.use(await openNetlinkIn(node)).elements, logger: silentLogger }
    : undefined;
  const errors: string[] = [];
  const redirector = createRedirector({
    backend: createNftablesBackend({ nft: running, elements, ports: { tcp: 1666, http: 1667 } }),
    logger: silentLogger,
    observer: { onError: (_kind, error) => errors.push(error.message) },
  });
  const end = new AbortController();
  const ended = redirector.run(end.signal);
  made.defer(async () => {
    end.abort();
    await ended;
  });

  const ports = Array.from({ length: services }, (_, index) => port(index, 0));
  const startMs = performance.now();
  redirector.start({ servicePorts: () => ports }, { IPv4: ["192.0.2.1"], IPv6: [] });
  await redirector.flushed();
  const loadMs = performance.now() - startMs;

  const changesMs: number[] = [];
  for (let change = 1; change <= CHANGES; change++) {
    // Far from each other, as changes are.
    const index = (change * 7_919) % services;
    const [before, after] = [ports[index]!, port(index, change)];
    ports[index] = after;
    const changeMs = performance.now();
    redirector.update(new Map([[after.key, { before, after }]]));
    await redirector.flushed();
    changesMs.push(performance.now() - changeMs);
  }
  if (errors.length > 0) throw new Error(`the kernel did not take all: ${errors[0]}`);
  return { loadMs, changeP50Ms: quantile(changesMs, 0.5), changeP99Ms: quantile(changesMs, 0.99) };
}

/** A port with two endpoints, the second of which is another for each `version`. */
function port(index: number, version: number): ServicePort {
  const last = `${index >> 8}.${index & 255}`;
  return withEndpoints(servicePort({ name: `s${index}`, vips: [`10.96.${last} 80`] }), [
    `10.244.${last} 8080`,
    `10.${245 + (version & 1)}.${last} ${8080 + version}`,
  ]);
}
