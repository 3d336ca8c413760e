import { assertEquals } from "@std/assert/equals";
import { isTranslated, parseUdpFlows, socketText } from "./udp_flow.ts";

/** Lines of conntrack 1.4.7, and what is to be understood: where to, who answers, `zone`. */
const LINES: readonly (readonly [string, string, string])[] = [
  [
    "a flow nobody has answered yet",
    "udp      17 29 src=10.244.0.5 dst=10.96.0.10 sport=1003 dport=53 [UNREPLIED] src=10.244.1.9 dst=10.244.0.5 " +
    "sport=5353 dport=1003 mark=0 use=1",
    "IPv4: 10.96.0.10 53 by 10.244.1.9 5353",
  ],
  [
    "a flow that goes on, with counters, masqueraded",
    "udp      17 117 src=192.0.2.7 dst=192.168.77.2 sport=4000 dport=30053 packets=3 bytes=87 src=10.244.1.9 " +
    "dst=10.244.1.1 sport=5353 dport=61000 packets=3 bytes=120 [ASSURED] mark=16384 use=1",
    "IPv4: 192.168.77.2 30053 by 10.244.1.9 5353",
  ],
  [
    "IPv6",
    "udp      17 29 src=fd00:244::5 dst=fd00:96::a sport=33019 dport=53 src=fd00:244:1::9 dst=fd00:244::5 " +
    "sport=5353 dport=33019 mark=0 use=2",
    "IPv6: fd00:96::a 53 by fd00:244:1::9 5353",
  ],
  [
    "not translated",
    "udp      17 29 src=10.9.0.1 dst=10.96.0.10 sport=1003 dport=53 [UNREPLIED] src=10.96.0.10 dst=10.9.0.1 " +
    "sport=53 dport=1003 mark=0 use=1",
    "IPv4: 10.96.0.10 53",
  ],
  [
    "in a zone",
    "udp      17 29 src=10.9.0.1 dst=10.96.0.10 sport=1003 dport=53 [UNREPLIED] src=10.96.0.10 dst=10.9.0.1 " +
    "sport=53 dport=1003 mark=0 zone=7 use=1",
    "IPv4: 10.96.0.10 53 zone",
  ],
  [
    "in a zone in one direction",
    "udp      17 29 src=10.9.0.1 dst=10.96.0.10 sport=1003 dport=53 zone-orig=8 [UNREPLIED] src=10.244.1.9 " +
    "dst=10.9.0.1 sport=5353 dport=1003 mark=0 use=1",
    "IPv4: 10.96.0.10 53 by 10.244.1.9 5353 zone",
  ],
  [
    "in the flow table of a network card, with labels and an id",
    "ipv4     2 udp      17 src=10.9.0.1 dst=10.96.0.10 sport=1003 dport=53 src=10.244.1.9 dst=10.9.0.1 " +
    "sport=5353 dport=1003 [HW_OFFLOAD] mark=0 secctx=system_u:object_r:unlabeled_t:s0 use=2 id=4263842312",
    "IPv4: 10.96.0.10 53 by 10.244.1.9 5353",
  ],
];

Deno.test("parseUdpFlows() reads where a flow goes, who answers, and whether it is in a zone", () => {
  for (const [what, line, expected] of LINES) {
    const [flow] = parseUdpFlows(line);
    const parts = flow === undefined ? [] : [
      `${flow.family}: ${socketText(flow.destination)}`,
      ...(isTranslated(flow) ? [`by ${socketText(flow.answeredBy)}`] : []),
      ...(flow.isInZone ? ["zone"] : []),
    ];
    assertEquals(parts.join(" "), expected, what);
  }
});

Deno.test("parseUdpFlows() takes nothing else for a UDP flow", () => {
  for (
    const line of [
      "",
      "tcp      6 431999 ESTABLISHED src=10.9.0.1 dst=10.96.0.10 sport=1003 dport=53 src=10.244.1.9 dst=10.9.0.1 " +
      "sport=5353 dport=1003 [ASSURED] mark=0 use=1",
      "icmp     1 29 src=10.9.0.1 dst=10.96.0.10 type=8 code=0 id=1 src=10.96.0.10 dst=10.9.0.1 type=0 code=0 id=1 mark=0",
      "udp      17 29 src=10.9.0.1 dst=10.96.0.10 sport=1003 dport=53 [UNREPLIED]",
      "udplite  136 29 src=10.9.0.1 dst=10.96.0.10 sport=1003 dport=53 [UNREPLIED] src=10.96.0.10 dst=10.9.0.1 " +
      "sport=53 dport=1003 mark=0 use=1",
      "conntrack v1.4.7 (conntrack-tools): 1 flow entries have been shown.",
    ]
  ) {
    assertEquals(parseUdpFlows(line), [], line);
  }
});

Deno.test("parseUdpFlows() reads what was not translated the other way round too", () => {
  const line = (reply: string): string =>
    `udp      17 29 src=10.96.0.10 dst=10.9.0.1 sport=53 dport=1003 src=10.9.0.1 ${reply} mark=0 use=1`;
  const read = (text: string): string[] =>
    parseUdpFlows(text).map(({ destination, isReversed }) =>
      `${socketText(destination)}${isReversed ? " reversed" : ""}`
    );
  const whole = line("dst=10.96.0.10 sport=1003 dport=53");
  assertEquals(read(whole), ["10.9.0.1 1003", "10.96.0.10 53 reversed"]);
  assertEquals(parseUdpFlows(whole).map(isTranslated), [false, false]);
  assertEquals(read(line("dst=192.0.2.1 sport=1003 dport=61000")), ["10.9.0.1 1003"], "masqueraded");
});
