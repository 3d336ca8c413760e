/**
 * A program that makes single connections from where it runs and tells how each ended; for tests.
 *
 * In: the path of a Unix socket, which works across network namespaces; on each connection to it one line of JSON, a
 * `Probe`. Out: one line of JSON, a `ProbeResult`. Prints `listening` when ready.
 * Invariants: one connection per probe, nothing is retried, headers go out exactly as given. Imports nothing from
 * outside, because it runs where nothing can be fetched.
 * @module
 */
import http2 from "node:http2";

/** What to try. */
export interface Probe {
  /** HTTP/1.1, HTTP/2 with prior knowledge, a connection on which the other side speaks first, or one with own words. */
  readonly protocol: "http" | "h2c" | "tcp" | "raw";
  /** Without brackets. */
  readonly host: string;
  readonly port: number;
  /** @default "/" */
  readonly path?: string;
  /** Sent as they are, in this order, beside `host`. @default [] */
  readonly headers?: readonly (readonly [string, string])[];
  /** What `raw` says, as it is. @default "" */
  readonly words?: string;
  /** After how many lines `raw` has its answer. @default none: it listens until the other side ends the connection */
  readonly lines?: number;
  /** @default 5000 */
  readonly timeoutMs?: number;
}

/** How it ended. */
export interface ProbeResult {
  /**
   * `refused` is a reset as the answer to the connection attempt, `reset` one later on, `closed` an end without an
   * answer, `unreachable` an ICMP error.
   */
  readonly outcome: "answered" | "refused" | "reset" | "closed" | "unreachable" | "timeout";
  /** 0 unless HTTP was answered. */
  readonly status: number;
  /** Of the answer, names in lower case. */
  readonly headers: Readonly<Record<string, string>>;
  /** The answer's body; for `tcp` its first line, for `raw` all that came, if the connection was ended too. */
  readonly body: string;
}

async function probe(wanted: Probe): Promise<ProbeResult> {
  const timeout = new AbortController();
  const timer = setTimeout(() => timeout.abort(), wanted.timeoutMs ?? 5_000);
  try {
    switch (wanted.protocol) {
      case "http":
        return await http1(wanted, timeout.signal);
      case "h2c":
        return await h2c(wanted, timeout.signal);
      case "tcp":
        return await tcp(wanted, timeout.signal);
      case "raw":
        return await raw(wanted, timeout.signal);
      default:
        return wanted.protocol satisfies never;
    }
  } catch (error) {
    return ended(timeout.signal.aborted ? "timeout" : outcomeOf(error));
  } finally {
    clearTimeout(timer);
  }
}

function ended(outcome: ProbeResult["outcome"]): ProbeResult {
  return { outcome, status: 0, headers: {}, body: "" };
}

function outcomeOf(error: unknown): ProbeResult["outcome"] {
  const text = String(error);
  if (/ECONNREFUSED|os error 111/.test(text)) return "refused";
  if (/ECONNRESET|EPIPE|os error (?:104|32)\b/.test(text)) return "reset";
  if (/EHOSTUNREACH|ENETUNREACH|os error (?:101|113)/.test(text)) return "unreachable";
  throw error;
}

async function http1(wanted: Probe, signal: AbortSignal): Promise<ProbeResult> {
  const { host, port, path = "/", headers = [] } = wanted;
  const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const lines = [
    `GET ${path} HTTP/1.1`,
    `host: ${authority}`,
    ...headers.map(([name, value]) => `${name}: ${value}`),
    ...(headers.some(([name]) => name === "connection") ? [] : ["connection: close"]),
  ];
  const text = await exchange(
    wanted,
    { request: `${lines.join("\r\n")}\r\n\r\n`, isWhole: isWholeAnswer },
    signal,
  );
  if (text === "") return ended("closed");
  return parseAnswer(text);
}

async function tcp(wanted: Probe, signal: AbortSignal): Promise<ProbeResult> {
  const text = await exchange(wanted, { request: "", isWhole: (soFar) => soFar.includes("\n") }, signal);
  const end = text.indexOf("\n");
  return end < 0 ? ended("closed") : { ...ended("answered"), body: text.slice(0, end) };
}

async function raw(wanted: Probe, signal: AbortSignal): Promise<ProbeResult> {
  const { words = "", lines = Infinity } = wanted;
  const isWhole = (soFar: string): boolean => soFar.split("\n").length > lines;
  const body = await exchange(wanted, { request: words, isWhole }, signal);
  return { ...ended(isWhole(body) ? "answered" : "closed"), body };
}

