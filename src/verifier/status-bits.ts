const WIDTHS = [1, 2, 4, 8] as const;

/** Bits of one entry of a status list (draft-ietf-oauth-status-list §4.1). */
export function isSupportedWidth(bits: unknown): bits is 1 | 2 | 4 | 8 {
  return (WIDTHS as readonly unknown[]).includes(bits);
}

/** The first entry is the lowest bits of the first byte. @returns undefined beyond the end. */
export function statusAt(list: Uint8Array, width: number, index: number): number | undefined {
  const perByte = 8 / width;
  const byte = list[Math.floor(index / perByte)];
  if (byte === undefined) return undefined;
  return (byte >> ((index % perByte) * width)) & (2 ** width - 1);
}

/**
 * Unpacks ZLIB (RFC 1950) while counting: a kilobyte can stand for a megabyte, and a megabyte for a gigabyte.
 *
 * @param packed base64url
 * @param limit bytes
 * @throws TypeError for what is no ZLIB or unpacks to more.
 */
export async function inflateBounded(packed: string, limit: number): Promise<Uint8Array> {
  const compressed = bytesOf(packed);
  const source = new ReadableStream<Uint8Array<ArrayBuffer>>({
    start(controller) {
      controller.enqueue(compressed);
      controller.close();
    },
  });
  const reader = source.pipeThrough(new DecompressionStream('deflate')).getReader();
  const whole = new Uint8Array(limit);
  let size = 0;
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return whole.slice(0, size);
    if (size + value.byteLength > limit) {
      await reader.cancel().catch(() => undefined);
      throw new TypeError(`a status list of more than ${limit} bytes`);
    }
    whole.set(value, size);
    size += value.byteLength;
  }
}

function bytesOf(base64url: string): Uint8Array<ArrayBuffer> {
  const text = atob(base64url.replaceAll('-', '+').replaceAll('_', '/'));
  return Uint8Array.from(text, character => character.charCodeAt(0));
}
