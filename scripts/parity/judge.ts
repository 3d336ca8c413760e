/**
 * How a row is asked, and whether what came of it is what was expected. Pure.
 *
 * In: a row, and how each attempt ended. Out: a question; undefined, or one line about what is wrong.
 * Invariant: a right answer is called wrong by chance less than once in a million rows.
 * @module
 */
import type { Attempt, Question, Speech } from "../lab/whoami.ts";
import { whoami } from "../lab/whoami.ts";
import { sourcesOf } from "./addresses.ts";
import type { Backend, Expectation, Row } from "./case.ts";

/** For what has to be answered; a machine under load is slow, and Envoy is made to know a destination at its first connection. */
const PATIENCE_MS = 8_000;
/** The same where nobody stands between the client and the server, and nothing is sent again. */
const PACKET_PATIENCE_MS = 2_500;
/** How long silence has to last: more than a client waits before it sends a SYN again, on a machine under load. */
const SILENCE_MS = 2_500;
/**
 * "At once". Not less than the second SYN, which comes after one second: a Linux client does not hear an ICMP error while it
 * is still in connect(), and without a network in between that is when it comes.
 */
const AT_ONCE_MS = 2_500;
/** Of the scenario in which affinity is forgotten; its Service says one second. */
const FORGOTTEN_MS = 1_400;

/** How a row is asked. */
export function questionOf({ speech, host, port, expect }: Row): Question {
  return {
    protocol: speech,
    ...{ host, port },
    times: timesOf(expect),
    timeoutMs: timeoutOf(speech, expect),
    ...(expect.kind === "answered" && expect.spread === "forgetful" ? { pauseMs: FORGOTTEN_MS } : {}),
    ...(expect.kind === "health" ? { path: "/healthz" } : {}),
  };
}

function timeoutOf(speech: Speech, expect: Expectation): number {
  if (expect.kind === "dropped") return SILENCE_MS;
  return speech === "udp" || speech === "sctp" ? PACKET_PATIENCE_MS : PATIENCE_MS;
}

function timesOf(expect: Expectation): number {
  if (expect.kind === "dropped") return 1;
  if (expect.kind !== "answered") return 2;
  const count = expect.by.length;
  switch (expect.spread) {
    case "any":
      // Of two, 32 attempts miss one of them once in two thousand million times.
      return count === 1 ? 3 : 16 * count;
    case "even":
      return 60 * count;
    case "affine":
      return 20;
    case "forgetful":
      return 10;
    default:
      throw new TypeError(`unknown spread ${expect.spread satisfies never}`);
  }
}

/** What is wrong with a row's attempts; undefined when nothing is. */
export function faultOf(row: Row, attempts: readonly Attempt[]): string | undefined {
  const { expect } = row;
  switch (expect.kind) {
    case "dropped":
      return unlessAll(attempts, ({ outcome }) => outcome === "timeout", "dropped");
    case "refused":
      return unlessAll(
        attempts,
        ({ outcome, ms }) => outcome === "refused" && ms < AT_ONCE_MS,
        "refused at once",
      );
    case "health":
      return unlessAll(
        attempts,
        (attempt) => healthFault(attempt, expect) === undefined,
        JSON.stringify(expect),
      );
    case "answered":
      return answerFault(row, { expect, attempts });
    default:
      throw new TypeError(`unknown expectation ${expect satisfies never}`);
  }
}

function unlessAll(
  attempts: readonly Attempt[],
  isRight: (attempt: Attempt) => boolean,
  wanted: string,
): string | undefined {
  return attempts.every(isRight) ? undefined : `wanted ${wanted}, saw ${describe(attempts)}`;
}

function healthFault(
  { status, body = "" }: Attempt,
  expect: Extract<Expectation, { kind: "health" }>,
): string | undefined {
  const localEndpoints = /"localEndpoints": ?(\d+)/.exec(body)?.[1];
  return status === expect.status && Number(localEndpoints) === expect.localEndpoints ? undefined : body;
}

function answerFault(
  { from, family, serverPorts }: Row,
  { expect, attempts }: {
    readonly expect: Extract<Expectation, { kind: "answered" }>;
    readonly attempts: readonly Attempt[];
  },
): string | undefined {
  const { by, source, spread } = expect;
  const counts = new Map<Backend, number>(by.map((backend) => [backend, 0]));
  const sources = [source].flat().flatMap((whose) => sourcesOf(whose === "client" ? from : whose, family));
  for (const attempt of attempts) {
    const said = attempt.outcome === "answered" ? whoami(attempt) : undefined;
    const known = by.find((backend) => backend === said?.name);
    if (known === undefined) return `wanted answers by ${by.join(", ")}, saw ${describe(attempts)}`;
    if (!sources.includes(said?.source ?? "")) {
      return `asked from ${said?.source} as ${known} saw it, wanted ${sources.join(" or ")} (${source})`;
    }
    if (said?.port !== serverPorts.get(known)) return `${known} was asked at its port ${said?.port}`;
    counts.set(known, (counts.get(known) ?? 0) + 1);
  }
  return isSpread([...counts.values()], spread) ? undefined : `not ${spread}: ${describe(attempts)}`;
}

function isSpread(counts: readonly number[], spread: string): boolean {
  const used = counts.filter((count) => count > 0).length;
  switch (spread) {
    case "any":
      return used === counts.length;
    case "even": {
      const attempts = counts.reduce((sum, count) => sum + count, 0);
      const share = 1 / counts.length;
      // Six standard deviations of a binomial distribution.
      const tolerance = 6 * Math.sqrt(attempts * share * (1 - share));
      return counts.every((count) => Math.abs(count - attempts * share) <= tolerance);
    }
    case "affine":
      return used === 1;
    case "forgetful":
      return used > 1;
    default:
      return false;
  }
}

/** Who answered or what happened, how often: `a1 x 3, timeout x 1`. */
function describe(attempts: readonly Attempt[]): string {
  const counts = new Map<string, number>();
  for (const attempt of attempts) {
    const slow = attempt.outcome !== "timeout" && attempt.ms >= AT_ONCE_MS ? " late" : "";
    const answer = whoami(attempt)?.name ?? `status ${attempt.status} ${attempt.body?.slice(0, 100)}`;
    const text = (attempt.outcome === "answered" ? answer : attempt.outcome) + slow;
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return [...counts].map(([text, count]) => `${text} x ${count}`).join(", ");
}
