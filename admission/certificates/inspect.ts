/**
 * Finds out whether a certificate and its key can be served with.
 *
 * In: PEM texts, by whom they are to be called. Out: until when it holds; or a {@linkcode CertificateFault}.
 * Invariants: pure; nothing throws, whatever the texts hold. A certificate that is not valid yet is none of the faults: then one
 * of two clocks is wrong, most likely this one, and there is nothing better to serve.
 * @module
 */
import { createPrivateKey, X509Certificate } from "node:crypto";
import { isIP } from "node:net";

/** A certificate (perhaps with the chain behind it) and its key, PEM. */
export interface KeyPair {
  readonly certificate: string;
  readonly key: string;
}

/** What is known of a certificate that can be served with. */
export interface InspectedCertificate {
  /** Milliseconds since the epoch. */
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
}

/** Why it cannot: the end of a sentence that begins with its name. */
export interface CertificateFault {
  readonly fault: string;
}

/** What else is asked of a certificate. */
export interface Expectations {
  /** The authority that has to have signed it, PEM. */
  readonly ca?: string;
  /** DNS names and addresses, all of which it has to name. */
  readonly names?: readonly string[];
}

/** Inspects one; its time is the caller's to judge. */
export function inspectCertificate(
  { certificate, key }: KeyPair,
  { ca, names = [] }: Expectations = {},
): InspectedCertificate | CertificateFault {
  const leaf = attempt("is no certificate", () => new X509Certificate(certificate));
  if ("fault" in leaf) return leaf;
  const privateKey = attempt("has a key that cannot be read", () => createPrivateKey(key));
  if ("fault" in privateKey) return privateKey;
  const matches = attempt(
    "has a key that cannot be compared",
    () => leaf.value.checkPrivateKey(privateKey.value),
  );
  if ("fault" in matches) return matches;
  if (!matches.value) return { fault: "has another certificate's key" };
  if (ca !== undefined) {
    const signed = attempt("has an authority that cannot be read", () => {
      const authority = new X509Certificate(ca);
      return authority.ca && leaf.value.verify(authority.publicKey);
    });
    if ("fault" in signed) return signed;
    if (!signed.value) return { fault: "is not signed by its authority" };
  }
  const missing = names.find((name) =>
    (isIP(name) === 0 ? leaf.value.checkHost(name) : leaf.value.checkIP(name)) === undefined
  );
  if (missing !== undefined) return { fault: `does not name ${missing}, where it is to be called` };
  const { validFrom, validTo } = leaf.value;
  return { notBeforeMs: Date.parse(validFrom), notAfterMs: Date.parse(validTo) };
}

function attempt<T>(fault: string, read: () => T): { readonly value: T } | CertificateFault {
  try {
    return { value: read() };
  } catch (error) {
    return { fault: `${fault} (${error instanceof Error ? error.message : String(error)})` };
  }
}
