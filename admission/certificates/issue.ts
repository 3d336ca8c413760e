/**
 * Issues a serving certificate together with an authority made for it alone.
 *
 * In: names and addresses it is called by, how long it holds, the time. Out: PEM texts.
 * The authority signs this one certificate, and its key is forgotten before anybody could ask for it: there is nothing with
 * which another certificate could be signed, and a new certificate is a new authority. It is a certificate of its own because
 * some clients (rustls) refuse a server that shows an authority's.
 * Invariant: the clocks of those who check may be an hour behind ({@linkcode BACKDATED_MS}).
 * Source: RFC 5280; what Go's crypto/x509 asks of a server: subject alternative names, and extended key usage.
 * @module
 */
import "reflect-metadata"; // @peculiar/x509 does not load without.
import {
  AuthorityKeyIdentifierExtension,
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  SubjectKeyIdentifierExtension,
  X509CertificateGenerator,
} from "@peculiar/x509";
import { isIP } from "node:net";

/** How far in the past a certificate begins. */
export const BACKDATED_MS = 3600_000;

/** All in PEM. */
export interface IssuedCertificate {
  /** The authority: what a client has to trust. */
  readonly ca: string;
  readonly certificate: string;
  /** PKCS #8. */
  readonly key: string;
}

/** What {@linkcode issueCertificate} needs. */
export interface IssueOptions {
  /** DNS names and IP addresses; at least one. */
  readonly names: readonly string[];
  /** From now on. */
  readonly lifetimeMs: number;
  /** Milliseconds since the epoch. */
  readonly nowMs: number;
  /** Common name of the certificate; the authority's has `-ca` behind it. */
  readonly commonName: string;
}

const ALGORITHM = { name: "ECDSA", namedCurve: "P-256", hash: "SHA-256" };

/** Issues one. */
export async function issueCertificate(options: IssueOptions): Promise<IssuedCertificate> {
  const { names, lifetimeMs, nowMs, commonName } = options;
  const [authorityKeys, keys] = [await generateKeys(), await generateKeys()];
  const common = {
    notBefore: new Date(nowMs - BACKDATED_MS),
    notAfter: new Date(nowMs + lifetimeMs),
    signingAlgorithm: ALGORITHM,
  };
  const authorityKeyId = await SubjectKeyIdentifierExtension.create(authorityKeys.publicKey);
  const authority = await X509CertificateGenerator.createSelfSigned({
    ...common,
    serialNumber: randomSerialNumber(),
    name: `CN=${commonName}-ca`,
    keys: authorityKeys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true),
      authorityKeyId,
    ],
  });
  const certificate = await X509CertificateGenerator.create({
    ...common,
    serialNumber: randomSerialNumber(),
    subject: `CN=${commonName}`,
    publicKey: keys.publicKey,
    issuer: authority.subject,
    signingKey: authorityKeys.privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth]),
      new SubjectAlternativeNameExtension(
        names.map((value) => ({ type: isIP(value) === 0 ? "dns" as const : "ip" as const, value })),
      ),
      new AuthorityKeyIdentifierExtension(authorityKeyId.keyId),
    ],
  });
  return {
    ca: toPem(authority.toString("pem")),
    certificate: toPem(certificate.toString("pem")),
    key: toPem(PemConverter.encode(await crypto.subtle.exportKey("pkcs8", keys.privateKey), "PRIVATE KEY")),
  };
}

/** With a line's end, so that PEM texts can be put one after the other. */
function toPem(text: string): string {
  return `${text.trim()}\n`;
}

/** Positive, and of as many bits as nobody has to fear to meet again (RFC 5280, 4.1.2.2). */
function randomSerialNumber(): string {
  const bytes = crypto.getRandomValues(new Uint8Array(16));
  bytes[0] = (bytes[0]! & 0x7f) | 0x40;
  return bytes.toHex();
}

async function generateKeys(): Promise<CryptoKeyPair> {
  return await crypto.subtle.generateKey(ALGORITHM, true, ["sign", "verify"]) as CryptoKeyPair;
}
