/**
 * Says why a certificate or a token is refused that would hold at another time: it has expired, does not hold yet, or a clock is wrong.
 *
 * In: the times it holds from and to, the clocks of both sides. Out: the end of a sentence that names the mend; undefined: time is not why.
 * Invariants: pure. Nothing is verified here: somebody has refused it already.
 * Source: RFC 5280, validity; RFC 7519, claims `nbf`, `iat` and `exp`.
 * @module
 */
import { X509Certificate } from "node:crypto";

/** When something holds, in milliseconds since the epoch; undefined: without that end. */
export interface Validity {
  readonly fromMs: number | undefined;
  readonly toMs: number | undefined;
}

/** What proves to the API server who we are. */
export interface Credentials {
  readonly token: string | undefined;
  /** PEM. */
  readonly certificate: string | undefined;
}

/** The time at this node, and at the API server where it has said so. */
export interface Clocks {
  readonly ownMs: number;
  readonly serverMs: number | undefined;
}

/** From then on clocks that differ may be why something is refused; answers take a while too. */
const NOTABLE_SKEW_MS = 30_000;

/** Why this node does not take the API server's certificate. */
export function whyServerRefused({ fromMs, toMs }: Validity, ownMs: number): string | undefined {
  const clock = `this node's clock says ${renderTime(ownMs)}`;
  if (fromMs !== undefined && ownMs < fromMs) {
    return `its certificate does not hold before ${
      renderTime(fromMs)
    }, and ${clock}: set this node's clock, ` +
      "or give the API server another certificate";
  }
  if (toMs !== undefined && ownMs > toMs) {
    return `its certificate expired at ${
      renderTime(toMs)
    }, and ${clock}: renew the API server's certificate, ` +
      "or set this node's clock if that is wrong";
  }
  return undefined;
}

/** Why the API server does not take ours, as far as that is a matter of time. */
export function whyCredentialsRefused(
  credentials: Credentials,
  { ownMs, serverMs }: Clocks,
): string | undefined {
  const nowMs = serverMs ?? ownMs;
  const whose = serverMs === undefined ? "" : ` by the API server's clock, which says ${renderTime(nowMs)}`;
  const reasons: string[] = [];
  for (
    const [what, validity] of [
      ["token", credentials.token === undefined ? undefined : tokenValidity(credentials.token)],
      [
        "client certificate",
        credentials.certificate === undefined ? undefined : certificateValidity(credentials.certificate),
      ],
    ] as const
  ) {
    const { fromMs, toMs } = validity ?? {};
    if (fromMs !== undefined && nowMs < fromMs) {
      reasons.push(`the ${what} does not hold before ${renderTime(fromMs)}${whose}`);
    }
    if (toMs !== undefined && nowMs > toMs) {
      reasons.push(`the ${what} expired at ${renderTime(toMs)}${whose}: renew it`);
    }
  }
  const aheadMs = serverMs === undefined ? 0 : ownMs - serverMs;
  if (Math.abs(aheadMs) >= NOTABLE_SKEW_MS) {
    const seconds = Math.round(Math.abs(aheadMs) / 1000);
    reasons.push(
      `this node's clock is ${seconds} s ${aheadMs > 0 ? "ahead of" : "behind"} the API server's: set it`,
    );
  }
  return reasons.length === 0 ? undefined : reasons.join("; ");
}

/** Of a JSON Web Token; undefined: it is none. */
export function tokenValidity(token: string): Validity | undefined {
  try {
    const [, payload = ""] = token.split(".");
    const text = new TextDecoder().decode(Uint8Array.fromBase64(payload, { alphabet: "base64url" }));
    const { nbf, iat, exp } = JSON.parse(text) as Readonly<Record<string, unknown>>;
    const ms = (claim: unknown): number | undefined => typeof claim === "number" ? claim * 1000 : undefined;
    return { fromMs: ms(nbf) ?? ms(iat), toMs: ms(exp) };
  } catch {
    // A token may be anything.
    return undefined;
  }
}

/** Of a certificate in PEM; undefined: it is none. */
export function certificateValidity(pem: string): Validity | undefined {
  try {
    const { validFrom, validTo } = new X509Certificate(pem);
    return parseValidity(validFrom, validTo);
  } catch {
    return undefined;
  }
}

/** Of the times of a certificate as OpenSSL writes them. */
export function parseValidity(from: string, to: string): Validity {
  const [fromMs, toMs] = [Date.parse(from), Date.parse(to)];
  return { fromMs: Number.isNaN(fromMs) ? undefined : fromMs, toMs: Number.isNaN(toMs) ? undefined : toMs };
}

function renderTime(ms: number): string {
  return new Date(ms).toISOString().replace(/\.\d+Z$/, "Z");
}
