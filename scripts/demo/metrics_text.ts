/**
 * Reads single figures out of Prometheus text. Pure; enough for our own metrics, not a general parser.
 * Source: Prometheus text exposition format, version 0.0.4.
 * @module
 */

/** The sum of all samples of a metric whose labels hold all of `labels`; 0 when there are none. */
export function sumOf(text: string, name: string, labels: Readonly<Record<string, string>> = {}): number {
  const wanted = Object.entries(labels).map(([label, value]) => `${label}="${value}"`);
  let sum = 0;
  for (const line of text.split("\n")) {
    const [, sampleName, sampleLabels = "", value] = /^([a-zA-Z_:]\w*)(?:\{(.*)\})? (\S+)/.exec(line) ?? [];
    if (sampleName === name && wanted.every((label) => `,${sampleLabels},`.includes(`,${label},`))) {
      sum += Number(value);
    }
  }
  return sum;
}
