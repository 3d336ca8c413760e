import { assertEquals } from "@std/assert/equals";
import { Random } from "../../agent/model/testing/random.ts";
import type { PlanElement } from "../plan.ts";
import { outcomeOf, parseAnswers } from "./answers.ts";
import { type Batch, encodeBatch } from "./encode_batch.ts";
import { refusalError } from "./refusal.ts";

/** Numbered from 100: the begin, a deletion, an addition, the end. */
const BATCH = encodeBatch({
  delete: [{ container: "node-addresses-4", key: "1.2.3.4", value: "" }],
  add: [1, 2, 3].map((host): PlanElement => ({
    container: "service-ips-4",
    key: `10.96.0.${host} . tcp . 80`,
    value: "4c51:1",
  })),
}, 100);

/** What Linux 6.18 sends, for messages 101 and 102 of that batch and its begin. */
const SENT = {
  acknowledged: "240000000200000166000000ae1e000000000000840000000c0a05046600000000000000",
  secondExists: "2c0000000200000366000000ae1e0000efffffffa80000000c0a050466000000000000000800020060000000",
  deletedNotFound: "2c0000000200000365000000ae1e0000feffffff500000000e0a010065000000000000000800020040000000",
  tableNotFound: "2c0000000200000365000000ae1e0000feffffff600000000c0a050465000000000000000800020014000000",
  beginInvalid: "240000000200000164000000ae1e0000eaffffff14000000100001006400000000000000",
  generation:
    "300000000f0a000005000000ae1e00000000000108000100000000010800020000001eae0900030064656e6f00000000",
} as const;

function answersTo(batch: Batch, ...sent: readonly (keyof typeof SENT)[]): ReturnType<typeof outcomeOf> {
  return outcomeOf(batch, sent.flatMap((name) => parseAnswers(Uint8Array.fromHex(SENT[name]))));
}

function errorOf(...sent: readonly (keyof typeof SENT)[]): unknown[] {
  const outcome = answersTo(BATCH, ...sent);
  if (outcome.kind !== "refused") return [outcome.kind];
  const { kind, message, line } = refusalError(outcome);
  return [kind, message, line];
}

Deno.test("a batch is done when its last change is acknowledged and nothing was refused", () => {
  assertEquals(answersTo(BATCH, "acknowledged"), { kind: "done" });
  assertEquals(answersTo(BATCH, "generation", "acknowledged"), { kind: "done" });
  assertEquals(answersTo(BATCH, "deletedNotFound", "acknowledged").kind, "refused");
});

Deno.test("a batch that is not answered, or not to its end, may have been made or not", () => {
  assertEquals(answersTo(BATCH), { kind: "unknown" });
  assertEquals(answersTo(BATCH, "generation"), { kind: "unknown" });
  // That the begin or the end was understood says nothing of what is between them.
  const edges = [100, 103].map((sequence) => ({ sequence, errno: 0, words: "" }));
  assertEquals(outcomeOf(BATCH, edges), { kind: "unknown" });
  // What answers an earlier one, or a later one.
  assertEquals(answersTo({ ...BATCH, firstSequence: 103 }, "acknowledged", "beginInvalid"), {
    kind: "unknown",
  });
  assertEquals(answersTo({ ...BATCH, firstSequence: 90 }, "acknowledged", "beginInvalid"), {
    kind: "unknown",
  });
});

Deno.test("a refusal names the element that the kernel points at", () => {
  assertEquals(errorOf("secondExists"), [
    "exists",
    "The kernel refused to add to service-ips-4: EEXIST",
    "add element inet lightpath service-ips-4 { 10.96.0.2 . tcp . 80 : 4c51:1 }",
  ]);
  assertEquals(errorOf("deletedNotFound", "secondExists"), [
    "not-found",
    "The kernel refused to delete from node-addresses-4: ENOENT",
    "delete element inet lightpath node-addresses-4 { 1.2.3.4 }",
  ]);
});

Deno.test("a refusal of the set, the table or the whole batch blames no element", () => {
  assertEquals(errorOf("tableNotFound"), [
    "not-found",
    "The kernel refused to delete from node-addresses-4: ENOENT",
    undefined,
  ]);
  assertEquals(errorOf("beginInvalid"), ["other", "The kernel refused a change: EINVAL", undefined]);
});

Deno.test("a kernel that lacks something, or does not let us, is told as nft would be", () => {
  for (
    const [errno, kind, said] of [
      [1, "permission", "run as root"],
      [95, "unsupported", "EOPNOTSUPP, no such thing"],
      [4, "busy", "EINTR"],
      [90, "too-large", "EMSGSIZE"],
      [12, "other", "ENOMEM"],
      [133, "other", "error 133"],
    ] as const
  ) {
    const error = refusalError({ kind: "refused", errno, words: errno === 95 ? "no such thing" : "" });
    assertEquals([error.kind, error.message.includes(said)], [kind, true], error.message);
  }
});

Deno.test("parseAnswers() reads the kernel's words, and errors that repeat their whole message", () => {
  const header = "340000000200000364000000000000002bffffff";
  const echo = "14000000100001006400000000000000";
  const words = parseAnswers(Uint8Array.fromHex(`${header}${echo}0f0001006e6f20736f6d657468000000`));
  assertEquals(words.map((answer) => answer.words), ["no someth"]);
  // Not capped: of the message that is answered all 20 bytes are there, and the attributes follow.
  const whole = `30000000020000026400000000000000feffffff${echo}112233440800020010000000`;
  assertEquals(parseAnswers(Uint8Array.fromHex(whole)), [{ sequence: 100, errno: 2, words: "", offset: 16 }]);
});

Deno.test("parseAnswers() reads whatever it is given without a fault", () => {
  const random = new Random(3);
  for (let time = 0; time < 20_000; time++) {
    const bytes = Uint8Array.fromHex(random.pick(Object.values(SENT)));
    for (let count = random.integer(0, 4); count > 0; count--) {
      bytes[random.integer(0, bytes.length - 1)] = random.integer(0, 255);
    }
    outcomeOf(BATCH, parseAnswers(bytes.subarray(0, random.integer(0, bytes.length))));
  }
});
