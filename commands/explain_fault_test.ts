import { assertEquals } from "@std/assert/equals";
import { assertMatch } from "@std/assert/match";
import { LibcUnavailable } from "../agent/libc.ts";
import { explainFault } from "./explain_fault.ts";

Deno.test("what a build may not do is told from what the user may not do, each with its mend", () => {
  assertEquals(
    explainFault(
      new Deno.errors.NotCapable(
        'Requires write access to "/srv/run", run again with the --allow-write flag',
      ),
    ),
    'Requires write access to "/srv/run", which this build of Lightpath was not given: choose what it may use (see --help), ' +
      "or build it with more (deno task compile --help)",
  );
  assertEquals(
    explainFault(new Deno.errors.PermissionDenied("Permission denied (os error 13): mkdir '/run/lightpath'")),
    "not permitted: Permission denied (os error 13): mkdir '/run/lightpath'; run as root, or choose other paths (see --help)",
  );
});

Deno.test("what is outside of the program is a sentence, and what is not has its stack", () => {
  assertEquals(
    explainFault(new LibcUnavailable("the C library cannot be called")),
    "the C library cannot be called",
  );
  assertMatch(
    explainFault(new TypeError("x is undefined")),
    /please report it: TypeError: x is undefined\n +at /,
  );
});
