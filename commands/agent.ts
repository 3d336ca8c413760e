/**
 * `lightpath agent`: the composition root. Everything is created, wired and ended here; nothing is decided.
 *
 * The way of a change from the source to Envoy and the kernel is in `data_path.ts`.
 *
 * Order of the start: what can fail for a reason an operator must mend (nft, ports, sockets, kubeconfig, Envoy's
 * binary) comes before anything is changed. Streams and kernel get nothing before the first complete state is in.
 * Order of the end: sources, then Envoy if the agent runs it, then the servers, then the nft that is kept running. The
 * kernel's table stays, so a restarted agent finds traffic as it left it.
 * @module
 */
import type { Config } from "../agent/config.ts";
import { startHealthServer, startMetricsServer } from "../agent/health_server.ts";
import {
  AGENT_RIGHTS,
  createApiSource,
  createEventReporter,
  createKubeClient,
  createManifestSource,
  type EventReporter,
  type NodeClient,
  type ObjectSource,
  resolveRoot,
  type RightsClient,
  selectorsFor,
  type ServiceCIDRClient,
  watchNode,
  watchRights,
  watchServiceCIDRs,
  zoneOfNode,
} from "../agent/kube/mod.ts";
import type { Logger } from "../agent/log.ts";
import { refuseIPVSAddresses } from "../agent/ipvs.ts";
import { createMetrics, type Metrics } from "../agent/metrics.ts";
import { type IPFamily, marksOf, type NodeAddresses, ServiceModel } from "../agent/model/mod.ts";
import { selectNodeAddresses, watchNodeAddresses } from "../agent/node_addresses.ts";
import { readNodeNetwork } from "../agent/node_network.ts";
import { createProblemReporter } from "../agent/problems.ts";
import { createProxyHealthTracker } from "../agent/proxy_health.ts";
import { createReadiness, type Readiness, renderReadiness } from "../agent/readiness.ts";
import { ServiceHealth } from "../agent/service_health.ts";
import { VERSION } from "../agent/version.ts";
import {
  createConntrack,
  createIp,
  createRedirector,
  ensureNoEarlyDemux,
  ensurePolicyRoutes,
  FlowCleaner,
  holdTable,
  raiseConntrackLimits,
  type Redirector,
} from "../redirect/mod.ts";
import {
  askLiveness,
  createAdsServer,
  type Destination,
  drainEnvoy,
  endDrain,
  ENVOY_VERSION,
  type EnvoyBinary,
  type EnvoyState,
  envoyStatistics,
  fetchEnvoy,
  findEnvoy,
  openWorkingSet,
  parseClusterName,
  ResourceStore,
  runEnvoy,
  watchClusterUse,
  whyNotInClientsName,
} from "../xds/mod.ts";
import { adsAddressOf, bootstrapFor, servedFamilies, servedRanges } from "./bootstrap.ts";
import { abortAfter, type CommandContext, runTogether } from "./context.ts";
import { DataPath } from "./data_path.ts";
import { EnvoyPresence } from "./envoy_presence.ts";
import { EnvoyReadiness } from "./envoy_readiness.ts";
import { explainLive, type LiveSources } from "./explain/live.ts";
import { serveExplanations } from "./explain/local_socket.ts";
import { MovingServices } from "./moving_services.ts";
import { observeEnvoys } from "./observe_envoys.ts";
import { type ChosenBackend, openBackend } from "./redirect_backend.ts";
import { SourceAddressChoice } from "./source_address.ts";

/** The kubelet waits for 30 s before it kills; nft's own limit is as long. */
const LONGEST_HAND_OVER_MS = 2_000;

/** Without policy routes nothing in a client's name is answered: who removes them, and be it by mistake, is noticed soon. */
const LONGEST_LOOK_INTERVAL_MS = 30_000;

/** Why endpoints cannot see their clients, where Envoy takes no source filter. */
const OLD_BOOTSTRAP =
  'Envoy was started with the bootstrap of an older Lightpath; write it anew with "lightpath bootstrap"';

