import { assertEquals } from "@std/assert/equals";
import { sumOf } from "./metrics_text.ts";

const TEXT = `# HELP sent_total Things sent
# TYPE sent_total counter
sent_total{type="Cluster",action="updated"} 3
sent_total{type="Cluster",action="removed"} 1
sent_total{type="Listener",action="updated"} 2
sent_total_more 100
up 1
`;

Deno.test("sumOf() adds the samples with these labels and no others", () => {
  assertEquals(sumOf(TEXT, "sent_total"), 6);
  assertEquals(sumOf(TEXT, "sent_total", { type: "Cluster" }), 4);
  assertEquals(sumOf(TEXT, "sent_total", { action: "updated", type: "Cluster" }), 3);
  assertEquals(sumOf(TEXT, "sent_total", { type: "Clust" }), 0);
  assertEquals([sumOf(TEXT, "up"), sumOf(TEXT, "missing")], [1, 0]);
});
