// MessagePack as the protocol uses it: no floats, no extension types, integers up to 2^53-1 as numbers, bytes as Buffer.

const INT_MAX = Number.MAX_SAFE_INTEGER;

/** MessagePack that goes into a value as it is. */
export class Raw {
  constructor(data) { this.data = data; }
}

const utf8 = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function header(number, fix, fixMax, wider) {
  if (number <= fixMax) return Buffer.from([fix | number]);
  for (const [tag, bytes] of wider) {
    if (number < 2 ** (8 * bytes)) {
      const out = Buffer.alloc(1 + bytes);
      out[0] = tag;
      out.writeUIntBE(number, 1, bytes);
      return out;
    }
  }
  throw new RangeError(`${number} is too long`);
}

function packInteger(number) {
  if (!Number.isSafeInteger(number)) throw new RangeError(`${number} is no integer of the protocol`);
  if (number >= 0) {
    if (number < 0x100000000) return header(number, 0x00, 0x7f, [[0xcc, 1], [0xcd, 2], [0xce, 4]]);
    const out = Buffer.alloc(9);
    out[0] = 0xcf;
    out.writeBigUInt64BE(BigInt(number), 1);
    return out;
  }
  if (number >= -32) return Buffer.from([number & 0xff]);
  for (const [tag, bytes] of [[0xd0, 1], [0xd1, 2], [0xd2, 4]]) {
    if (number >= -(2 ** (8 * bytes - 1))) {
      const out = Buffer.alloc(1 + bytes);
      out[0] = tag;
      out.writeIntBE(number, 1, bytes);
      return out;
    }
  }
  const out = Buffer.alloc(9);
  out[0] = 0xd3;
  out.writeBigInt64BE(BigInt(number), 1);
  return out;
}

/** Shortest form of a value: null, boolean, integer, string, Buffer, array, plain object (a map) or Raw. */
export function pack(value) {
  if (value === null || value === undefined) return Buffer.from([0xc0]);
  if (typeof value === "boolean") return Buffer.from([value ? 0xc3 : 0xc2]);
  if (typeof value === "number") return packInteger(value);
  if (typeof value === "string") {
    const text = Buffer.from(value, "utf8");
    return Buffer.concat([header(text.length, 0xa0, 31, [[0xd9, 1], [0xda, 2], [0xdb, 4]]), text]);
  }
  if (value instanceof Raw) return value.data;
  if (value instanceof Uint8Array) {
    return Buffer.concat([header(value.length, 0, -1, [[0xc4, 1], [0xc5, 2], [0xc6, 4]]), value]);
  }
  if (Array.isArray(value)) {
    return Buffer.concat([header(value.length, 0x90, 15, [[0xdc, 2], [0xdd, 4]]), ...value.map(pack)]);
  }
  const entries = Object.entries(value);
  const parts = entries.flatMap(([key, item]) => [pack(key), pack(item)]);
  return Buffer.concat([header(entries.length, 0x80, 15, [[0xde, 2], [0xdf, 4]]), ...parts]);
}

class Reader {
  constructor(data) { this.data = data; this.at = 0; }

  take(count) {
    if (this.at + count > this.data.length) throw new RangeError("MessagePack ends too early");
    this.at += count;
    return this.data.subarray(this.at - count, this.at);
  }

  unsigned(bytes) {
    if (bytes < 8) return this.take(bytes).readUIntBE(0, bytes);
    const number = this.take(8).readBigUInt64BE(0);
    if (number > BigInt(INT_MAX)) throw new RangeError("an integer beyond 2^53-1");
    return Number(number);
  }

  signed(bytes) {
    if (bytes < 8) return this.take(bytes).readIntBE(0, bytes);
    const number = this.take(8).readBigInt64BE(0);
    if (number > BigInt(INT_MAX) || number < -BigInt(INT_MAX)) throw new RangeError("an integer beyond ±(2^53-1)");
    return Number(number);
  }

  many(count) {
    // Every item takes a byte at least: a lying length costs nothing.
    if (count > this.data.length - this.at) throw new RangeError("MessagePack ends too early");
    return Array.from({ length: count }, () => this.value());
  }

  map(count) {
    const result = {};
    for (let number = 0; number < count; number += 1) {
      const key = this.value();
      if (typeof key !== "string" || Object.hasOwn(result, key)) throw new RangeError("a key that is no text, or twice");
      Object.defineProperty(result, key, { value: this.value(), enumerable: true, configurable: true, writable: true });
    }
    return result;
  }

  value() {
    const tag = this.take(1)[0];
    if (tag <= 0x7f) return tag;
    if (tag <= 0x8f) return this.map(tag & 0x0f);
    if (tag <= 0x9f) return this.many(tag & 0x0f);
    if (tag <= 0xbf) return utf8.decode(this.take(tag & 0x1f));
    if (tag >= 0xe0) return tag - 0x100;
    switch (tag) {
      case 0xc0: return null;
      case 0xc2: return false;
      case 0xc3: return true;
      case 0xc4: case 0xc5: case 0xc6: return Buffer.from(this.take(this.unsigned(2 ** (tag - 0xc4))));
      case 0xcc: case 0xcd: case 0xce: case 0xcf: return this.unsigned(2 ** (tag - 0xcc));
      case 0xd0: case 0xd1: case 0xd2: case 0xd3: return this.signed(2 ** (tag - 0xd0));
      case 0xd9: case 0xda: case 0xdb: return utf8.decode(this.take(this.unsigned(2 ** (tag - 0xd9))));
      case 0xdc: case 0xdd: return this.many(this.unsigned(2 * (tag - 0xdb)));
      case 0xde: case 0xdf: return this.map(this.unsigned(2 * (tag - 0xdd)));
      default: throw new RangeError(`type 0x${tag.toString(16)} is not used`);
    }
  }
}

/** One value; throws a RangeError or TypeError on anything else. */
export function unpack(data) {
  const reader = new Reader(data);
  const value = reader.value();
  if (reader.at !== data.length) throw new RangeError("bytes after the value");
  return value;
}