/** Runs the agent until the signal aborts. */
export async function runAgent(context: CommandContext): Promise<void> {
  const { config, logger } = context;
  const families = servedFamilies(config);
  const metrics = createMetrics({
    families,
    build: { version: VERSION, envoyVersion: ENVOY_VERSION, mode: config.mode },
  });
  const readiness = createReadiness({
    synced: "Services and EndpointSlices are being read",
    ...(config.redirect === "none"
      ? {}
      : { planApplied: "nothing is programmed before the Services are known" }),
    envoyConnected: "no Envoy is connected yet",
  });
  readiness.onChange((report) => logger.info(renderReadiness(report)));
  const health = createProxyHealthTracker({ families });

  const { source, events, serviceCIDRs, rights, nodes } = await createSource(context, metrics);
  const envoy = config.envoy === "run" ? await prepareEnvoy(context) : undefined;
  await using _hold = config.redirect === "none"
    ? undefined
    : await holdTable(`lightpath agent (pid ${Deno.pid}, --run-dir ${config.runDir})`);
  const network = readNodeNetwork();
  if (config.redirect !== "none") refuseIPVSAddresses(network);
  const marks = marksOf(config.markMask);
  await using chosen = config.redirect === "none"
    ? undefined
    : await openBackend(config, { families, logger });
  if (chosen !== undefined) metrics.redirectsBy(chosen.name);
  const redirector = chosen && prepareRedirector(context, {
    chosen,
    families,
    metrics,
    readiness,
    onDrift: () => flows?.lookEverywhere(),
  });
  const addressSelection = { ranges: config.nodeportAddresses, nodeIPs: config.nodeIPs, families };
  const nodeAddresses = selectNodeAddresses(network, addressSelection);

  const { serviceProxyName, nodeName, tcpPath } = config;
  const zone = config.zone === "" && nodes !== undefined
    ? await zoneOfNode(nodes, nodeName, logger)
    : config.zone;
  const selection = { serviceProxyName, families };
  const primary = selectNodeAddresses(network, { ...addressSelection, ranges: "primary" });
  const nodeIPs = [...primary.IPv4, ...primary.IPv6];
  const model = new ServiceModel(selection, { nodeName, zone, tcpPath, nodeIPs });
  const envoyReadiness = new EnvoyReadiness(readiness, redirector === undefined);
  using presence: EnvoyPresence | undefined = redirector && new EnvoyPresence({
    askLiveness: (signal) => askLiveness(config.envoyAdminSocket, signal),
    onServing: (serving) => {
      metrics.envoyServing(serving);
      redirector.setEnvoyReady(serving);
      if (!serving) return envoyReadiness.sendsConnections(false);
      // If the agent ends first, nobody asks any more.
      redirector.flushed().then(() => envoyReadiness.sendsConnections(presence?.serving === true), () => {});
    },
    logger,
  });
  if (config.envoy === "sidecar") await takeBack(config.envoyAdminSocket, logger);
  await presence?.begin(config.envoy !== "run");
  await using workingSet = await openWorkingSet({ directory: config.stateDir, logger });
  const problems = createProblemReporter({ logger, counter: metrics });
  const store = new ResourceStore({ view: model, nodeAddresses, usedClusters: () => workingSet.names() });
  /** Of the Envoy this agent runs; before there is one, what the agent may do says what it will. */
  let envoyPid: number | "self" = "self";
  /** Of the Envoy that connected last; undefined: none did. */
  let takesSourceFilter: boolean | undefined;
  const sourceAddress = new SourceAddressChoice({
    wanted: config.sourceAddress === "preserve" && redirector !== undefined
      ? { kind: "preserve", mark: marks.envoy }
      : { kind: "node" },
    whyNotKernel: () => chosen?.whyNotInClientsName ?? ensureNoEarlyDemux(config.sysctlDir),
    ensureRoutes: () =>
      ensurePolicyRoutes(createIp({ ipPath: config.ipBin }), { marks, table: config.routeTable, families }),
    whyNotEnvoy: () => {
      if (takesSourceFilter === false) return OLD_BOOTSTRAP;
      const envoy = config.envoy === "run" ? { pid: envoyPid } : { adminSocket: config.envoyAdminSocket };
      return whyNotInClientsName(envoy, { mustBeThere: takesSourceFilter !== undefined });
    },
    onChange: (source, lacking) => {
      store.setSourceAddress(source);
      metrics.sourcePreserved(source.kind === "preserve");
      readiness.note("sourceAddress", lacking && `endpoints see this node's address: ${lacking}`);
    },
    logger,
    intervalMs: Math.min(config.resyncIntervalMs, LONGEST_LOOK_INTERVAL_MS),
  });
  await sourceAddress.look();
  await using serviceHealth = new ServiceHealth({
    nodeAddresses,
    proxyHealthy: () => health.livez().ok,
    problems,
    logger,
  });
  const flows = redirector && new FlowCleaner({
    conntrack: createConntrack({ conntrackPath: config.conntrackBin }),
    view: model,
    families,
    flushed: () => redirector.flushed(),
    logger,
    observer: metrics.flows,
  });
  using path = new DataPath({
    model,
    store,
    redirector,
    flows,
    nodeAddresses,
    hasTaken: (clusters) => ads.hasTaken(clusters),
    problems: {
      report: (batch) => {
        problems.report(batch);
        events?.report(batch);
      },
    },
    metrics,
    health,
    serviceHealth,
    logger,
    onSynced: () => readiness.met("synced"),
  });

  await using servers = new AsyncDisposableStack();
  if (config.healthzBindAddress !== undefined) {
    const onProbe = metrics.probed;
    servers.use(
      startHealthServer({ address: config.healthzBindAddress, health, readiness, onProbe, logger }),
    );
  }
  if (config.metricsBindAddress !== undefined) {
    servers.use(startMetricsServer({
      address: config.metricsBindAddress,
      metrics,
      envoyStatistics: () => envoyStatistics(config.envoyAdminSocket),
      logger,
    }));
  }
  const envoys = observeEnvoys({
    metrics: metrics.xds,
    readiness: envoyReadiness,
    workingSet,
    logger,
    adsAddress: renderAdsAddress(config),
    onProgress: () => path.envoyProgressed(),
    onConnected: (envoy) => {
      takesSourceFilter = envoy.takesSourceFilter === true;
      void sourceAddress.look();
    },
    onFed: (fed) => fed ? presence?.fed() : presence?.away("its stream ended"),
  });
  const ads = servers.use(
    await createAdsServer({
      source: store,
      address: renderAdsAddress(config),
      logger,
      observer: envoys,
    }),
  );

  const adminSocket = config.envoyAdminSocket;
  const live: LiveSources = {
    nodeName,
    selection,
    model,
    store,
    ads,
    adminSocket,
    source,
    problemOnNode: (name) => serviceHealth.problemOf(name),
    clientAddressLacking: () => sourceAddress.lacking,
  };
  servers.use(
    await serveExplanations({
      path: config.agentSocket,
      logger,
      explain: (service) => explainLive(service, live),
    }),
  );

  /**
   * Nobody tells Envoy of Clusters any more: what it cannot carry then is the kernel's. Or it ends as well: then all new connections
   * are, and Envoy finishes what is under way.
   */
  async function handOver(): Promise<void> {
    if (redirector === undefined || presence?.serving !== true) return;
    if (config.envoy === "external") {
      redirector.setEnvoyAlone(heldDestinations(ads.heldClusters()));
      presence[Symbol.dispose]();
      return await redirector.flushed();
    }
    presence.away("it ends with the agent");
    presence[Symbol.dispose]();
    await redirector.flushed();
    const left = await drainEnvoy({ adminSocket, longestMs: config.drainTimeMs });
    // Idle ones too: Envoy cannot ask their clients to go.
    if (left > 0) logger.info("Envoy ends with connections that are still open", { connections: left });
  }

  using moving = serviceProxyName === "" ? undefined : new MovingServices({ sink: path, serviceProxyName });
  await runTogether([
    (signal) => source.run(moving ?? path, signal),
    ...(rights === undefined ? [] : [(signal: AbortSignal) => {
      const needed = AGENT_RIGHTS.filter(({ kind }) => kind !== "ServiceCIDR" || serviceCIDRs !== undefined);
      const onChange = (missing: string | undefined): void => readiness.note("rights", missing);
      return watchRights({ client: rights, rights: needed, onChange, logger }, signal);
    }]),
    ...(nodes === undefined ? [] : [(signal: AbortSignal) => {
      const addresses = (): string[] => readNodeNetwork().interfaces.map(({ address }) => address);
      return watchNode({
        client: nodes,
        own: { name: nodeName, zone: config.zone, addresses },
        onZone: (zone) => path.setZone(zone),
        onFault: (fault) => readiness.note("node", fault),
        logger,
      }, signal);
    }]),
    ...(events === undefined ? [] : [(signal: AbortSignal) => events.run(signal)]),
    (signal) => {
      const onChange = (addresses: NodeAddresses): void => path.setNodeAddresses(addresses);
      return watchNodeAddresses({ ...addressSelection, onChange, logger }, signal);
    },
    ...(redirector === undefined ? [] : [(signal: AbortSignal) => redirector.run(signal), async () => {
      // What somebody else would still send elsewhere is ours from now on.
      await redirector.flushed();
      await chosen?.removeLeftovers();
      // Only now, if nobody did before, does the kernel track connections.
      raiseLimits(config, logger);
    }]),
    ...(redirector === undefined || serviceCIDRs === undefined ? [] : [(signal: AbortSignal) => {
      const onChange = (cidrs: readonly string[]): void =>
        redirector.setServiceCIDRs(servedRanges(cidrs, families));
      return watchServiceCIDRs({ client: serviceCIDRs, onChange, logger }, signal);
    }]),
    (signal) => sourceAddress.run(signal),
    ...(flows === undefined ? [] : [(signal: AbortSignal) => flows.run(signal)]),
    ...(config.mode === "eager" ? [] : [(signal: AbortSignal) => {
      const onUsed = (statisticsNames: ReadonlySet<string>): void =>
        workingSet.refresh((name) => statisticsNames.has(store.statisticsName(name) ?? ""));
      return watchClusterUse({ adminSocket, after: store.opened, onUsed, logger }, signal);
    }]),
    ...(envoy === undefined ? [] : [async (signal: AbortSignal) => {
      await runEnvoy({
        binary: envoy.path,
        bootstrap: JSON.stringify(bootstrapFor(config, families)),
        runDir: config.runDir,
        concurrency: config.envoyConcurrency,
        logLevel: config.envoyLogLevel,
        logger: logger.with({ process: "envoy" }),
        onState: (state) => {
          if (state.kind === "running") envoyPid = state.pid;
          if (state.kind === "exited") presence?.away("its process ended");
          noteEnvoyState(state, { metrics, readiness: envoyReadiness });
        },
      }, signal);
      await removeSocket(config.envoyAdminSocket);
    }]),
  ], {
    // Traffic is handed over while the kernel can still be programmed and Envoy, where the agent runs it, still serves.
    signal: abortAfter(context.signal, handOver, {
      longestMs: LONGEST_HAND_OVER_MS + config.drainTimeMs,
      logger,
    }),
    logger,
  });
  logger.info("ended as asked; the kernel's table stays, so that the next agent finds it");
}

