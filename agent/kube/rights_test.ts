import { assertEquals } from "@std/assert/equals";
import { createLogger } from "../log.ts";
import { KubeApiError, type KubeVerb } from "./kube_api_error.ts";
import { AGENT_RIGHTS, missingRights, renderMissing, type RightsClient, watchRights } from "./rights.ts";

const SIGNAL = AbortSignal.timeout(10_000);

/** Permits what is listed, as `list Service`. */
function clientThatMay(permitted: ReadonlySet<string>): RightsClient {
  return {
    identity: "the pod's service account",
    mayDo: (verb: KubeVerb, kind) => Promise.resolve(permitted.has(`${verb} ${kind}`)),
  };
}

const ALL = AGENT_RIGHTS.flatMap(({ kind, verbs }) => verbs.map((verb) => `${verb} ${kind}`));

Deno.test("what is missing is told at once: verbs, resources, what for, and the rules to write", async () => {
  const client = clientThatMay(new Set(["list Service", "list ServiceCIDR", "list Node", "watch Node"]));
  const missing = await missingRights(client, AGENT_RIGHTS, SIGNAL);
  assertEquals(
    renderMissing(missing, client.identity),
    "Lightpath (the pod's service account) may not watch services and list and watch endpointslices.discovery.k8s.io, " +
      "without which nothing is served; nor create events.events.k8s.io, without which owners of Services are not told what is " +
      'wrong with them. Grant it by a ClusterRole with the rules {apiGroups: [""], resources: ["services"], verbs: ["watch"]}, ' +
      '{apiGroups: ["discovery.k8s.io"], resources: ["endpointslices"], verbs: ["list", "watch"]}, ' +
      '{apiGroups: ["events.k8s.io"], resources: ["events"], verbs: ["create"]}, as deploy/base/rbac.yaml has',
  );
  assertEquals(await missingRights(clientThatMay(new Set(ALL)), AGENT_RIGHTS, SIGNAL), []);
});

Deno.test("it looks until nothing is missing, and tells what has changed", async () => {
  const permitted = new Set<string>();
  const told: (string | undefined)[] = [];
  await watchRights({
    client: clientThatMay(permitted),
    rights: AGENT_RIGHTS,
    onChange: (missing) => {
      told.push(missing?.replace(/^.*? may not (.*?)\. Grant.*$/, "$1"));
      // Granted one after the other.
      const next = ALL.find((right) => !permitted.has(right));
      if (told.length === 1) { for (const right of ALL.slice(0, 4)) permitted.add(right); }
      else if (next !== undefined) { for (const right of ALL) permitted.add(right); }
    },
    logger: createLogger({ level: "error", format: "text" }),
    intervalMs: 1,
  }, SIGNAL);
  assertEquals(told.map((text) => text?.split(",")[0]), [
    "list and watch services and list and watch endpointslices.discovery.k8s.io",
    "list servicecidrs.networking.k8s.io",
    undefined,
  ]);
});

Deno.test("who may not even ask is left alone; an API server that does not answer is asked again", async () => {
  const answers = [0, 503, 403];
  let asked = 0;
  const client: RightsClient = {
    identity: "nobody",
    mayDo: (verb, kind) => {
      const status = answers[asked++] ?? 200;
      return Promise.reject(
        new KubeApiError("no", { status, reason: "", request: { verb, kind, server: "", identity: "" } }),
      );
    },
  };
  await watchRights({
    client,
    rights: [{ kind: "Service", verbs: ["list"], without: "nothing is served" }],
    onChange: () => {
      throw new Error("nothing is known");
    },
    logger: createLogger({ level: "error", format: "text" }),
    intervalMs: 1,
  }, SIGNAL);
  assertEquals(asked, answers.length);
});
