import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { type AdmissionHttpRequest, answerHttp, WEBHOOK_PATH } from "./answer_http.ts";

const RULES = { proxyName: "lightpath.cloud", excludedNamespaces: [] };
const REVIEW = {
  kind: "AdmissionReview",
  apiVersion: "admission.k8s.io/v1",
  request: { uid: "1", operation: "UPDATE", resource: { group: "", version: "v1", resource: "services" } },
};

/** Status and body of the answer to a good request that is bad in one thing. */
function ask(bad: Partial<AdmissionHttpRequest>): readonly [number, string] {
  const { status, body } = answerHttp({
    method: "POST",
    path: WEBHOOK_PATH,
    contentType: "application/json",
    body: new TextEncoder().encode(JSON.stringify(REVIEW)),
    ...bad,
  }, RULES);
  return [status, body];
}

const bytes = (text: string): Uint8Array => new TextEncoder().encode(text);

Deno.test("answerHttp(): a review is answered with 200 and JSON", () => {
  for (const contentType of ["application/json", "application/json; charset=utf-8", "Application/JSON"]) {
    const [status, body] = ask({ contentType });
    assertEquals([status, JSON.parse(body).response.uid], [200, "1"]);
  }
});

Deno.test("answerHttp(): what is wrong with a request is said in one sentence", () => {
  assertEquals(ask({ path: "/" }), [404, "not found: the webhook is at /mutate\n"]);
  assertEquals(ask({ method: "GET" }), [405, "/mutate takes POST only\n"]);
  assertEquals(ask({ contentType: "application/yaml" }), [415, "/mutate takes application/json only\n"]);
  assertEquals(ask({ contentType: "" }), [415, "/mutate takes application/json only\n"]);
  assertEquals(ask({ body: "too-long" }), [413, "the body is longer than 7340032 bytes\n"]);
  assertEquals(ask({ body: "too-slow" }), [408, "the body did not come in time\n"]);
  assertEquals(ask({ body: bytes("") }), [400, "the body is empty\n"]);
  assertEquals(ask({ body: Uint8Array.of(0xff, 0xfe) }), [400, "the body is not UTF-8\n"]);
  assertEquals(ask({ body: bytes("[]") }), [400, "the body is no AdmissionReview\n"]);
  const [status, sentence] = ask({ body: bytes('{"kind": ') });
  assertEquals(status, 400);
  assertMatch(sentence, /^the body is not JSON: [^\n]+\n$/);
  assertEquals(ask({ body: bytes("[".repeat(1_000_000)) })[0], 400);
});
