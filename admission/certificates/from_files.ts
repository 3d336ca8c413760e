/**
 * Serves with a certificate that somebody else keeps in two files, as cert-manager's Secrets are mounted.
 *
 * In: the paths. Out: the certificate, told again whenever the files have changed.
 * Invariants: what was read last and can be served with stays until there is something better. The files are read every few
 * seconds instead of being watched: the kubelet replaces a whole folder behind a symbolic link, and may do so minutes late anyway.
 * @module
 */
import { delay } from "@std/async/delay";
import type { Logger } from "../../agent/log.ts";
import { inspectCertificate, type KeyPair } from "./inspect.ts";

/** The files cannot be served with. The message is one sentence for the operator. */
export class CertificateFileError extends Error {
  override readonly name = "CertificateFileError";
}

/** What {@linkcode followCertificateFiles} needs. */
export interface CertificateFilesOptions {
  readonly certificatePath: string;
  readonly keyPath: string;
  readonly logger: Logger;
  /** Serve with this from now on. Called when it is another. */
  serve(pair: KeyPair & { readonly notAfterMs: number }): Promise<void>;
  /** Called after each reading: until when what is served holds. */
  onRead(notAfterMs: number): void;
  /** @default 5000 */
  readonly intervalMs?: number;
}

/**
 * Reads the files, and again and again until the signal aborts.
 * @throws {CertificateFileError} when the first reading fails
 */
export async function followCertificateFiles(
  options: CertificateFilesOptions,
  signal: AbortSignal,
): Promise<void> {
  const { certificatePath, keyPath, logger, serve, onRead, intervalMs = 5_000 } = options;
  let served: (KeyPair & { readonly notAfterMs: number }) | undefined;
  let said = "";
  while (!signal.aborted) {
    try {
      const pair = await read(certificatePath, keyPath);
      if (pair.certificate !== served?.certificate || pair.key !== served.key) {
        const { notAfterMs } = inspect(certificatePath, pair);
        const next = { ...pair, notAfterMs };
        await serve(next);
        logger.info("serving with the certificate", {
          file: certificatePath,
          until: new Date(notAfterMs).toISOString(),
        });
        served = next;
      }
      said = "";
    } catch (error) {
      if (!(error instanceof CertificateFileError) || served === undefined) throw error;
      // Two files are not replaced at once, so the next reading may be better.
      if (error.message !== said) {
        logger.warn("going on with the last certificate", { reason: error.message });
      }
      said = error.message;
    }
    onRead(served.notAfterMs);
    await delay(intervalMs, { signal }).catch(() => {});
  }
}

async function read(certificatePath: string, keyPath: string): Promise<KeyPair> {
  try {
    return { certificate: await Deno.readTextFile(certificatePath), key: await Deno.readTextFile(keyPath) };
  } catch (error) {
    throw new CertificateFileError(
      `cannot read the certificate: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
}

function inspect(path: string, pair: KeyPair): { readonly notAfterMs: number } {
  const inspected = inspectCertificate(pair);
  if ("fault" in inspected) throw new CertificateFileError(`the certificate ${path} ${inspected.fault}`);
  return inspected;
}
