import { assertEquals } from "@std/assert/equals";
import project from "../deno.json" with { type: "json" };
import { lightpathCommand } from "./lightpath_command.ts";

Deno.test("lightpathCommand() starts the program with the flags of the task", () => {
  const flags = (words: readonly string[]): readonly string[] =>
    words.filter((word) => word.startsWith("--v8"));
  assertEquals(flags(lightpathCommand()), flags(project.tasks.lightpath.split(" ")));
  assertEquals(flags(lightpathCommand()).length, 1);
});
