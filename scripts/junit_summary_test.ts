import { assertEquals } from "@std/assert/equals";
import { parseJunit, renderSummary } from "./junit_summary.ts";

/** As Deno 2.9.6 wrote it. */
const REPORT = `<?xml version="1.0" encoding="UTF-8"?>
<testsuites name="deno test" tests="6" failures="1" errors="0" time="0.009">
    <testsuite name="./t_test.ts" tests="6" disabled="2" errors="0" failures="1">
        <testcase name="plain" classname="./t_test.ts" time="0.000" line="1" col="6">
        </testcase>
        <testcase name="ign (skipped: no nft)" classname="./t_test.ts" time="0.000" line="2" col="6">
            <skipped/>
        </testcase>
        <testcase name="steps &lt;a&gt;" classname="./t_test.ts" time="0.001" line="3" col="6">
        </testcase>
        <testcase name="bad" classname="./t_test.ts" time="0.001" line="4" col="6">
            <failure message="Uncaught Error: x">Error: &lt;skipped/&gt;
    at file:///t_test.ts:4:32</failure>
        </testcase>
        <testcase name="steps &lt;a&gt; &gt; one" classname="./t_test.ts" time="0.000" line="3" col="47">
        </testcase>
        <testcase name="steps &lt;a&gt; &gt; two" classname="./t_test.ts" time="0.000" line="3" col="78">
            <skipped/>
        </testcase>
        <testcase name="a &gt; b" classname="./t_test.ts" time="0.000" line="5" col="6">
        </testcase>
    </testsuite>
</testsuites>`;

Deno.test("parseJunit() counts tests, and steps only where they were skipped", () => {
  const summary = parseJunit(REPORT);
  assertEquals(summary, {
    passed: 3, // plain, "steps <a>", and "a > b", which has no parent "a".
    failed: ["t_test.ts: bad"],
    skipped: ["t_test.ts: ign (skipped: no nft)", "t_test.ts: steps <a> > two"],
  });
  assertEquals(renderSummary(summary), "3 passed, 1 failed, 2 skipped");
});

Deno.test("parseJunit() finds nothing in an empty report", () => {
  assertEquals(renderSummary(parseJunit("")), "0 passed, 0 failed, 0 skipped");
});
