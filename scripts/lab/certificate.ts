/**
 * A certificate for a server of the lab that speaks HTTPS, and the authority that vouches for it.
 *
 * In: the server's IP address. Out: PEM texts, new each time and on no disk: nothing to leak, nothing to expire.
 * @module
 */
import { issueCertificate, type IssuedCertificate } from "../../admission/certificates/issue.ts";

/** All in PEM. */
export type ServerCertificate = IssuedCertificate;

const LIFETIME_MS = 24 * 3600_000;

/** Makes a certificate for an address, valid for a day. */
export async function createServerCertificate(address: string): Promise<ServerCertificate> {
  return await issueCertificate({
    names: [address],
    lifetimeMs: LIFETIME_MS,
    nowMs: Date.now(),
    commonName: "lightpath-lab",
  });
}
