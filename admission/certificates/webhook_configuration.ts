/**
 * The MutatingWebhookConfiguration: where the API server calls, and whom it trusts there.
 *
 * In: the object as the API has it. Out: the names a certificate has to hold, the authorities that are trusted, and the fields
 * to apply. Pure.
 * Source: `admissionregistration.k8s.io/v1`, WebhookClientConfig: a Service is called by `<name>.<namespace>.svc`, a URL by its
 * host; the caBundle is PEM.
 * @module
 */
import { type Fields, isFields } from "../../agent/kube/mod.ts";

/** What is read of one. */
export interface WebhookConfiguration {
  readonly resourceVersion: string;
  readonly webhooks: readonly CalledWebhook[];
}

/** One of its webhooks. */
export interface CalledWebhook {
  readonly name: string;
  /** A DNS name or an IP address. */
  readonly host: string;
  /** Empty when none is given. */
  readonly path: string;
  /** PEM texts, each with a line's end. */
  readonly authorities: readonly string[];
}

/** Reads one; a webhook without a name or without an address is left out. */
export function readWebhookConfiguration(configuration: Fields): WebhookConfiguration {
  const { metadata, webhooks } = configuration;
  const resourceVersion = isFields(metadata) ? String(metadata["resourceVersion"] ?? "") : "";
  return { resourceVersion, webhooks: Array.isArray(webhooks) ? webhooks.flatMap(readWebhook) : [] };
}

/** The authorities that all its webhooks trust. */
export function trustedAuthorities({ webhooks }: WebhookConfiguration): ReadonlySet<string> {
  const [first, ...rest] = webhooks.map(({ authorities }) => new Set(authorities));
  return rest.reduce((all, one) => all.intersection(one), first ?? new Set());
}

/** Whether each of its webhooks trusts these and nobody else, in this order. */
export function hasBundle({ webhooks }: WebhookConfiguration, authorities: readonly string[]): boolean {
  return webhooks.every((webhook) => webhook.authorities.join("") === authorities.join(""));
}

/**
 * The fields of an apply that makes all its webhooks trust these, for this version of the object only. Nothing else becomes
 * ours: who wrote the rest goes on to own it.
 */
export function bundleFields(
  { resourceVersion, webhooks }: WebhookConfiguration,
  authorities: readonly string[],
): Fields {
  const caBundle = new TextEncoder().encode(authorities.join("")).toBase64();
  return {
    metadata: { resourceVersion },
    webhooks: webhooks.map(({ name }) => ({ name, clientConfig: { caBundle } })),
  };
}

function readWebhook(webhook: unknown): CalledWebhook[] {
  if (!isFields(webhook) || typeof webhook["name"] !== "string" || !isFields(webhook["clientConfig"])) {
    return [];
  }
  const { url, service, caBundle } = webhook["clientConfig"];
  const called = typeof url === "string" ? fromUrl(url) : fromService(service);
  return called === undefined
    ? []
    : [{ name: webhook["name"], ...called, authorities: readBundle(caBundle) }];
}

function fromUrl(text: string): { readonly host: string; readonly path: string } | undefined {
  if (!URL.canParse(text)) return undefined;
  const { hostname, pathname } = new URL(text);
  return { host: hostname.replace(/^\[|\]$/g, ""), path: pathname };
}

function fromService(service: unknown): { readonly host: string; readonly path: string } | undefined {
  if (!isFields(service)) return undefined;
  const { name, namespace, path } = service;
  if (typeof name !== "string" || typeof namespace !== "string") return undefined;
  return { host: `${name}.${namespace}.svc`, path: typeof path === "string" ? path : "" };
}

function readBundle(base64: unknown): readonly string[] {
  if (typeof base64 !== "string") return [];
  let text: string;
  try {
    text = new TextDecoder().decode(Uint8Array.fromBase64(base64));
  } catch {
    return [];
  }
  const blocks = text.match(/-----BEGIN CERTIFICATE-----[^-]+-----END CERTIFICATE-----/g) ?? [];
  return blocks.map((block) => `${block}\n`);
}
