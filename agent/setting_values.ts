/**
 * Reads the text of one setting into the value it stands for.
 *
 * In: text as it was written in a flag, an environment variable or the YAML file.
 * Out: a {@linkcode ValueKind} per kind of value: the value, or the very text that cannot be one. Nothing throws.
 * Invariants: pure; what a kind accepts is also what `--help` prints about it (`placeholder`) and what an error asks
 * for (`wanted`). Durations are spelt as Go and Kubernetes spell them (`1m30s`), addresses as kube-proxy does.
 * @module
 */

import ipaddr from "ipaddr.js";
import { parseDurationMs, renderDurationMs } from "./duration.ts";
import { isMarkMask, parseIPAddress } from "./model/mod.ts";

/** An IP address and port to listen on or to connect to. */
export interface HostPort {
  /** Canonical text of an IP address, without brackets. */
  readonly hostname: string;
  readonly port: number;
}

/** The value, or the piece of text that is none. */
export type ParsedValue<T> = { readonly value: T } | { readonly bad: string };

/** How one kind of value is read and described. */
export interface ValueKind<T> {
  /** Stands for the value in `--help`, e.g. `PATH`. */
  readonly placeholder: string;
  /** Ends the sentence "wanted: …" of an error. */
  readonly wanted: string;
  /** What the flag means without a value; without this it wants one. */
  readonly bare?: string;
  /** True when the setting takes several values: flags add up, and the YAML file may give a list. */
  readonly list: boolean;
  /** What separates several values in an environment variable, where the text itself is not split anyway. */
  readonly envSeparator?: string;
  /** Reads the texts one source gave. Of a kind that is no list only the last counts, as for kubectl's flags. */
  parse(texts: readonly string[]): ParsedValue<T>;
}

/** Any text, trimmed of nothing. */
export function text(placeholder: string): ValueKind<string> {
  return single({ placeholder, wanted: "text" }, (value) => value);
}

/** A name as Kubernetes spells those of Nodes: a lower-case RFC 1123 subdomain. Upper case is lowered, as kube-proxy does. */
export function nodeName(): ValueKind<string> {
  const wanted = "a node's name (lower-case letters, digits, '-' and '.')";
  return single({ placeholder: "NAME", wanted }, (value) => {
    const name = value.trim().toLowerCase();
    return /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) && name.length <= 253 ? name : undefined;
  });
}

/** One of a few words. */
export function choice<const T extends string>(...choices: readonly T[]): ValueKind<T> {
  return single(
    { placeholder: choices.join("|"), wanted: `one of ${choices.join(", ")}` },
    (value) => choices.find((one) => one === value),
  );
}

/** Yes or no; the flag alone means yes. */
export function toggle(): ValueKind<boolean> {
  const kind = single(
    { placeholder: "", wanted: "true or false" },
    (value) => ({ true: true, false: false })[value],
  );
  return { ...kind, bare: "true" };
}

/** A Service's namespace and name; the empty text when there is none. */
export function serviceName(): ValueKind<string> {
  const part = "[a-z0-9]([-a-z0-9.]*[a-z0-9])?";
  const pattern = new RegExp(`^${part}/${part}$`);
  const words = { placeholder: "NAMESPACE/SERVICE", wanted: "a Service as <namespace>/<service>" };
  const kind = single(words, (value) => pattern.test(value) ? value : undefined);
  return { ...kind, parse: (texts) => texts.length === 0 ? { value: "" } : kind.parse(texts) };
}

