import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { X509Certificate } from "node:crypto";
import { type Fields, KubeApiError, type ObjectClient, type ObjectName } from "../../agent/kube/mod.ts";
import { createLogger } from "../../agent/log.ts";
import { FakeObjects, refusal } from "../testing/fake_object_client.ts";
import { issueCertificate } from "./issue.ts";
import type { Generation } from "./plan_rotation.ts";
import { dataOf, generationOf, readGenerations, writeGenerations } from "./secret.ts";
import { keepCertificate } from "./self_managed.ts";
import { readWebhookConfiguration } from "./webhook_configuration.ts";

const LIFETIME_MS = 90 * 24 * 3600_000;
const SECRET: ObjectName = { kind: "Secret", namespace: "lightpath-system", name: "lightpath-webhook" };
const CONFIGURATION: ObjectName = { kind: "MutatingWebhookConfiguration", name: "lightpath" };
const HOST = "lightpath-webhook.lightpath-system.svc";

/** As after `kubectl apply`. */
function freshObjects({ secret = true }: { readonly secret?: boolean } = {}): FakeObjects {
  const objects = new FakeObjects();
  if (secret) objects.write(SECRET, { metadata: {}, type: "Opaque" });
  const service = { namespace: "lightpath-system", name: "lightpath-webhook", path: "/mutate" };
  objects.write(CONFIGURATION, {
    metadata: {},
    webhooks: [{ name: "a", clientConfig: { service }, sideEffects: "None" }],
  });
  return objects;
}

interface Kept {
  readonly served: readonly Generation[];
  readonly failures: readonly string[];
  readonly created: number;
  readonly log: string;
}

/** Keeps a certificate until all is as it should be for the n-th time. */
async function keepUntilSettled(
  client: ObjectClient,
  options: { readonly times?: number; readonly lifetimeMs?: number; readonly serve?: () => Promise<void> } =
    {},
): Promise<Kept> {
  const ended = new AbortController();
  const served: Generation[] = [];
  const failures: string[] = [];
  let [created, times, log] = [0, options.times ?? 1, ""];
  await keepCertificate({
    client,
    secret: { namespace: "lightpath-system", name: "lightpath-webhook" },
    configuration: "lightpath",
    lifetimeMs: options.lifetimeMs ?? LIFETIME_MS,
    path: "/mutate",
    logger: createLogger({ level: "info", format: "text", write: (line) => log += `${line}\n` }),
    serve: async (generation) => {
      await options.serve?.();
      served.push(generation);
    },
    onSettled: () => {
      if (--times === 0) ended.abort();
    },
    onFailed: (reason) => failures.push(reason),
    onCreated: () => created++,
  }, ended.signal);
  return { served, failures, created, log };
}

function storedIn(objects: FakeObjects, nowMs = Date.now()): readonly Generation[] {
  return readGenerations(dataOf(objects.read(SECRET)), { names: [HOST], nowMs }).generations;
}

function trustedIn(objects: FakeObjects): readonly string[] {
  return readWebhookConfiguration(objects.read(CONFIGURATION)).webhooks[0]!.authorities;
}

Deno.test("the first replica makes a certificate, stores it and has it trusted; nothing else is touched", async () => {
  const objects = freshObjects();
  const { served, created, failures } = await keepUntilSettled(objects.client());
  const [generation] = served;
  assertEquals([served.length, created, failures], [1, 1, []]);
  assertEquals(storedIn(objects), [generation!]);
  assertEquals(trustedIn(objects), [generation!.ca]);
  assertEquals(new X509Certificate(generation!.certificate).checkHost(HOST), HOST);
  const { webhooks } = objects.read(CONFIGURATION) as {
    readonly webhooks: readonly Record<string, unknown>[];
  };
  assertEquals(webhooks[0]!["sideEffects"], "None");
  // The next one takes what is there, and writes nothing.
  const before = objects.read(SECRET);
  assertEquals((await keepUntilSettled(objects.client())).served, served);
  assertEquals(objects.read(SECRET), before);
});

Deno.test("of replicas that start together one makes the certificate, and all serve with it", async () => {
  const objects = freshObjects();
  const kept = await Promise.all(Array.from({ length: 5 }, () => keepUntilSettled(objects.client())));
  assertEquals(kept.map(({ created }) => created).sort(), [0, 0, 0, 0, 1]);
  assertEquals(new Set(kept.map(({ served }) => served.at(-1)!.id)).size, 1);
  assertEquals(trustedIn(objects), [kept[0]!.served.at(-1)!.ca]);
  assertEquals(kept.flatMap(({ failures }) => failures), []);
});

Deno.test("without a Secret it is created, by one of them", async () => {
  const objects = freshObjects({ secret: false });
  const kept = await Promise.all(Array.from({ length: 3 }, () => keepUntilSettled(objects.client())));
  assertEquals(new Set(kept.map(({ served }) => served.at(-1)!.id)).size, 1);
  assertEquals(storedIn(objects), [kept[0]!.served.at(-1)!]);
  assertEquals(kept.filter(({ log }) => /created the Secret/.test(log)).length, 1);
});

Deno.test("a new authority is added to the old one, and takes its place an overlap after it is served", async () => {
  const objects = freshObjects();
  const { served: [old] } = await keepUntilSettled(objects.client());
  // Two thirds of its life are over by the API server's clock.
  const clockAheadMs = LIFETIME_MS * 2 / 3 + 1;
  const { served, created } = await keepUntilSettled(objects.client({ clockAheadMs }));
  assertEquals([created, served], [1, [old!]]);
  const stored = storedIn(objects);
  assertEquals(stored.length, 2);
  const both = trustedIn(objects);
  assertEquals([both.length, both.includes(old!.ca)], [2, true]);

  // An overlap later the new one is served, another one later the old authority goes.
  const next = await keepUntilSettled(objects.client({ clockAheadMs: clockAheadMs + 11 * 60_000 }));
  assertEquals([next.created, next.served[0]?.id !== old!.id, trustedIn(objects).length], [0, true, 2]);
  await keepUntilSettled(objects.client({ clockAheadMs: clockAheadMs + 21 * 60_000 }));
  assertEquals([storedIn(objects).length, trustedIn(objects)], [1, [next.served[0]!.ca]]);
});

