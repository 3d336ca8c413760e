import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { assertRejects } from "@std/assert/rejects";
import { inspectEnvoy } from "../../xds/find_envoy.ts";
import { ENVOY_VERSION, sameMinor } from "../../xds/envoy_version.ts";
import { ensureTool } from "./ensure_tool.ts";
import { runProgram } from "./run_program.ts";

Deno.test("ensureTool() makes the pinned minor of Envoy available", async () => {
  const tool = await ensureTool("envoy", { onProgress: () => {} });
  assertEquals(tool.unavailable, undefined);
  const { version } = await inspectEnvoy(tool.path ?? "");
  assertEquals(sameMinor(version, ENVOY_VERSION), true);
});

Deno.test("ensureTool() makes a working nft available without installing it", async () => {
  const tool = await ensureTool("nft", { onProgress: () => {} });
  assertEquals(tool.unavailable, undefined);
  assertMatch(await runProgram(tool.path ?? "", ["--version"]), /^nftables v\d+\.\d+/);
});

Deno.test("ensureTool() makes the nft of a later release work beside this one's libraries", async () => {
  const tool = await ensureTool("nft-trixie", { onProgress: () => {} });
  assertEquals(tool.unavailable, undefined);
  assertMatch(await runProgram(tool.path ?? "", ["--version"]), /^nftables v1\.1\./);
});

Deno.test("ensureTool() rejects with the signal's reason, not with a tool that is unavailable", async () => {
  const signal = AbortSignal.abort(new Error("enough"));
  await assertRejects(() => ensureTool("fortio", { onProgress: () => {}, signal }), Error, "enough");
});
