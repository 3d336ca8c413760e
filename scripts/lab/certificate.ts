/**
 * A certificate for a server of the lab that speaks HTTPS, and the authority that vouches for it.
 *
 * In: the server's IP address. Out: PEM texts, new each time and on no disk: nothing to leak, nothing to expire. The
 * authority is a certificate of its own, because some clients (rustls) refuse a server that shows an authority's.
 * @module
 */
import "reflect-metadata"; // @peculiar/x509 does not load without.
import {
  BasicConstraintsExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };
const LIFETIME_MS = 24 * 3600_000;
/** The clocks of one machine agree, but the certificate's has whole seconds only. */
const BACKDATED_MS = 60_000;

/** All in PEM. */
export interface ServerCertificate {
  /** What a client has to trust. */
  readonly ca: string;
  readonly certificate: string;
  readonly key: string;
}

/** Makes a certificate for an address, valid for a day. */
export async function createServerCertificate(address: string): Promise<ServerCertificate> {
  const [authorityKeys, keys] = [await generateKeys(), await generateKeys()];
  const now = Date.now();
  const validity = { notBefore: new Date(now - BACKDATED_MS), notAfter: new Date(now + LIFETIME_MS) };
  const authority = await X509CertificateGenerator.createSelfSigned({
    ...validity,
    name: "CN=lightpath-lab-ca",
    keys: authorityKeys,
    signingAlgorithm: ALGORITHM,
    extensions: [new BasicConstraintsExtension(true, undefined, true)],
  });
  const certificate = await X509CertificateGenerator.create({
    ...validity,
    subject: "CN=lightpath-lab",
    publicKey: keys.publicKey,
    issuer: authority.subject,
    signingKey: authorityKeys.privateKey,
    signingAlgorithm: ALGORITHM,
    extensions: [new SubjectAlternativeNameExtension([{ type: "ip", value: address }])],
  });
  return {
    ca: authority.toString("pem"),
    certificate: certificate.toString("pem"),
    key: PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY"),
  };
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
}
