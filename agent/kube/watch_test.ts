import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import type { Service } from "./objects.ts";
import { parseKubeObject } from "./parse.ts";
import { start, step, type StepContext, type WatchState, type WatchStep } from "./watch.ts";
import { DEFAULT_WATCH_SETTINGS, type WatchEffect, type WatchInput } from "./watch_protocol.ts";

const CONTEXT: StepContext = { settings: DEFAULT_WATCH_SETTINGS, random: () => 0.5 };
const CLOSED: WatchInput = { kind: "closed", durationMs: 10 };
const LIST: WatchEffect = { kind: "list" };

/** Tells a machine one input after the other, and remembers where it stands. */
class Told {
  state: WatchState;
  last: WatchStep;

  constructor(readonly context: StepContext = CONTEXT) {
    this.last = start(context);
    this.state = this.last.state;
  }

  tell(input: WatchInput): WatchStep {
    this.last = step(this.state, input, this.context);
    this.state = this.last.state;
    return this.last;
  }

  /** A machine that watches from a version. */
  static watching(resourceVersion: string, context: StepContext = CONTEXT): Told {
    const told = new Told(context);
    told.tell({ kind: "listed", objects: [], resourceVersion });
    return told;
  }
}

function service(name: string, resourceVersion: string): Service {
  const result = parseKubeObject({ metadata: { namespace: "d", name, resourceVersion } }, "Service");
  if (!("object" in result) || result.object.kind !== "Service") throw new Error("not a Service");
  return result.object;
}

function failure(status: number, retryAfterMs = 0): WatchInput {
  return { kind: "failed", failure: { status, retryAfterMs, message: `status ${status}` } };
}

function watchFrom(resourceVersion: string): WatchEffect {
  return { kind: "watch", resourceVersion, timeoutSeconds: 445 };
}

function brief(told: Told): string[] {
  return told.last.events.map((event) => {
    switch (event.type) {
      case "InitApply":
        return [event.type, ...event.objects.map((object) => object.name)].join(" ");
      case "Apply":
        return `${event.type} ${event.object.name}`;
      case "Delete":
        return `${event.type} ${event.namespacedName}`;
      default:
        return event.type;
    }
  });
}

Deno.test("watch: the first thing is a list from the beginning", () => {
  assertEquals(new Told().last.effect, LIST);
});

Deno.test("watch: the parts of a list go to the store as they come, and the last one starts the watch", () => {
  const told = new Told();
  assertEquals(brief(told), ["Init"]);
  told.tell({ kind: "listed", objects: [service("a", "1")], resourceVersion: "" });
  assertEquals([brief(told), told.last.effect], [["InitApply a"], undefined]);
  told.tell({ kind: "listed", objects: [service("b", "2"), service("c", "3")], resourceVersion: "" });
  assertEquals([brief(told), told.last.effect], [["InitApply b c"], undefined]);
  told.tell({ kind: "listed", objects: [], resourceVersion: "9" });
  assertEquals([brief(told), told.last.effect], [["InitApply", "InitDone"], watchFrom("9")]);
});

Deno.test("watch: a list that breaks off is started again after a pause", () => {
  const told = new Told();
  told.tell({ kind: "listed", objects: [service("a", "1")], resourceVersion: "" });
  told.tell(failure(0));
  assertEquals([brief(told), told.last.effect], [[], { kind: "wait", ms: 150 }]);
  told.tell({ kind: "waited" });
  assertEquals([brief(told), told.last.effect], [["Init"], LIST]);
});

Deno.test("watch: changes go to the store, and a closed stream resumes at the last of them", () => {
  const told = Told.watching("9");
  told.tell({
    kind: "events",
    events: [
      { type: "ADDED", object: service("a", "10") },
      { type: "MODIFIED", object: service("a", "11") },
      { type: "DELETED", object: service("a", "12") },
    ],
  });
  assertEquals(brief(told), ["Apply a", "Apply a", "Delete d/a"]);
  assertEquals(told.last.effect, undefined);
  assertEquals(told.tell(CLOSED).effect, watchFrom("12"));
});

Deno.test("watch: a closed stream resumes at the last bookmark; a bookmark is nothing to the store", () => {
  const told = Told.watching("9");
  told.tell({ kind: "events", events: [{ type: "ADDED", object: service("a", "10") }] });
  told.tell({ kind: "events", events: [{ type: "BOOKMARK", resourceVersion: "77" }] });
  assertEquals(brief(told), []);
  assertEquals(told.tell(CLOSED).effect, watchFrom("77"));
});

Deno.test("watch: an object that cannot be read still moves the version on", () => {
  const told = Told.watching("9");
  told.tell({ kind: "events", events: [{ type: "UNREADABLE", resourceVersion: "10", reason: "" }] });
  assertEquals(told.tell(CLOSED).effect, watchFrom("10"));
  // A version that is missing must not become "from now on".
  told.tell({ kind: "events", events: [{ type: "BOOKMARK", resourceVersion: "" }] });
  assertEquals(told.tell(CLOSED).effect, watchFrom("10"));
});

Deno.test("watch: a silent connection resumes at once, at the last version", () => {
  const told = Told.watching("9");
  told.tell({ kind: "events", events: [{ type: "ADDED", object: service("a", "10") }] });
  assertEquals(told.tell({ kind: "silent" }).effect, watchFrom("10"));
});