/** Where objects come from, and who can be told what is wrong with them: of manifests nobody but the log. */
interface Sources {
  readonly source: ObjectSource;
  readonly events: EventReporter | undefined;
  /** Undefined where nobody is asked for them. */
  readonly serviceCIDRs: ServiceCIDRClient | undefined;
  /** Who can be asked what is permitted. */
  readonly rights: RightsClient | undefined;
  /** Who can be asked about this Node. */
  readonly nodes: NodeClient | undefined;
}

async function createSource({ config, logger }: CommandContext, metrics: Metrics): Promise<Sources> {
  if (config.manifests.length > 0) {
    // The source would find out too, but only when Envoy already runs.
    for (const path of config.manifests) await resolveRoot(path);
    const source = createManifestSource({
      paths: config.manifests,
      logger,
      onProblem: () => metrics.problemAppeared("manifest"),
      onProblemResolved: () => metrics.problemResolved("manifest"),
    });
    return { source, events: undefined, serviceCIDRs: undefined, rights: undefined, nodes: undefined };
  }
  const client = await createKubeClient({
    kubeconfig: config.kubeconfig === "" ? undefined : config.kubeconfig,
    context: config.context === "" ? undefined : config.context,
  });
  logger.info("reading Services from the API server", { server: client.server });
  const source = createApiSource({
    client,
    logger,
    selectors: selectorsFor(config.serviceProxyName),
    observer: metrics.source,
  });
  const { nodeName } = config;
  const onSettled = metrics.eventSettled;
  return {
    source,
    events: createEventReporter({ client, nodeName, logger, onSettled }),
    // Beside another proxy most ClusterIPs are not this agent's, which must not take them for nobody's.
    serviceCIDRs: config.serviceCIDRs === "auto" && config.serviceProxyName === "" ? client : undefined,
    rights: client,
    nodes: client,
  };
}

