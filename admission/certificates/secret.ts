/**
 * The Secret that holds the generations: three keys for each, named by when it was created.
 *
 * In: a Secret's `data`, by whom the webhook is called. Out: the generations in it, and why others are of no use; and the
 * other way round.
 * Invariants: pure. Keys of others are left where they are. What cannot be used is left out, and so is replaced at the next
 * write.
 * @module
 */
import { type Fields, isFields } from "../../agent/kube/mod.ts";
import { inspectCertificate } from "./inspect.ts";
import type { IssuedCertificate } from "./issue.ts";
import type { Generation } from "./plan_rotation.ts";

/** What a Secret holds. */
export interface StoredGenerations {
  readonly generations: readonly Generation[];
  /** A sentence for each that cannot be used, and for what is no part of one. */
  readonly faults: readonly string[];
}

/** `20260131T120000Z-1a2b3c4d.tls.crt`: when it was created, some digits so that two of one second differ, which part it is. */
const KEY = /^(\d{8}T\d{6}Z)-([0-9a-f]{8})\.(ca\.crt|tls\.crt|tls\.key)$/;
const PARTS = { ca: "ca.crt", certificate: "tls.crt", key: "tls.key" } as const;

/** A generation of what was issued at a time. */
export function generationOf(
  issued: IssuedCertificate,
  { createdMs, lifetimeMs, random = crypto.getRandomValues(new Uint8Array(4)).toHex() }: {
    readonly createdMs: number;
    readonly lifetimeMs: number;
    readonly random?: string;
  },
): Generation {
  // The key's time has whole seconds, and so has the certificate's.
  const seconds = Math.floor(createdMs / 1000) * 1000;
  const stamp = new Date(seconds).toISOString().replace(/[-:]|\.\d+/g, "");
  return {
    id: `${stamp}-${random}`,
    ...issued,
    createdMs: seconds,
    notAfterMs: Math.floor((createdMs + lifetimeMs) / 1000) * 1000,
  };
}

/** Reads a Secret's `data`. */
export function readGenerations(
  data: Fields,
  { names, nowMs }: { readonly names: readonly string[]; readonly nowMs: number },
): StoredGenerations {
  const generations: Generation[] = [];
  const faults: string[] = [];
  const ids = new Set(Object.keys(data).flatMap((key) => KEY.test(key) ? [key.split(".")[0]!] : []));
  for (const id of [...ids].sort()) {
    const part = (name: keyof typeof PARTS): string => decode(data[`${id}.${PARTS[name]}`]);
    const [ca, certificate, key] = [part("ca"), part("certificate"), part("key")];
    const createdMs = createdAt(id);
    const inspected = inspectCertificate({ certificate, key }, { ca, names });
    if (Number.isNaN(createdMs)) {
      faults.push(`certificate ${id} is named by no time`);
    } else if ("fault" in inspected) {
      faults.push(`certificate ${id} ${inspected.fault}`);
    } else if (inspected.notAfterMs <= nowMs) {
      faults.push(`certificate ${id} has expired at ${new Date(inspected.notAfterMs).toISOString()}`);
    } else {
      const { notAfterMs } = inspected;
      generations.push({ id, ca, certificate, key, createdMs, notAfterMs });
    }
  }
  return { generations, faults };
}

/** A Secret's `data` with these generations, and whatever else it held. */
export function writeGenerations(data: Fields, generations: readonly Generation[]): Record<string, string> {
  const written: Record<string, string> = {};
  for (const [key, value] of Object.entries(data)) {
    if (!KEY.test(key) && typeof value === "string") written[key] = value;
  }
  for (const generation of generations) {
    for (const name of ["ca", "certificate", "key"] as const) {
      written[`${generation.id}.${PARTS[name]}`] = new TextEncoder().encode(generation[name]).toBase64();
    }
  }
  return written;
}

/** The `data` of a Secret as an API server answers it. */
export function dataOf(secret: Fields): Fields {
  return isFields(secret["data"]) ? secret["data"] : {};
}

/** NaN when the digits are those of no time. */
function createdAt(id: string): number {
  const [, year, month, day, hour, minute, second] = /^(\d{4})(\d\d)(\d\d)T(\d\d)(\d\d)(\d\d)Z/.exec(id) ??
    [];
  return Date.parse(`${year}-${month}-${day}T${hour}:${minute}:${second}Z`);
}

/** The text of base64; empty when there is none. */
function decode(value: unknown): string {
  if (typeof value !== "string") return "";
  try {
    return new TextDecoder().decode(Uint8Array.fromBase64(value));
  } catch {
    return "";
  }
}