Deno.test("watch: a silent list is tried again after a pause", () => {
  const told = new Told();
  assertEquals(told.tell({ kind: "silent" }).effect, { kind: "wait", ms: 150 });
  assertEquals(told.tell({ kind: "waited" }).effect, LIST);
});

Deno.test("watch: 410 as a status lists again without a pause", () => {
  const told = Told.watching("9");
  told.tell({ kind: "events", events: [{ type: "BOOKMARK", resourceVersion: "10" }] });
  told.tell(failure(410));
  assertEquals(brief(told), ["Init"]);
  assertEquals([told.last.effect, told.last.relistReason], [LIST, "status 410"]);
});

Deno.test("watch: 410 as an event keeps the changes before it, and lists again", () => {
  const told = Told.watching("9");
  told.tell({
    kind: "events",
    events: [
      { type: "ADDED", object: service("a", "10") },
      { type: "ERROR", failure: { status: 410, retryAfterMs: 0, message: "too old" } },
      { type: "ADDED", object: service("never", "11") },
    ],
  });
  assertEquals(brief(told), ["Apply a", "Init"]);
  assertEquals([told.last.effect, told.last.relistReason], [LIST, "too old"]);
});

Deno.test("watch: a series of 410 without progress is slowed down", () => {
  const told = Told.watching("9");
  assertEquals(told.tell(failure(410)).effect, LIST);
  told.tell({ kind: "listed", objects: [], resourceVersion: "20" });
  assertEquals(told.tell(failure(410)).effect, { kind: "wait", ms: 300 });
  assertEquals(told.tell({ kind: "waited" }).effect, LIST);
});

Deno.test("watch: which failures resume and which list again", () => {
  const after = (status: number): WatchEffect | undefined => {
    const told = Told.watching("9");
    assertEquals(told.tell(failure(status)).effect?.kind, "wait", `status ${status}`);
    return told.tell({ kind: "waited" }).effect;
  };
  for (const status of [0, 401, 403, 408, 429, 502, 503, 504]) {
    assertEquals(after(status), watchFrom("9"), `${status}`);
  }
  for (const status of [400, 404, 422, 500]) assertEquals(after(status), LIST, `${status}`);
});

Deno.test("watch: pauses double from 0.2 s to 5 s, half of them random, and start over after an event", () => {
  for (
    const [random, expected] of [[0, [100, 200, 400, 800, 1600, 2500, 2500]], [
      0.999,
      [200, 400, 800, 1599, 3198, 4998, 4998],
    ]] as const
  ) {
    const told = Told.watching("9", { settings: DEFAULT_WATCH_SETTINGS, random: () => random });
    const pauses: number[] = [];
    for (let i = 0; i < 7; i++) {
      const { effect } = told.tell(failure(0));
      if (effect?.kind === "wait") pauses.push(effect.ms);
      told.tell({ kind: "waited" });
    }
    assertEquals(pauses, expected);
    told.tell({ kind: "events", events: [{ type: "BOOKMARK", resourceVersion: "10" }] });
    assertEquals(told.tell(failure(0)).effect, { kind: "wait", ms: expected[0] });
  }
});

Deno.test("watch: a stream that closes without having said anything is not asked again at once", () => {
  const told = Told.watching("9");
  assertEquals(told.tell(CLOSED).effect, { kind: "wait", ms: 150 });
  told.tell({ kind: "waited" });
  assertEquals(told.tell(CLOSED).effect, { kind: "wait", ms: 300 });
  // A quiet cluster with an old etcd sends no bookmarks: silence until the agreed end is no failure.
  told.tell({ kind: "waited" });
  assertEquals(told.tell({ kind: "closed", durationMs: 300_000 }).effect, watchFrom("9"));
});

Deno.test("watch: Retry-After is honoured within reason", () => {
  assertEquals(Told.watching("9").tell(failure(429, 7_000)).effect, { kind: "wait", ms: 7_000 });
  assertEquals(Told.watching("9").tell(failure(429, 86_400_000)).effect, { kind: "wait", ms: 60_000 });
  assertEquals(Told.watching("9").tell(failure(429, 1)).effect, { kind: "wait", ms: 150 });
});

Deno.test("watch: the server is told to end a watch after 290 to 600 s", () => {
  const timeouts = [0, 0.999999].map((random) => {
    const { effect } = Told.watching("9", { settings: DEFAULT_WATCH_SETTINGS, random: () => random }).last;
    return effect?.kind === "watch" ? effect.timeoutSeconds : undefined;
  });
  assertEquals(timeouts, [290, 600]);
});

Deno.test("watch: an input that does not fit the state changes nothing", () => {
  const states = [new Told(), Told.watching("9"), Told.watching("9")];
  states[2]!.tell(failure(0));
  const strangers: WatchInput[][] = [
    [{ kind: "waited" }, CLOSED, { kind: "events", events: [] }],
    [{ kind: "waited" }, { kind: "listed", objects: [], resourceVersion: "1" }],
    [CLOSED, { kind: "silent" }, failure(410)],
  ];
  for (const [index, told] of states.entries()) {
    for (const input of strangers[index]!) {
      const before = told.state;
      const { effect, events } = told.tell(input);
      assertEquals([told.state, effect, events.length], [before, undefined, 0]);
    }
  }
  assert(states[2]!.state.kind === "waiting");
});