async function prepareEnvoy({ config, logger, signal }: CommandContext): Promise<EnvoyBinary> {
  const envoy = await findEnvoy({
    explicit: config.envoyBin,
    searchPath: Deno.env.get("PATH") ?? "",
    fetch: () => fetchEnvoy({ cacheDir: config.cacheDir, onProgress: (line) => logger.info(line), signal }),
    logger,
  });
  logger.info("Envoy found", { path: envoy.path, version: envoy.version });
  // Running Envoy would make it too, but only when the kernel may have been programmed already.
  await Deno.mkdir(config.runDir, { recursive: true, mode: 0o700 });
  return envoy;
}

function prepareRedirector(
  { config, logger }: CommandContext,
  { chosen, families, metrics, readiness, onDrift }: {
    readonly chosen: ChosenBackend;
    readonly families: readonly IPFamily[];
    readonly metrics: Metrics;
    readonly readiness: Readiness;
    /** Somebody else had changed the table; it is mended. */
    readonly onDrift: () => void;
  },
): Redirector {
  const redirector = createRedirector({
    backend: chosen.backend,
    logger,
    resyncIntervalMs: config.resyncIntervalMs,
    observer: {
      onApplied: (applied) => {
        metrics.redirect.onApplied(applied);
        readiness.met("planApplied");
      },
      onError: (kind, error) => {
        metrics.redirect.onError(kind);
        readiness.unmet("planApplied", error.message);
      },
      onDrift: (differences) => {
        metrics.redirect.onDrift(differences);
        onDrift();
      },
    },
  });
  if (config.serviceCIDRs !== "auto") {
    redirector.setServiceCIDRs(servedRanges(config.serviceCIDRs, families));
  }
  return redirector;
}

