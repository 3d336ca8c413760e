/**
 * Counts a test run from the JUnit report that `deno test --junit-path` writes.
 *
 * In: the XML text. Out: how many passed, failed and were skipped, and the names of the last two.
 * Tests are counted, as `deno test` itself does; of their steps only the skipped ones, which would be lost otherwise.
 * Pure.
 * @module
 */

/** A run in numbers. */
export interface TestSummary {
  readonly passed: number;
  /** Names of failed tests, with their files. */
  readonly failed: readonly string[];
  /** Names of skipped tests and steps, with their files; by convention the reason ends the name in parentheses. */
  readonly skipped: readonly string[];
}

interface TestCase {
  readonly file: string;
  readonly name: string;
  readonly outcome: "passed" | "failed" | "skipped";
}

/** Reads a report; an empty one has no tests. */
export function parseJunit(xml: string): TestSummary {
  const cases = parseCases(xml);
  const known = new Set(cases.map(({ file, name }) => `${file}\n${name}`));
  // A step's name is its parents' names and its own, with " > " between.
  const isStep = ({ file, name }: TestCase): boolean =>
    [...name.matchAll(/ > /g)].some(({ index }) => known.has(`${file}\n${name.slice(0, index)}`));
  const tests = cases.filter((testCase) => !isStep(testCase));
  const title = ({ file, name }: TestCase): string => `${file}: ${name}`;
  return {
    passed: tests.filter(({ outcome }) => outcome === "passed").length,
    failed: tests.filter(({ outcome }) => outcome === "failed").map(title),
    skipped: cases.filter(({ outcome }) => outcome === "skipped").map(title),
  };
}

/** `12 passed, 0 failed, 1 skipped`. */
export function renderSummary(summary: TestSummary): string {
  return `${summary.passed} passed, ${summary.failed.length} failed, ${summary.skipped.length} skipped`;
}

function parseCases(xml: string): TestCase[] {
  return [...xml.matchAll(/<testcase name="([^"]*)" classname="([^"]*)"[^>]*>(.*?)<\/testcase>/gs)].map(
    ([, name = "", file = "", body = ""]) => ({
      file: unescapeXml(file).replace(/^\.\//, ""),
      name: unescapeXml(name),
      outcome: outcomeOf(body),
    }),
  );
}

function outcomeOf(body: string): TestCase["outcome"] {
  // A failure's text is escaped, so these tags are the report's own.
  if (/<(failure|error)\b/.test(body)) return "failed";
  return body.includes("<skipped") ? "skipped" : "passed";
}

const ENTITIES: Readonly<Record<string, string>> = { lt: "<", gt: ">", quot: '"', apos: "'", amp: "&" };

function unescapeXml(text: string): string {
  return text.replace(/&(?:#x([0-9a-f]+)|#(\d+)|(\w+));/gi, (whole, hex, decimal, name) => {
    if (hex !== undefined) return String.fromCodePoint(parseInt(hex, 16));
    if (decimal !== undefined) return String.fromCodePoint(Number(decimal));
    return ENTITIES[name] ?? whole;
  });
}
