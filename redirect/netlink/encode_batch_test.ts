import { assert } from "@std/assert/assert";
import { assertEquals } from "@std/assert/equals";
import { assertThrows } from "@std/assert/throws";
import { diffPlans, type PlanDelta } from "../diff.ts";
import type { PlanElement } from "../plan.ts";
import { GOLDEN_PLAN } from "../testing/golden_plan.ts";
import { batchChanges, encodeBatch, UnencodableElement } from "./encode_batch.ts";

function service(host: number, value = "4c51:1"): PlanElement {
  return {
    container: "service-ips-4",
    key: `10.96.${host >> 8}.${host & 255} . tcp . 80`,
    value,
  };
}

/** Messages of a batch, each with its header apart: length, type, flags, number, sender. */
function messages(bytes: Uint8Array): { header: number[]; content: string }[] {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const found = [];
  for (let at = 0; at < bytes.length;) {
    const length = view.getUint32(at, true);
    const header = [view.getUint16(at + 4, true), view.getUint16(at + 6, true), view.getUint32(at + 8, true)];
    assertEquals(view.getUint32(at + 12, true), 0, "the kernel knows who sends");
    assert(length >= 20 && length % 4 === 0, `a message of ${length} bytes`);
    found.push({ header, content: bytes.subarray(at + 16, at + length).toHex() });
    at += length;
  }
  return found;
}

const TABLE = "0e0001006c696768747061746800" + "0000";
const SERVICE_IPS_4 = "12000200736572766963652d6970732d3400" + "0000";
const ENVOY_READY = "10000200656e766f792d726561647900";
const ENVOY_GONE = "0f000200656e766f792d676f6e6500" + "00";

Deno.test("encodeBatch() deletes, adds, and empties what the kernel fills itself, in this order, byte for byte", () => {
  const ready: PlanElement = { container: "envoy-ready", key: "tcp", value: "" };
  const delta: PlanDelta = { delete: [service(10)], add: [ready, service(10, "4c52:2")] };
  assertEquals(messages(encodeBatch(delta, 7).bytes), [
    // NFNL_MSG_BATCH_BEGIN, NLM_F_REQUEST; for the subsystem 10.
    { header: [0x10, 1, 7], content: "0000000a" },
    // NFT_MSG_DELSETELEM; `inet`.
    {
      header: [0xa0e, 1, 8],
      content: "01000000" + TABLE + SERVICE_IPS_4 + "1c000380" + "18000180" + "14000180" + "10000100" +
        "0a60000a" + "06000000" + "00500000",
    },
    // NFT_MSG_NEWSETELEM, NLM_F_REQUEST | NLM_F_CREATE.
    {
      header: [0xa0c, 0x401, 9],
      content: "01000000" + TABLE + ENVOY_READY + "14000380" + "10000180" + "0c000180" + "05000100" +
        "06000000",
    },
    {
      header: [0xa0c, 0x401, 10],
      content: "01000000" + TABLE + SERVICE_IPS_4 + "28000380" + "24000180" + "14000180" + "10000100" +
        "0a60000a" + "06000000" + "00500000" + "0c000280" + "08000100" + "0200524c",
    },
    // NFT_MSG_DELSETELEM, NLM_F_REQUEST | NLM_F_ACK: the last one is acknowledged.
    { header: [0xa0e, 5, 11], content: "01000000" + TABLE + ENVOY_GONE },
    // NFNL_MSG_BATCH_END.
    { header: [0x11, 1, 12], content: "0000000a" },
  ]);
});

Deno.test("encodeBatch() cuts long lists into messages that fit, and tells where each element begins", () => {
  const add = Array.from({ length: 1_201 }, (_, host) => service(host));
  const batch = encodeBatch({ delete: [], add }, 0xffff_fffe);
  const sent = messages(batch.bytes);
  assertEquals(batch.messages.map(({ elements }) => elements.length), [500, 500, 201]);
  assertEquals(batch.messages.flatMap(({ elements }) => elements), add);
  // Numbers begin anew after the largest.
  assertEquals(sent.map(({ header: [, , sequence] }) => sequence), [0xffff_fffe, 0xffff_ffff, 0, 1, 2]);
  // Only the last change is acknowledged.
  assertEquals(sent.map(({ header: [, flags = 0] }) => flags & 4), [0, 0, 0, 4, 0]);
  for (const [index, { starts }] of batch.messages.entries()) {
    const content = sent[index + 1]?.content ?? "";
    // Each begins with its length, and the type of a member of a list.
    for (const start of starts) assertEquals(content.slice((start - 16) * 2, (start - 12) * 2), "24000180");
    assertEquals(starts.length, content.split("24000180").length - 1);
  }
});

Deno.test("encodeBatch() has no message too long whatever it holds", () => {
  const longest: PlanElement = {
    container: "allowed-sources-6",
    key: "fd00::1 . tcp . 80 . 2001:db8::/32",
    value: "",
  };
  const { bytes } = encodeBatch({ delete: [], add: new Array(2_000).fill(longest) }, 1);
  assert(messages(bytes).every(({ content }) => content.length / 2 < 0xffff));
});

Deno.test("batchChanges() has each element once, and one message for each container", () => {
  const delta = diffPlans([], GOLDEN_PLAN);
  const changes = batchChanges({ delete: delta.add, add: delta.add });
  const ofVerb = (verb: string): PlanElement[] =>
    changes.filter((change) => change.verb === verb).flatMap(({ elements }) => elements);
  assertEquals([ofVerb("delete"), ofVerb("add")], [delta.add, delta.add]);
  const containers = new Set(delta.add.map(({ container }) => container));
  assertEquals(changes.length, containers.size * 2 + 1);
  assertEquals(batchChanges({ delete: delta.add, add: [] }).filter(({ verb }) => verb === "empty"), []);
});

Deno.test("encodeBatch() names the element that is none", () => {
  const bad = service(1, "nonsense");
  const error = assertThrows(
    () => encodeBatch({ delete: [], add: [service(0), bad] }, 1),
    UnencodableElement,
  );
  assertEquals(error.element, bad);
});
