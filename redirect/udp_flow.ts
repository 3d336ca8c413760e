/**
 * UDP flows as the kernel tracks them, of one line of `conntrack -L` each.
 *
 * In: a line. Out: what of it decides whether the flow may go on. Who the client is does not.
 *
 * Which side the client is on the kernel knows by who was first. Where an entry is deleted while an answer is on its way, the answer
 * makes it anew, the wrong way round: and what the client sends then is an answer to it, which nobody translates. So a flow
 * that was not translated is read both ways.
 * Source: `__snprintf_conntrack_default` of libnetfilter_conntrack; lines of conntrack 1.4.7.
 * @module
 */

import type { IPFamily } from "../agent/model/mod.ts";

/** An address (canonical text, without brackets) and a port. */
export interface Socket {
  readonly address: string;
  readonly port: number;
}

/** A UDP flow; or all those that are alike but for their clients. */
export interface UdpFlow {
  readonly family: IPFamily;
  /** Where the client sends to: the original destination. */
  readonly destination: Socket;
  /** Who is to answer: the source of the reply, which is the destination itself where nothing was translated. */
  readonly answeredBy: Socket;
  /** It is tracked in a zone of its own, which somebody has set up for a purpose of theirs. */
  readonly isInZone: boolean;
  /** The kernel takes who is to answer for the client. Never of one that is translated. */
  readonly isReversed: boolean;
}

/**
 * The original direction, then the reply's. Between the fields there may be counters, zones and marks (`[UNREPLIED]`), in front
 * of them the family, numbers of protocols and the timeout.
 */
const LINE =
  /\budp\b.*? src=(\S+) dst=(\S+) sport=(\d+) dport=(\d+) .*?\bsrc=(\S+) dst=(\S+) sport=(\d+) dport=(\d+)(?: |$)/;
const ZONE = / zone(?:-orig|-reply)?=[1-9]/;

/** What a line may tell of: a UDP flow as the kernel takes it, and the other way round; nothing if it tells of none. */
export function parseUdpFlows(line: string): readonly UdpFlow[] {
  const fields = LINE.exec(line);
  if (fields === null) return [];
  const [, source = "", destination = "", sourcePort, destinationPort] = fields;
  const [answeredBy = "", answered = "", answeredByPort, answeredPort] = fields.slice(5);
  const flow: UdpFlow = {
    family: destination.includes(":") ? "IPv6" : "IPv4",
    destination: { address: destination, port: Number(destinationPort) },
    answeredBy: { address: answeredBy, port: Number(answeredByPort) },
    isInZone: ZONE.test(line),
    isReversed: false,
  };
  if (isTranslated(flow) || answered !== source || answeredPort !== sourcePort) return [flow];
  const first: Socket = { address: source, port: Number(sourcePort) };
  return [flow, { ...flow, destination: first, answeredBy: first, isReversed: true }];
}

/** Whether the destination was translated. */
export function isTranslated({ destination, answeredBy }: UdpFlow): boolean {
  return destination.address !== answeredBy.address || destination.port !== answeredBy.port;
}

/** Text of a socket, by which sockets are compared. */
export function socketText({ address, port }: Socket): string {
  return `${address} ${port}`;
}