Deno.test("who has slept does not take away an authority that another has added", async () => {
  const objects = freshObjects();
  await keepUntilSettled(objects.client());
  const [stored, configuration] = [storedIn(objects), objects.read(CONFIGURATION) as { webhooks: [Fields] }];
  // Somebody takes all authorities away, and a replica is about to put back the one it knows.
  const { clientConfig } = configuration.webhooks[0] as { clientConfig: Fields };
  const webhooks = [{ ...configuration.webhooks[0], clientConfig: { ...clientConfig, caBundle: "" } }];
  objects.write(CONFIGURATION, { ...configuration, webhooks });
  let slept = false;
  const late = objects.client();
  const { failures } = await keepUntilSettled({
    ...late,
    patch: async (name, patch, signal) => {
      if (!slept) {
        slept = true;
        await keepUntilSettled(objects.client({ clockAheadMs: LIFETIME_MS * 2 / 3 + 1 }));
        assertEquals(trustedIn(objects).length, 2);
        await assertRejects(() => late.patch(name, patch, signal), KubeApiError, "409");
        throw refusal("patch", name, 409);
      }
      return await late.patch(name, patch, signal);
    },
  });
  assertEquals([slept, failures, storedIn(objects).length], [true, [], 2]);
  assertEquals(trustedIn(objects).includes(stored[0]!.ca), true);
  assertEquals(trustedIn(objects).length, 2);
});

Deno.test("certificates are made by the API server's clock, and a clock that differs is said", async () => {
  for (
    const [clockAheadMs, how] of [[-2 * 24 * 3600_000, "ahead"], [400 * 24 * 3600_000, "behind"]] as const
  ) {
    const objects = freshObjects();
    const { served, log } = await keepUntilSettled(objects.client({ clockAheadMs }));
    const { validFromDate, validToDate } = new X509Certificate(served[0]!.certificate);
    const serverMs = Date.now() + clockAheadMs;
    assertEquals(validFromDate.getTime() < serverMs - 3590_000, true);
    assertEquals(validToDate.getTime() > serverMs + LIFETIME_MS - 3600_000, true);
    assertMatch(
      log,
      new RegExp(`this node's clock is ${how} of the API server's, whose time is used seconds=\\d+`),
    );
  }
});

Deno.test("an expired or damaged certificate is replaced with a line in the log, and the rest of the Secret stays", async () => {
  const objects = freshObjects();
  const issued = await issueCertificate({ names: [HOST], lifetimeMs: 3600_000, nowMs: 0, commonName: "old" });
  const expired = generationOf(issued, { createdMs: 0, lifetimeMs: 3600_000 });
  objects.write(SECRET, { metadata: {}, data: writeGenerations({ theirs: btoa("x") }, [expired]) });
  const first = await keepUntilSettled(objects.client());
  assertMatch(
    first.log,
    /WARN +stored certificates cannot be used, and are replaced .*has expired at 1970-01-01T01:00:00/,
  );
  assertEquals(dataOf(objects.read(SECRET))["theirs"], btoa("x"));

  const { id } = first.served[0]!;
  objects.write(SECRET, {
    metadata: {},
    data: { ...dataOf(objects.read(SECRET)), [`${id}.tls.crt`]: btoa("nonsense") },
  });
  const second = await keepUntilSettled(objects.client());
  assertMatch(second.log, new RegExp(`certificate ${id} is no certificate`));
  assertEquals(storedIn(objects), second.served);
  assertEquals(trustedIn(objects), [second.served[0]!.ca]);
});

Deno.test("when the webhook is called by another name, there is a certificate for that", async () => {
  const objects = freshObjects();
  await keepUntilSettled(objects.client());
  objects.write(CONFIGURATION, {
    metadata: {},
    webhooks: [{ name: "a", clientConfig: { url: "https://[fd00::1]:8443/else" } }],
  });
  const { served, log } = await keepUntilSettled(objects.client());
  assertEquals(new X509Certificate(served[0]!.certificate).checkIP("fd00::1"), "fd00::1");
  assertMatch(log, /does not name fd00::1, where it is to be called/);
  assertMatch(log, /the API server calls another path than \/mutate, and gets no label there webhooks="a at/);
});

Deno.test("what fails is said once, and tried again", async () => {
  const objects = freshObjects();
  let refusals = 2;
  const { failures, log, served } = await keepUntilSettled(objects.client({
    before: (verb, name) => {
      if (verb === "patch" && refusals-- > 0) throw refusal(verb, name, 403);
    },
  }));
  const reason = "403 at patch of MutatingWebhookConfiguration lightpath";
  assertEquals([failures, served.length], [[reason, reason], 1]);
  assertEquals(log.match(/the certificate is not looked after/g)?.length, 1);
});

Deno.test("a port that cannot be listened on is no fault of the API server's, and ends it; nor is one of the program", async () => {
  const serve = (): Promise<void> => Promise.reject(new RangeError("no such port"));
  await assertRejects(() => keepUntilSettled(freshObjects().client(), { serve }), RangeError, "no such port");
  const before = (): void => {
    throw new TypeError("a fault of the program");
  };
  await assertRejects(
    () => keepUntilSettled(freshObjects().client({ before })),
    TypeError,
    "a fault of the program",
  );
});
