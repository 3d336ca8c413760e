/**
 * `lightpath webhook`: composition root of the admission webhook. Everything is created, wired and ended here; nothing is
 * decided.
 *
 * Order of the start: health and metrics listen, then a certificate is found or made, then the webhook's port listens: an API
 * server that trusts nobody there yet would not call anyway. Order of the end: not ready any more, so that nobody new is sent
 * here; requests go on being answered for `--drain-time`, each as the last of its connection; then the port closes, and last
 * health and metrics.
 * @module
 */
import { type AdmissionHttpRequest, answerHttp, WEBHOOK_PATH } from "../admission/answer_http.ts";
import type { KeyPair } from "../admission/certificates/inspect.ts";
import { followCertificateFiles } from "../admission/certificates/from_files.ts";
import { keepCertificate } from "../admission/certificates/self_managed.ts";
import { type AdmissionServer, startAdmissionServer } from "../admission/https_server.ts";
import { type AdoptionRules, DEFAULT_PROXY_NAME } from "../admission/judge_adoption.ts";
import { type AdmissionMetrics, createAdmissionMetrics } from "../admission/metrics.ts";
import { startAdmissionMetricsServer, startProbeServer } from "../admission/probes.ts";
import { createObjectClient } from "../agent/kube/mod.ts";
import type { Logger } from "../agent/log.ts";
import { createReadiness, type Readiness, renderReadiness } from "../agent/readiness.ts";
import { VERSION } from "../agent/version.ts";
import { join } from "@std/path/join";
import { delay } from "@std/async/delay";
import { abortAfter, type CommandContext, runTogether } from "./context.ts";

/** Answers until the signal aborts. @throws {BindError | CertificateFileError | KubeConfigError} */
export async function runWebhook(context: CommandContext): Promise<void> {
  const { config, logger } = context;
  const metrics = createAdmissionMetrics({ version: VERSION });
  const readiness = createReadiness({
    certificate: "there is no certificate yet",
    serving: "the port does not listen yet",
  });
  readiness.onChange((report) => logger.info(renderReadiness(report)));
  await using servers = new AsyncDisposableStack();
  if (config.healthzBindAddress !== undefined) {
    servers.use(startProbeServer({ address: config.healthzBindAddress, readiness, logger }));
  }
  if (config.metricsBindAddress !== undefined) {
    servers.use(startAdmissionMetricsServer({ address: config.metricsBindAddress, metrics, logger }));
  }
  await using port = new WebhookPort(context, { metrics, readiness });
  const keep = config.certificateDir === ""
    ? await selfManaged(context, { port, metrics, readiness })
    : fromFiles(context, { port, metrics, readiness });

  async function drain(): Promise<void> {
    readiness.unmet("serving", "it was told to end");
    port.drain();
    await delay(config.drainTimeMs);
  }
  await runTogether([keep], {
    signal: abortAfter(context.signal, drain, { longestMs: config.drainTimeMs + 1_000, logger }),
    logger,
  });
  logger.info("ended as asked");
}

interface Wiring {
  readonly port: WebhookPort;
  readonly metrics: AdmissionMetrics;
  readonly readiness: Readiness;
}

type Loop = (signal: AbortSignal) => Promise<void>;

async function selfManaged({ config, logger }: CommandContext, wiring: Wiring): Promise<Loop> {
  const { port, metrics, readiness } = wiring;
  const { kubeconfig, context, webhookSecret, webhookConfiguration, certificateLifetimeMs } = config;
  const client = await createObjectClient({
    kubeconfig: kubeconfig === "" ? undefined : kubeconfig,
    context: context === "" ? undefined : context,
    needed: { Secret: ["get", "update"], MutatingWebhookConfiguration: ["get", "patch"] },
  });
  logger.info("making certificates of its own", { server: client.server, secret: webhookSecret });
  const [namespace = "", name = ""] = webhookSecret.split("/");
  let settledOnce = false;
  return (signal) =>
    keepCertificate({
      client,
      secret: { namespace, name },
      configuration: webhookConfiguration,
      lifetimeMs: certificateLifetimeMs,
      path: WEBHOOK_PATH,
      logger,
      serve: async (generation) => {
        await port.serve(generation);
        metrics.serving(generation.notAfterMs);
      },
      onSettled: () => {
        settledOnce = true;
        readiness.met("certificate");
      },
      onFailed: (reason) => {
        metrics.certificateFailed();
        // Once all is well, an API server that is away takes nothing from it.
        if (!settledOnce) readiness.unmet("certificate", reason);
      },
      onCreated: () => metrics.certificateCreated(),
    }, signal);
}

function fromFiles({ config, logger }: CommandContext, { port, metrics, readiness }: Wiring): Loop {
  return (signal) =>
    followCertificateFiles({
      certificatePath: join(config.certificateDir, "tls.crt"),
      keyPath: join(config.certificateDir, "tls.key"),
      logger,
      serve: async (pair) => {
        await port.serve(pair);
        metrics.serving(pair.notAfterMs);
      },
      onRead: (notAfterMs) => {
        if (notAfterMs > Date.now()) readiness.met("certificate");
        else readiness.unmet("certificate", `it has expired at ${new Date(notAfterMs).toISOString()}`);
      },
    }, signal);
}

/** The webhook's port, which listens from the first certificate on. */
class WebhookPort implements AsyncDisposable {
  readonly #context: CommandContext;
  readonly #metrics: AdmissionMetrics;
  readonly #readiness: Readiness;
  readonly #rules: AdoptionRules;
  #server: AdmissionServer | undefined;
  #draining = false;

  constructor(context: CommandContext, { metrics, readiness }: Omit<Wiring, "port">) {
    const { serviceProxyName, excludeNamespaces } = context.config;
    this.#context = context;
    this.#metrics = metrics;
    this.#readiness = readiness;
    this.#rules = {
      proxyName: serviceProxyName === "" ? DEFAULT_PROXY_NAME : serviceProxyName,
      excludedNamespaces: excludeNamespaces,
    };
  }

  /** Serves with this certificate from now on. @throws {BindError} */
  async serve(certificate: KeyPair): Promise<void> {
    if (this.#server !== undefined) return this.#server.useCertificate(certificate);
    const { config: { webhookBindAddress: address }, logger } = this.#context;
    if (address === undefined || this.#draining) return;
    this.#server = await startAdmissionServer({
      address,
      usedFor: "--webhook-bind-address",
      certificate,
      answer: (request) => this.#answer(request, logger),
      logger,
    });
    const { hostname, port } = this.#server.address;
    logger.info("answering the API server", { address: hostname, port, path: WEBHOOK_PATH });
    this.#readiness.met("serving");
  }

  drain(): void {
    this.#draining = true;
    this.#server?.drain();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.#server?.[Symbol.asyncDispose]();
  }

  #answer(request: AdmissionHttpRequest, logger: Logger): ReturnType<typeof answerHttp> {
    const startedMs = performance.now();
    const answer = answerHttp(request, this.#rules);
    const { answered } = answer;
    this.#metrics.answered(answered?.result ?? "refused", performance.now() - startedMs);
    if (answered === undefined) {
      logger.debug("a request is refused", { status: answer.status, reason: answer.body.trim() });
    } else if (answered.result === "labelled") {
      const { about: service, because, dryRun } = answered;
      logger.info("labelled a new Service", { service, because, dryRun });
    } else {
      const { about, because, result } = answered;
      logger.debug("left as it is", { about, because, result });
    }
    return answer;
  }
}