/** Sends and reads until the answer is whole or the other side has finished. */
async function exchange(
  { host, port }: Probe,
  talk: { readonly request: string; readonly isWhole: (soFar: string) => boolean },
  signal: AbortSignal,
): Promise<string> {
  using connection = await Deno.connect({ hostname: host, port, signal });
  const cut = (): void => connection.close();
  signal.addEventListener("abort", cut);
  try {
    if (talk.request !== "") await connection.write(new TextEncoder().encode(talk.request));
    const decoder = new TextDecoder();
    const buffer = new Uint8Array(65_536);
    let text = "";
    while (!talk.isWhole(text)) {
      const size = await connection.read(buffer);
      if (size === null) break;
      text += decoder.decode(buffer.subarray(0, size), { stream: true });
    }
    return text;
  } finally {
    signal.removeEventListener("abort", cut);
  }
}

function isWholeAnswer(soFar: string): boolean {
  const { head, body, headers } = split(soFar);
  if (head === "") return false;
  if (headers["transfer-encoding"] === "chunked") return body.endsWith("0\r\n\r\n");
  return body.length >= Number(headers["content-length"] ?? Infinity);
}

function parseAnswer(text: string): ProbeResult {
  const { head, body, headers } = split(text);
  const chunked = headers["transfer-encoding"] === "chunked";
  return {
    outcome: "answered",
    status: Number(/^HTTP\/1\.[01] (\d{3})/.exec(head)?.[1] ?? 0),
    headers,
    // Chunk sizes stand on lines of their own between the pieces.
    body: chunked ? body.replace(/(?:^|\r\n)[0-9a-f]+\r\n/g, "").trimEnd() : body,
  };
}

function split(text: string): { head: string; body: string; headers: Record<string, string> } {
  const end = text.indexOf("\r\n\r\n");
  if (end < 0) return { head: "", body: "", headers: {} };
  const head = text.slice(0, end);
  const fields = head.split("\r\n").slice(1).map((line): [string, string] => {
    const colon = line.indexOf(":");
    return [line.slice(0, colon).toLowerCase(), line.slice(colon + 1).trim()];
  });
  return { head, body: text.slice(end + 4), headers: Object.fromEntries(fields) };
}

function h2c(wanted: Probe, signal: AbortSignal): Promise<ProbeResult> {
  const { host, port, path = "/", headers = [] } = wanted;
  const authority = host.includes(":") ? `[${host}]:${port}` : `${host}:${port}`;
  const { promise, resolve, reject } = Promise.withResolvers<ProbeResult>();
  const session = http2.connect(`http://${authority}`);
  session.on("error", reject);
  signal.addEventListener("abort", () => reject(new Error("timed out")));
  const fields: Record<string, string | string[]> = {
    ":method": "GET",
    ":path": path,
    ":authority": authority,
  };
  for (const [name, value] of headers) fields[name] = [...[fields[name] ?? []].flat(), value];
  const stream = session.request(fields);
  let status = 0;
  let answered: Record<string, string> = {};
  let body = "";
  stream.setEncoding("utf8");
  stream.on("response", ({ ":status": code, ...rest }) => {
    status = Number(code);
    answered = Object.fromEntries(Object.entries(rest).map(([name, value]) => [name, String(value)]));
  });
  stream.on("data", (piece: string) => body += piece);
  stream.on("error", reject);
  stream.on("end", () => resolve({ outcome: "answered", status, headers: answered, body }));
  stream.end();
  return promise.finally(() => session.destroy());
}

async function serve(connection: Deno.UnixConn): Promise<void> {
  using open = connection;
  const buffer = new Uint8Array(65_536);
  let line = "";
  while (!line.endsWith("\n")) {
    const size = await open.read(buffer);
    if (size === null) return;
    line += new TextDecoder().decode(buffer.subarray(0, size));
  }
  const result = await probe(JSON.parse(line) as Probe);
  const bytes = new TextEncoder().encode(`${JSON.stringify(result)}\n`);
  for (let written = 0; written < bytes.length;) written += await open.write(bytes.subarray(written));
}

if (import.meta.main) {
  const [path = ""] = Deno.args;
  const listener = Deno.listen({ transport: "unix", path });
  Deno.stdout.writeSync(new TextEncoder().encode("listening\n"));
  for await (const connection of listener) {
    serve(connection).catch((error) => {
      // The asker sees a connection that ends without an answer.
      Deno.stderr.writeSync(new TextEncoder().encode(`${String(error)}\n`));
    });
  }
}
