/**
 * The local socket on which a running agent explains Services, and the way to ask there: HTTP over a Unix socket, of which
 * both ends are here.
 *
 * In: `GET /explain?service=<namespace>/<service>`. Out: 200 with an Explanation as JSON, or 404, 503 … with
 * `{"error": "<one sentence>"}`.
 * Invariants: only the owner of the socket can ask (mode 0600), because the answer tells of Services; nothing can be changed
 * here; a question costs the agent what its one Service costs, and one question to Envoy or the API server.
 * @module
 */
import { getFromSocket } from "../../agent/get_from_socket.ts";
import type { Logger } from "../../agent/log.ts";
import { prepareSocketPlace } from "../../xds/mod.ts";
import type { Explanation, NotServed } from "./explanation.ts";

/** The agent cannot be asked, or has no answer. The message is one sentence for the operator. */
export class ExplainError extends Error {
  override readonly name = "ExplainError";
}

/** What the agent says to a question. */
export type Answer = Explanation | NotServed | { readonly notYet: string };

/** What {@linkcode serveExplanations} needs. */
export interface ServeOptions {
  /** Where to listen. */
  readonly path: string;
  /** Explains a Service. */
  readonly explain: (service: string) => Promise<Answer>;
  readonly logger: Logger;
}

/** Answers until it is disposed. @throws {AdsAddressError} when the socket cannot be had */
export async function serveExplanations({ path, explain, logger }: ServeOptions): Promise<AsyncDisposable> {
  await using failing = new AsyncDisposableStack();
  const place = await prepareSocketPlace(path);
  failing.defer(() => place.remove());
  const server = Deno.serve({
    path: place.bindPath,
    onListen: () => {},
    onError: (error) => {
      logger.error("a Service could not be explained", { reason: String(error) });
      return refuse("a fault in Lightpath: its log says which", 500);
    },
  }, (request) => answer(request, explain));
  failing.defer(() => server.shutdown());
  await place.publish();
  return failing.move();
}

async function answer(request: Request, explain: ServeOptions["explain"]): Promise<Response> {
  const url = new URL(request.url);
  if (request.method !== "GET") return refuse("only GET", 405);
  if (url.pathname !== "/explain") return refuse("there is only /explain?service=<namespace>/<service>", 404);
  const explained = await explain(url.searchParams.get("service") ?? "");
  if ("notServed" in explained) return refuse(explained.notServed, 404);
  if ("notYet" in explained) return refuse(explained.notYet, 503);
  return json(explained, 200);
}

function refuse(error: string, status: number): Response {
  return json({ error }, status);
}

function json(body: unknown, status: number): Response {
  return new Response(JSON.stringify(body), { status, headers: { "content-type": "application/json" } });
}

const ANSWER_TIMEOUT_MS = 10_000;

/** Asks the agent at this socket. @throws {ExplainError} */
export async function askAgent(
  { path, service, signal }: {
    readonly path: string;
    readonly service: string;
    readonly signal: AbortSignal;
  },
): Promise<Explanation> {
  const limit = AbortSignal.any([signal, AbortSignal.timeout(ANSWER_TIMEOUT_MS)]);
  const { status, body } = await getFromSocket(path, `/explain?service=${encodeURIComponent(service)}`, limit)
    .catch((error: unknown) => {
      throw new ExplainError(`no agent answers at ${path}: ${whyNoAnswer(error)}`, { cause: error });
    });
  let parsed: unknown;
  try {
    parsed = JSON.parse(body);
  } catch (cause) {
    throw new ExplainError(`what answers at ${path} is no agent of this release (status ${status})`, {
      cause,
    });
  }
  if (status === 200) return parsed as Explanation;
  throw new ExplainError(
    (parsed as { readonly error?: string }).error ?? `the agent answered with status ${status}`,
  );
}

function whyNoAnswer(error: unknown): string {
  const code = (error as { readonly code?: string }).code;
  if (code === "EACCES") return "not permitted; ask as the user the agent runs as";
  if (code === "ENOENT" || code === "ECONNREFUSED") {
    return "is it running on this node, with this --run-dir? Without an agent, --manifests <path> explains manifests";
  }
  return error instanceof Error ? error.message : String(error);
}
