import { assertEquals } from "@std/assert/equals";
import { dealProcessors, onProcessors, parseCpuList } from "./processors.ts";

Deno.test("parseCpuList() reads what the kernel writes", () => {
  assertEquals(parseCpuList("0-2,5,8-9"), [0, 1, 2, 5, 8, 9]);
  assertEquals(parseCpuList("3"), [3]);
});

Deno.test("onProcessors() makes a program run where it is told to", async () => {
  const processors = await dealProcessors();
  const [command, ...args] = onProcessors(processors?.rest, ["sh", "-c", "taskset -cp $$"]);
  const { stdout } = await new Deno.Command(command!, { args }).output();
  const seen = new TextDecoder().decode(stdout).trim().split(": ")[1] ?? "";
  // On a machine with one processor nothing is dealt.
  if (processors === undefined) assertEquals(command, "sh");
  else assertEquals(parseCpuList(seen).join(","), processors.rest);
});
