/**
 * Puts into words why a command ended.
 *
 * In: what was thrown. Out: a sentence for the operator where the cause is outside the program (the classes below carry
 * one in their message); for anything else the stack, because then the program itself is at fault.
 * @module
 */
import { CertificateFileError } from "../admission/certificates/from_files.ts";
import { BindError } from "../agent/http_server.ts";
import { IPVSAddressesError } from "../agent/ipvs.ts";
import { LibcUnavailable } from "../agent/libc.ts";
import {
  KubeApiError,
  KubeConfigError,
  ManifestPathError,
  SilentConnectionError,
} from "../agent/kube/mod.ts";
import { RedirectError, TableInUseError } from "../redirect/mod.ts";
import { AdsAddressError, EnvoyBinaryError, EnvoyOrphanError, FetchError } from "../xds/mod.ts";
import { AdoptError } from "./adopt_error.ts";
import { OutputError } from "./context.ts";
import { ExplainError } from "./explain/local_socket.ts";

/** Errors whose message is one sentence for an operator. */
const OPERATOR_ERRORS = [
  AdoptError,
  AdsAddressError,
  BindError,
  CertificateFileError,
  EnvoyBinaryError,
  EnvoyOrphanError,
  ExplainError,
  FetchError,
  IPVSAddressesError,
  KubeApiError,
  KubeConfigError,
  LibcUnavailable,
  ManifestPathError,
  RedirectError,
  OutputError,
  SilentConnectionError,
  TableInUseError,
] as const;

/** The text for the last line of the log. */
export function explainFault(error: unknown): string {
  if (!(error instanceof Error)) return `a fault in Lightpath: ${String(error)}`;
  if (OPERATOR_ERRORS.some((kind) => error instanceof kind)) return error.message;
  if (error instanceof Deno.errors.NotCapable) {
    const what = error.message.replace(/, run again with .*$/s, "");
    return `${what}, which this build of Lightpath was not given: choose what it may use (see --help), or build it with more ` +
      "(deno task compile --help)";
  }
  if (error instanceof Deno.errors.PermissionDenied) {
    return `not permitted: ${error.message}; run as root, or choose other paths (see --help)`;
  }
  // The operating system's errors name what was tried and where: a full disk, a file in a folder's place.
  if (/ \(os error \d+\)/.test(error.message)) {
    return `${error.message}; see --help for the paths that can be chosen`;
  }
  return `a fault in Lightpath, please report it: ${error.stack ?? error.message}`;
}
