/** Pieces of a message as the server writes them: big-endian, names ended by a zero. */

export function wire(...pieces: readonly (string | Uint8Array)[]): Uint8Array {
  const parts = pieces.map((piece) => typeof piece === "string" ? utf8.encode(piece) : piece);
  const bytes = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
  let at = 0;
  for (const part of parts) {
    bytes.set(part, at);
    at += part.length;
  }
  return bytes;
}

export function u8(value: number): Uint8Array {
  return Uint8Array.of(value);
}

export function u16(value: number): Uint8Array {
  return filled(2, (view) => view.setUint16(0, value));
}

export function u32(value: number): Uint8Array {
  return filled(4, (view) => view.setUint32(0, value));
}

export function u64(value: bigint): Uint8Array {
  return filled(8, (view) => view.setBigUint64(0, value));
}

/** A name without a zero in it. */
export function name(text: string): Uint8Array {
  return wire(text, u8(0));
}

/** A column's text: "t", its length, its bytes. */
export function text(value: string | Uint8Array): Uint8Array {
  const bytes = wire(value);
  return wire("t", u32(bytes.length), bytes);
}

function filled(length: number, fill: (view: DataView) => void): Uint8Array {
  const bytes = new Uint8Array(length);
  fill(new DataView(bytes.buffer));
  return bytes;
}

const utf8 = new TextEncoder();
