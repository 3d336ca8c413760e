/**
 * HTTP/2 frame by frame, for tests that say what no library of clients or servers would: frames as bytes, and the frames that
 * arrive.
 *
 * Source: RFC 9113 (frames), RFC 7541 (header fields; only literals that enter no table).
 * @module
 */

/** Types of frames, by their names. */
export const FrameType = { DATA: 0, HEADERS: 1, RST_STREAM: 3, SETTINGS: 4, GOAWAY: 7 } as const;

const FLAG_ACK = 1;
const FLAG_END_STREAM = 1;
const FLAG_END_HEADERS = 4;

const FRAME_HEADER_BYTES = 9;

/** What a client says first. */
export const CLIENT_PREFACE: Uint8Array = concatenate([
  new TextEncoder().encode("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"),
  frame(FrameType.SETTINGS, 0, 0),
]);

/** What a server says first. */
export const SERVER_PREFACE: Uint8Array = frame(FrameType.SETTINGS, 0, 0);

/** The answer to SETTINGS. */
export const SETTINGS_ACK: Uint8Array = frame(FrameType.SETTINGS, FLAG_ACK, 0);

/** A field; its name and value are not looked at. */
export type Field = readonly [name: string, value: string];

/** A whole request or response without a body. */
export function headersFrame(stream: number, fields: readonly Field[]): Uint8Array {
  return frame(FrameType.HEADERS, FLAG_END_STREAM | FLAG_END_HEADERS, stream, fields.flatMap(literal));
}

/** A literal field without indexing; texts are ASCII and shorter than 127. */
function literal(field: Field): number[] {
  return [0, ...field.flatMap((text) => [text.length, ...new TextEncoder().encode(text)])];
}

function frame(type: number, flags: number, stream: number, payload: readonly number[] = []): Uint8Array {
  const bytes = new Uint8Array(FRAME_HEADER_BYTES + payload.length);
  const view = new DataView(bytes.buffer);
  view.setUint16(1, payload.length);
  bytes[3] = type;
  bytes[4] = flags;
  view.setUint32(5, stream);
  bytes.set(payload, FRAME_HEADER_BYTES);
  return bytes;
}

/** A frame that arrived. */
export interface Frame {
  readonly type: number;
  readonly isAck: boolean;
  readonly stream: number;
  readonly text: string;
}

/** The frames that arrive, until the connection ends. @param skip So many bytes come before: the client's preface */
export async function* framesOf(connection: Deno.TcpConn, { skip = 0 } = {}): AsyncGenerator<Frame> {
  const buffer = new Uint8Array(64 * 1024);
  let bytes = new Uint8Array();
  let toSkip = skip;
  while (true) {
    const length = await connection.read(buffer);
    if (length === null) return;
    bytes = concatenate([bytes, buffer.subarray(0, length)]);
    const skipped = Math.min(toSkip, bytes.length);
    toSkip -= skipped;
    bytes = bytes.slice(skipped);
    while (bytes.length >= FRAME_HEADER_BYTES) {
      const view = new DataView(bytes.buffer);
      const end = FRAME_HEADER_BYTES + (view.getUint32(0) >>> 8);
      if (bytes.length < end) break;
      yield {
        type: bytes[3]!,
        isAck: (bytes[4]! & FLAG_ACK) !== 0,
        stream: view.getUint32(5),
        text: new TextDecoder().decode(bytes.subarray(FRAME_HEADER_BYTES, end)),
      };
      bytes = bytes.slice(end);
    }
  }
}

function concatenate(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const bytes = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}
