/**
 * Keeps a certificate without any other component: makes it, stores it in a Secret, has the API server trust it, replaces it
 * in time.
 *
 * In: the API server. Out: a certificate to serve with, told again whenever it is another.
 * Invariants: all replicas decide from the same Secret and need no leader. Who writes says which version he has read, and who is
 * too late reads again. The configuration is read before the Secret and written for that version, so a replica that has slept
 * cannot take away an authority that another one has just added. Times are the API server's: it is the one that checks the
 * certificate, so what this node's clock says does not matter. While the API server is away nobody calls either, and what is
 * served stays.
 * @module
 */
import { delay } from "@std/async/delay";
import {
  type Fields,
  isConflict,
  isNotFound,
  KubeApiError,
  type ObjectClient,
  type ObjectName,
  SilentConnectionError,
} from "../../agent/kube/mod.ts";
import type { Logger } from "../../agent/log.ts";
import { issueCertificate } from "./issue.ts";
import {
  type Generation,
  planRotation,
  type RotationPlan,
  type RotationPolicy,
  rotationPolicy,
} from "./plan_rotation.ts";
import { dataOf, generationOf, readGenerations, writeGenerations } from "./secret.ts";
import {
  bundleFields,
  hasBundle,
  readWebhookConfiguration,
  trustedAuthorities,
  type WebhookConfiguration,
} from "./webhook_configuration.ts";

/** What {@linkcode keepCertificate} needs. */
export interface SelfManagedOptions {
  readonly client: ObjectClient;
  readonly secret: { readonly namespace: string; readonly name: string };
  /** Name of the MutatingWebhookConfiguration. */
  readonly configuration: string;
  readonly lifetimeMs: number;
  /** The path this webhook answers at. */
  readonly path: string;
  readonly logger: Logger;
  /** Serve with this from now on. Called when it is another. */
  serve(generation: Generation): Promise<void>;
  /** What is stored, served and trusted is as it should be. Called after each look. */
  onSettled(): void;
  /** A look failed, for this reason; it is tried again. */
  onFailed(reason: string): void;
  /** A new certificate is stored. */
  onCreated(): void;
}

/** Who owns the caBundle, as `managedFields` show it. */
const FIELD_MANAGER = "lightpath-webhook";

/**
 * How often the API server is asked whether all is as it should be: a caBundle that somebody emptied is missed no longer. Of a
 * short lifetime a small part.
 */
const LOOK_EVERY_MS = 10_000;
const LOOKS_PER_LIFETIME = 60;
/** From then on clocks that differ are worth a line. */
const NOTABLE_SKEW_MS = 60_000;

/** The MutatingWebhookConfiguration is missing, or is of no use. */
class ConfigurationFault extends Error {
  override readonly name = "ConfigurationFault";
}

/**
 * Runs until the signal aborts. Faults of the API server, and of what it holds, are told and tried again.
 * @throws what `serve` throws
 */
export async function keepCertificate(options: SelfManagedOptions, signal: AbortSignal): Promise<void> {
  const keeper = new Keeper(options, signal);
  for (let failures = 0; !signal.aborted;) {
    let plan: RotationPlan | undefined;
    let pauseMs = 0;
    try {
      plan = await keeper.look();
      failures = 0;
    } catch (error) {
      if (signal.aborted) return;
      if (isConflict(error)) {
        options.logger.debug("another replica was faster", { reason: String(error) });
        // Whose turn it is is left to chance, so that two do not stay in step.
        pauseMs = 20 + 80 * Math.random();
      } else if (isOutside(error)) {
        keeper.tellFailure(error);
        pauseMs = Math.min(LOOK_EVERY_MS, 500 * 2 ** failures++) * (0.5 + Math.random() / 2);
      } else throw error;
    }
    if (plan !== undefined) pauseMs = await keeper.settle(plan);
    await delay(pauseMs, { signal }).catch(() => {});
  }
}

function isOutside(error: unknown): error is Error {
  return error instanceof KubeApiError || error instanceof SilentConnectionError ||
    error instanceof ConfigurationFault;
}

class Keeper {
  readonly #options: SelfManagedOptions;
  readonly #signal: AbortSignal;
  readonly #policy: RotationPolicy;
  readonly #secret: ObjectName;
  readonly #configuration: ObjectName;
  #servedId = "";
  /** What was said last, so that it is said once. */
  readonly #said = new Map<string, string>();

  constructor(options: SelfManagedOptions, signal: AbortSignal) {
    this.#options = options;
    this.#signal = signal;
    this.#policy = rotationPolicy(options.lifetimeMs);
    this.#secret = { kind: "Secret", ...options.secret };
    this.#configuration = { kind: "MutatingWebhookConfiguration", name: options.configuration };
  }

