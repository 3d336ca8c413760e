/**
 * Writes structured log lines.
 *
 * In: a level, a sentence, and fields (ServicePortName, resource name, version, nonce …) as flat values.
 * Out: one line per call through `write` (standard error unless given), as text for people or as JSON for collectors.
 * Invariants: one call is one line, whatever the values hold (line breaks are escaped); fields that are
 * `undefined` are left out; the keys `time`, `level` and `message` cannot be overwritten by a field.
 * A line that cannot be written (standard error closed) is dropped: logging never ends the agent.
 * @module
 */

/** From the most talkative to the quietest. */
export type LogLevel = "debug" | "info" | "warn" | "error";

/** All levels, from the most talkative to the quietest. */
export const LOG_LEVELS: readonly LogLevel[] = ["debug", "info", "warn", "error"];

/** How lines look: `text` for people, `json` for log collectors. */
export type LogFormat = "text" | "json";

/** Flat values that belong to a line. `undefined` is left out. */
export type LogFields = Readonly<Record<string, string | number | boolean | undefined>>;

/** Where the parts of Lightpath say what happens. Handed in, never imported as a global. */
export interface Logger {
  /** Each step, for someone who looks for a fault. */
  debug(message: string, fields?: LogFields): void;
  /** What an operator wants to find afterwards. */
  info(message: string, fields?: LogFields): void;
  /** Something is wrong and Lightpath goes on; names what to mend. */
  warn(message: string, fields?: LogFields): void;
  /** Something does not work until someone mends it. */
  error(message: string, fields?: LogFields): void;
  /** A logger that adds these fields to each line; fields of the call win. */
  with(fields: LogFields): Logger;
}

/** What {@linkcode createLogger} needs. */
export interface LoggerOptions {
  /** Lines below this level are dropped. */
  readonly level: LogLevel;
  readonly format: LogFormat;
  /** Takes one line without its line break. @default standard error */
  readonly write?: (line: string) => void;
  /** Milliseconds since the epoch. @default Date.now */
  readonly now?: () => number;
}

/** Creates a logger. */
export function createLogger(options: LoggerOptions): Logger {
  const write = options.write ?? writeToStderr;
  const now = options.now ?? Date.now;
  const render = options.format === "json" ? renderJson : renderText;
  const threshold = LOG_LEVELS.indexOf(options.level);
  return build({});

  function build(base: LogFields): Logger {
    function log(level: LogLevel, message: string, fields: LogFields | undefined): void {
      if (LOG_LEVELS.indexOf(level) < threshold) return;
      write(render({ timeMs: now(), level, message, fields: { ...base, ...fields } }));
    }
    return {
      debug: (message, fields) => log("debug", message, fields),
      info: (message, fields) => log("info", message, fields),
      warn: (message, fields) => log("warn", message, fields),
      error: (message, fields) => log("error", message, fields),
      with: (fields) => build({ ...base, ...fields }),
    };
  }
}

/** Drops every line; for tests and for callers who do not care. */
export const silentLogger: Logger = {
  debug: () => {},
  info: () => {},
  warn: () => {},
  error: () => {},
  with: () => silentLogger,
};

interface LogLine {
  readonly timeMs: number;
  readonly level: LogLevel;
  readonly message: string;
  readonly fields: LogFields;
}

const RESERVED_KEYS: ReadonlySet<string> = new Set(["time", "level", "message"]);

function renderJson(line: LogLine): string {
  const object: Record<string, string | number | boolean> = {
    time: new Date(line.timeMs).toISOString(),
    level: line.level,
    message: line.message,
  };
  for (const [key, value] of Object.entries(line.fields)) {
    if (value !== undefined) object[RESERVED_KEYS.has(key) ? `${key}_` : key] = value;
  }
  return JSON.stringify(object);
}

function renderText(line: LogLine): string {
  const parts = [
    new Date(line.timeMs).toISOString(),
    line.level.toUpperCase().padEnd(5),
    escapeControls(line.message),
  ];
  for (const [key, value] of Object.entries(line.fields)) {
    if (value === undefined) continue;
    parts.push(`${RESERVED_KEYS.has(key) ? `${key}_` : key}=${renderTextValue(value)}`);
  }
  return parts.join(" ");
}

function renderTextValue(value: string | number | boolean): string {
  if (typeof value !== "string") return String(value);
  // JSON quoting, as logfmt readers understand it, only where a bare word would be ambiguous.
  return /^[^\s"=\\\p{Cc}]+$/u.test(value) ? value : JSON.stringify(value);
}

/** One call is one line: a peer's text (Envoy's reason, a manifest) must not be able to forge a second one. */
function escapeControls(text: string): string {
  return text.replace(/\p{Cc}/gu, (control) => JSON.stringify(control).slice(1, -1));
}

const encoder = new TextEncoder();

function writeToStderr(line: string): void {
  const bytes = encoder.encode(line + "\n");
  try {
    let written = 0;
    while (written < bytes.length) written += Deno.stderr.writeSync(bytes.subarray(written));
  } catch {
    // Standard error is gone (a closed terminal, a dead pipe): there is nobody left to tell.
  }
}