/** A value of a label, as Kubernetes checks it; the empty text is one too. */
export function labelValue(): ValueKind<string> {
  const wanted =
    "a label's value (up to 63 letters, digits, '-', '_' and '.', the first and last of them a letter or digit)";
  return single({ placeholder: "NAME", wanted }, (value) => {
    return /^([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?$/.test(value) ? value : undefined;
  });
}

const NAMESPACE = /^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/;

/** A namespace's name (an RFC 1123 label); the empty text when there is none. */
export function namespaceName(): ValueKind<string> {
  const words = { placeholder: "NAMESPACE", wanted: "a namespace's name" };
  return single(words, (value) => value === "" || NAMESPACE.test(value) ? value : undefined);
}

/** Namespaces' names; the empty text is no namespace. */
export function namespaceNames(): ValueKind<readonly string[]> {
  const words = { placeholder: "NAMESPACE,…", wanted: "namespaces' names", separator: "," };
  return list(words, (value) => NAMESPACE.test(value) ? value : undefined);
}

/** An object's name (an RFC 1123 subdomain). */
export function objectName(): ValueKind<string> {
  return single(
    { placeholder: "NAME", wanted: "an object's name" },
    (value) => isObjectName(value) ? value : undefined,
  );
}

/** A namespace and the name of an object in it. */
export function namespacedObjectName(): ValueKind<string> {
  const words = { placeholder: "NAMESPACE/NAME", wanted: "an object as <namespace>/<name>" };
  return single(words, (value) => {
    const [namespace = "", name = "", ...rest] = value.split("/");
    return rest.length === 0 && NAMESPACE.test(namespace) && isObjectName(name) ? value : undefined;
  });
}

function isObjectName(name: string): boolean {
  return /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(name) && name.length <= 253;
}

/** A whole number between two bounds, both included. */
export function integer(bounds: { readonly min: number; readonly max: number }): ValueKind<number> {
  const { min, max } = bounds;
  return single({ placeholder: "N", wanted: `a whole number from ${min} to ${max}` }, (value) => {
    const number = /^\d{1,9}$/.test(value) ? Number(value) : NaN;
    return number >= min && number <= max ? number : undefined;
  });
}

/** A routing table, but the kernel's own three. */
export function routeTable(): ValueKind<number> {
  return single(
    { placeholder: "N", wanted: "the number of a routing table, not one of 253 to 255" },
    (value) => {
      const number = /^\d{1,9}$/.test(value) ? Number(value) : 0;
      return number === 0 || (number >= 253 && number <= 255) ? undefined : number;
    },
  );
}

/** Two bits of a mark, as one number. */
export function markMask(): ValueKind<number> {
  return single({ placeholder: "BITS", wanted: "a number with two bits set, like 0x1040" }, (value) => {
    const mask = /^(0x[0-9a-f]{1,8}|\d{1,10})$/i.test(value) ? Number(value) : NaN;
    return isMarkMask(mask) ? mask : undefined;
  });
}

/** A TCP port one can listen on. */
export function port(): ValueKind<number> {
  return { ...integer({ min: 1, max: 65_535 }), placeholder: "PORT", wanted: "a port from 1 to 65535" };
}

/** A duration in milliseconds, at least `minMs`. */
export function durationMs(bounds: { readonly minMs: number }): ValueKind<number> {
  const wanted = `a duration like 500ms, 10s, 1m30s or 10m, at least ${renderDurationMs(bounds.minMs)}`;
  return single({ placeholder: "DURATION", wanted }, (value) => {
    const milliseconds = parseDurationMs(value);
    return milliseconds !== undefined && milliseconds >= bounds.minMs ? milliseconds : undefined;
  });
}

/** An IP address with port (0: any free one, to listen on); the bare address means `defaultPort`, and the empty text means: not at all. */
export function hostPort(
  options: { readonly defaultPort?: number; readonly loopbackOnly?: boolean },
): ValueKind<HostPort | undefined> {
  const where = options.loopbackOnly === true ? "a loopback address with port" : "an IP address with port";
  const example = options.loopbackOnly === true ? "127.0.0.1:18000" : "0.0.0.0:10256 or [::]:10256";
  return {
    placeholder: "IP:PORT",
    wanted: `${where} like ${example}, or nothing to disable it`,
    list: false,
    parse: (texts) => {
      const value = (texts.at(-1) ?? "").trim();
      if (value === "") return { value: undefined };
      const parsed = parseHostPort(value, options.defaultPort);
      if (parsed === undefined) return { bad: value };
      if (options.loopbackOnly === true && !isConnectableLoopback(parsed)) return { bad: value };
      return { value: parsed };
    },
  };
}

/** Paths; a flag gives one each time, the environment several with `:` between them, as in `PATH`. */
export function paths(): ValueKind<readonly string[]> {
  const kind = list({ placeholder: "PATH", wanted: "a path" }, (value) => value === "" ? undefined : value);
  return { ...kind, envSeparator: ":" };
}

/** Address ranges, canonical, host bits cleared. */
export function cidrs(): ValueKind<readonly string[]> {
  const wanted = "address ranges like 10.0.0.0/8 or fd00::/8";
  return list({ placeholder: "CIDR,…", wanted, separator: "," }, parseCidr);
}

/** Address ranges, or a word in place of them all. */
export function cidrsOr<const T extends string>(word: T): ValueKind<readonly string[] | T> {
  const ranges = cidrs();
  return {
    ...ranges,
    placeholder: `CIDR,…|${word}`,
    wanted: `${ranges.wanted}, or ${word} alone`,
    parse: (texts) => texts.length === 1 && texts[0]?.trim() === word ? { value: word } : ranges.parse(texts),
  };
}

/** IP addresses, canonical. */
export function ipAddresses(): ValueKind<readonly string[]> {
  const words = { placeholder: "IP,…", wanted: "IP addresses like 192.0.2.1 or 2001:db8::1", separator: "," };
  return list(words, (value) => parseIPAddress(value)?.address);
}

/** `10.0.0.1:80` or `[fd00::1]:80`. */
export function renderHostPort(address: HostPort): string {
  return address.hostname.includes(":")
    ? `[${address.hostname}]:${address.port}`
    : `${address.hostname}:${address.port}`;
}

function parseHostPort(value: string, defaultPort: number | undefined): HostPort | undefined {
  const bare = parseIPAddress(value)?.address;
  if (defaultPort !== undefined && bare !== undefined) return { hostname: bare, port: defaultPort };
  const match = /^(?:\[([^\]]+)\]|([^:\[\]]+)):(\d{1,5})$/.exec(value);
  const hostname = parseIPAddress(match?.[1] ?? match?.[2] ?? "")?.address;
  const portNumber = Number(match?.[3] ?? NaN);
  return hostname !== undefined && portNumber <= 65_535 ? { hostname, port: portNumber } : undefined;
}

function isConnectableLoopback(address: HostPort): boolean {
  return address.port > 0 && ipaddr.parse(address.hostname).range() === "loopback";
}

function parseCidr(value: string): string | undefined {
  const family = parseIPAddress(value.split("/")[0] ?? "")?.family;
  if (family === undefined || !ipaddr.isValidCIDR(value)) return undefined;
  const network = (family === "IPv6" ? ipaddr.IPv6 : ipaddr.IPv4).networkAddressFromCIDR(value);
  return `${network.toString()}/${ipaddr.parseCIDR(value)[1]}`;
}

function single<T>(
  words: { readonly placeholder: string; readonly wanted: string },
  parse: (value: string) => T | undefined,
): ValueKind<T> {
  return {
    ...words,
    list: false,
    parse: (texts) => {
      const last = texts.at(-1) ?? "";
      const value = parse(last);
      return value === undefined ? { bad: last } : { value };
    },
  };
}

function list<T>(
  words: { readonly placeholder: string; readonly wanted: string; readonly separator?: string },
  parse: (value: string) => T | undefined,
): ValueKind<readonly T[]> {
  const { separator, ...rest } = words;
  return {
    ...rest,
    list: true,
    parse: (texts) => {
      const values: T[] = [];
      const pieces = separator === undefined
        ? texts
        : texts.flatMap((one) =>
          one.split(separator).map((piece) => piece.trim()).filter((piece) => piece !== "")
        );
      for (const piece of pieces) {
        const value = parse(piece);
        if (value === undefined) return { bad: piece };
        values.push(value);
      }
      return { value: values };
    },
  };
}