  /** Brings Secret and configuration to where they should be. */
  async look(): Promise<RotationPlan> {
    const { client, logger } = this.#options;
    const configuration = await this.#readConfiguration();
    const secret = await this.#readSecret();
    const nowMs = this.#now();
    const names = [...new Set(configuration.webhooks.map(({ host }) => host))];
    const { generations, faults } = readGenerations(dataOf(secret), { names, nowMs });
    this.#say("faults", faults.join("; "), (sentence) => {
      logger.warn("stored certificates cannot be used, and are replaced", {
        secret: this.#where(),
        reason: sentence,
      });
    });
    const context = { nowMs, trusted: trustedAuthorities(configuration), policy: this.#policy };
    let plan = planRotation(generations, context);
    if (plan.create) {
      const created = await this.#create(names, nowMs);
      plan = { ...planRotation([created, ...plan.keep], context), create: true };
    }
    if (plan.create || faults.length > 0 || plan.keep.length !== generations.length) {
      const data = writeGenerations(dataOf(secret), plan.keep);
      await client.update(this.#secret, { ...secret, data }, this.#signal);
      if (plan.create) this.#tellCreated(plan.keep[0]!);
    }
    const authorities = plan.keep.map(({ ca }) => ca);
    if (!hasBundle(configuration, authorities)) await this.#inject(configuration, authorities);
    this.#said.delete("failure");
    return plan;
  }

  /** Serves as planned. @returns after how many milliseconds to look again */
  async settle({ serve: generation, untilMs }: RotationPlan): Promise<number> {
    const { logger, serve, onSettled } = this.#options;
    if (generation === undefined) throw new TypeError("there is a generation, but none to serve with");
    if (generation.id !== this.#servedId) {
      await serve(generation);
      this.#servedId = generation.id;
      const until = new Date(generation.notAfterMs).toISOString();
      logger.info("serving with the certificate", { certificate: generation.id, until });
    }
    onSettled();
    const intervalMs = Math.min(LOOK_EVERY_MS, this.#policy.lifetimeMs / LOOKS_PER_LIFETIME);
    return Math.max(10, Math.min(intervalMs, untilMs - this.#now()));
  }

  /** Says why a look failed, unless that was the last thing said. */
  tellFailure({ message: reason }: Error): void {
    this.#options.onFailed(reason);
    this.#say(
      "failure",
      reason,
      () => this.#options.logger.warn("the certificate is not looked after", { reason }),
    );
  }

  async #readConfiguration(): Promise<WebhookConfiguration> {
    const { client, configuration: name, path, logger } = this.#options;
    let fields: Fields;
    try {
      fields = await client.get(this.#configuration, this.#signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const mend = "apply deploy/admission/webhook, or name another with --webhook-configuration";
      throw new ConfigurationFault(`there is no MutatingWebhookConfiguration ${name}: ${mend}`, {
        cause: error,
      });
    }
    const configuration = readWebhookConfiguration(fields);
    if (configuration.webhooks.length === 0) {
      throw new ConfigurationFault(`MutatingWebhookConfiguration ${name} has no webhook with a clientConfig`);
    }
    const elsewhere = configuration.webhooks.filter((webhook) => webhook.path !== path);
    this.#say(
      "path",
      elsewhere.map((webhook) => `${webhook.name} at "${webhook.path}"`).join(", "),
      (sentence) => {
        logger.warn(`the API server calls another path than ${path}, and gets no label there`, {
          webhooks: sentence,
        });
      },
    );
    return configuration;
  }

  async #readSecret(): Promise<Fields> {
    const { client, logger } = this.#options;
    try {
      return await client.get(this.#secret, this.#signal);
    } catch (error) {
      if (!isNotFound(error)) throw error;
      const created = await client.create(this.#secret, { type: "Opaque", data: {} }, this.#signal);
      logger.info("created the Secret for certificates", { secret: this.#where() });
      return created;
    }
  }

  async #create(names: readonly string[], nowMs: number): Promise<Generation> {
    const { lifetimeMs } = this.#options;
    const issued = await issueCertificate({ names, lifetimeMs, nowMs, commonName: "lightpath-webhook" });
    return generationOf(issued, { createdMs: nowMs, lifetimeMs });
  }

  async #inject(configuration: WebhookConfiguration, authorities: readonly string[]): Promise<void> {
    const { client, logger } = this.#options;
    await client.patch(this.#configuration, {
      kind: "apply",
      fields: bundleFields(configuration, authorities),
      fieldManager: FIELD_MANAGER,
    }, this.#signal);
    logger.info("the API server is told whom to trust", {
      webhookConfiguration: this.#options.configuration,
      authorities: authorities.length,
    });
  }

  #tellCreated({ id, notAfterMs }: Generation): void {
    const { logger, onCreated } = this.#options;
    onCreated();
    logger.info("a new certificate is stored", {
      secret: this.#where(),
      certificate: id,
      until: new Date(notAfterMs).toISOString(),
    });
  }

  /** By the API server's clock. */
  #now(): number {
    const { client: { clockAheadMs }, logger } = this.#options;
    const differs = Math.abs(clockAheadMs) >= NOTABLE_SKEW_MS;
    this.#say("clock", differs ? `${clockAheadMs > 0 ? "behind" : "ahead"}` : "", (how) => {
      const seconds = Math.round(Math.abs(clockAheadMs) / 1000);
      logger.warn(`this node's clock is ${how} of the API server's, whose time is used`, { seconds });
    });
    return Date.now() + clockAheadMs;
  }

  /** Says something once for as long as it is the same; nothing when it is empty. */
  #say(topic: string, sentence: string, say: (sentence: string) => void): void {
    if ((this.#said.get(topic) ?? "") === sentence) return;
    this.#said.set(topic, sentence);
    if (sentence !== "") say(sentence);
  }

  #where(): string {
    return `${this.#options.secret.namespace}/${this.#options.secret.name}`;
  }
}
