import { assertEquals } from "@std/assert/equals";
import { createLogger } from "../log.ts";
import type { Problem } from "../model/mod.ts";
import type { KubeEvent } from "./event.ts";
import { createEventReporter, type EventReporter } from "./event_reporter.ts";
import { KubeApiError } from "./kube_api_error.ts";

function problem(message: string): Problem {
  const service = { namespace: "default", name: "echo", uid: "u" };
  return { object: "Service default/echo", kind: "invalid-annotation", message, service };
}

function refusal(status: number): KubeApiError {
  const request = { verb: "create", kind: "Event", server: "https://api", identity: "nobody" } as const;
  return new KubeApiError(`refused with ${status}`, { status, reason: "", request });
}

/** A reporter that never waits, with an API server that answers as it is told. */
class Setup {
  /** What each request tried to say. */
  readonly asked: string[] = [];
  /** Lines that an operator sees. */
  readonly lines: string[] = [];
  /** What became of the Events. */
  readonly results: string[] = [];
  readonly reporter: EventReporter;
  answers: (boolean | Error)[] = [];
  #settled = Promise.withResolvers<void>();
  #wanted = 0;

  constructor(maxWaiting = 100) {
    this.reporter = createEventReporter({
      client: { createEvent: (event) => this.#create(event) },
      nodeName: "node-1",
      onSettled: (result) => void this.results.push(result),
      logger: createLogger({
        level: "warn",
        format: "text",
        now: () => 0,
        write: (line) => void this.lines.push(line.replace(/^\S+ WARN +/, "")),
      }),
      ...{ spreadMs: 0, pauseMs: 0, retryMs: 0.01, maxWaiting },
    });
  }

  /** Runs until there were so many requests. */
  async run(requests: number): Promise<void> {
    this.#wanted = requests;
    const ended = new AbortController();
    const running = this.reporter.run(ended.signal);
    await this.#settled.promise;
    // What the last answer leads to happens before the next request could begin.
    await new Promise((resolve) => setTimeout(resolve, 0));
    ended.abort();
    await running;
  }

  #create(event: KubeEvent): Promise<boolean> {
    this.asked.push(event.note);
    if (this.asked.length === this.#wanted) this.#settled.resolve();
    const answer = this.answers.shift() ?? true;
    return answer instanceof Error ? Promise.reject(answer) : Promise.resolve(answer);
  }
}

Deno.test("each problem of a Service is told once, others are passed over", async () => {
  const setup = new Setup();
  const { service: _, ...nobodys } = problem("of a slice");
  setup.answers = [true, false];
  setup.reporter.report({ problemsAppeared: [problem("one"), nobodys, problem("two")] });
  await setup.run(2);
  assertEquals(setup.asked, ["one", "two"]);
  assertEquals(setup.lines, []);
  assertEquals(setup.results, ["written", "present"]);
});

Deno.test("what fails on the way is tried three times, then left, and the next has its turn", async () => {
  const setup = new Setup();
  setup.answers = [refusal(503), refusal(429), refusal(0)];
  setup.reporter.report({ problemsAppeared: [problem("one"), problem("two")] });
  await setup.run(4);
  assertEquals(setup.asked, ["one", "one", "one", "two"]);
  assertEquals(setup.lines.length, 1);
  assertEquals(setup.results, ["failed", "written"]);
});

Deno.test("a right that is missing is said once, until it was there again; nothing is tried twice", async () => {
  const setup = new Setup();
  setup.answers = [refusal(403), refusal(403), true, refusal(403)];
  setup.reporter.report({ problemsAppeared: ["one", "two", "three", "four"].map(problem) });
  await setup.run(4);
  assertEquals(setup.asked, ["one", "two", "three", "four"]);
  const line = 'problems are not told by Events, which is not permitted reason="refused with 403"';
  assertEquals(setup.lines, [line, line]);
  assertEquals(setup.results, ["refused", "refused", "written", "refused"]);
});

Deno.test("what waits is bounded, and said to be", async () => {
  const setup = new Setup(2);
  setup.reporter.report({ problemsAppeared: ["one", "two", "three", "four"].map(problem) });
  await setup.run(2);
  assertEquals(setup.asked, ["one", "two"]);
  assertEquals(setup.lines, ["too many problems to tell all of them by Events more=2"]);
  assertEquals(setup.results, ["dropped", "dropped", "written", "written"]);
});