/** Has the kernel track as many connections as kube-proxy would, and for as long. */
function raiseLimits(config: Config, logger: Logger): void {
  const { raised, tooLow } = raiseConntrackLimits(config.sysctlDir, {
    entriesPerCore: config.conntrackMaxPerCore,
    minEntries: config.conntrackMin,
    establishedMs: config.conntrackTCPTimeoutEstablishedMs,
    closeWaitMs: config.conntrackTCPTimeoutCloseWaitMs,
  });
  if (raised.length > 0) logger.info("raised limits of connection tracking", { settings: raised.join() });
  for (const sentence of tooLow) logger.warn(sentence);
}

/** An agent before this one may have drained the Envoy of their pod, and then only its own container was started anew. */
async function takeBack(adminSocket: string, logger: Logger): Promise<void> {
  try {
    await endDrain(adminSocket);
  } catch (error) {
    // It has not begun yet.
    logger.debug("there is no Envoy yet", { error: String(error) });
  }
}

function heldDestinations(clusters: Iterable<string>): readonly Destination[] {
  // A Cluster that nobody reaches by an address is none of the kernel's.
  return [...clusters].flatMap((name) => parseClusterName(name) ?? []);
}

function noteEnvoyState(
  state: EnvoyState,
  { metrics, readiness }: { readonly metrics: Metrics; readonly readiness: Pick<Readiness, "unmet"> },
): void {
  if (state.kind !== "exited") return;
  metrics.envoyExited();
  const because = state.lastError === "" ? state.how : `${state.how}: ${state.lastError}`;
  readiness.unmet("envoyConnected", `Envoy ended (${because}) and is started again`);
}

/** Envoy leaves its admin socket behind when it ends. */
async function removeSocket(path: string): Promise<void> {
  try {
    if ((await Deno.lstat(path)).isSocket === true) await Deno.remove(path);
  } catch (error) {
    // It never came so far as to listen.
    if (!(error instanceof Deno.errors.NotFound)) throw error;
  }
}

function renderAdsAddress(config: Config): string {
  const address = adsAddressOf(config);
  if (address.kind === "unix") return `unix:${address.path}`;
  const host = address.host.includes(":") ? `[${address.host}]` : address.host;
  return `${host}:${address.port}`;
}
