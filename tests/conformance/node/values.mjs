// The values and patterns of tests/vectors/conformance.json, as protocol/CONFORMANCE.md describes them.

import { randomBytes } from "node:crypto";
import { isDeepStrictEqual } from "node:util";
import * as c from "./crypto.mjs";
import { Raw, pack, unpack } from "./msgpack.mjs";

/** Something is not as the script says. */
export class Mismatch extends Error {}

const isArray = Array.isArray;
const isObject = (value) => typeof value === "object" && value !== null && !isArray(value) && !Buffer.isBuffer(value);

/** A value as the script would have it, for messages. */
export function show(value) {
  if (Buffer.isBuffer(value)) return `hex:${value.toString("hex").slice(0, 80)}`;
  if (isArray(value)) return `[${value.map(show).join(", ")}]`;
  return String(JSON.stringify(value)).slice(0, 200);
}

// With one argument:
const UNARY = {
  H: c.H,
  u64: c.u64,
  pack,
  raw: (data) => new Raw(data),
  public: c.publicKey,
  random: (size) => randomBytes(size),
  zeros: (size) => Buffer.alloc(size),
};

// With an array of arguments:
const NARY = {
  cat: c.cat,
  T: c.T,
  sign: c.sign,
  lower: c.lower,
  higher: c.higher,
  add: (...numbers) => numbers.reduce((sum, number) => sum + number, 0),
  times: (count, value) => Array(count).fill(value),
};

const PERSON = {
  account: (seed) => c.publicKey(seed("root")),
  root_seed: (seed) => seed("root"),
  device: (seed) => c.publicKey(seed("device")),
  device_seed: (seed) => seed("device"),
  inbox: (seed) => c.inboxKey(seed("inbox")),
};

/** The variables of one case. Every run has people, ids and nonces of its own. */
export class Scope {
  constructor() {
    this.names = new Map([["run", randomBytes(16)], ["now", Date.now()]]);
  }

  /** What a value of the script means here. */
  value(source) {
    if (isArray(source)) return source.map((item) => this.value(item));
    if (isObject(source)) {
      const [[name, argument]] = Object.entries(source);
      return this.#call(name, this.value(argument));
    }
    if (typeof source === "string" && source.startsWith("hex:")) return Buffer.from(source.slice(4), "hex");
    if (typeof source === "string" && source.startsWith("$")) return this.#variable(source.slice(1));
    return source;
  }

  #call(name, argument) {
    if (name === "id") {
      const [label, shift] = isArray(argument) ? argument : [argument, 0];
      const when = Buffer.alloc(6);
      when.writeUIntBE(this.names.get("now") + shift, 0, 6);
      return c.cat(when, c.H(c.cat(this.names.get("run"), `id/${label}`)).subarray(0, 10));
    }
    if (name === "handle") return `${argument}-${this.names.get("run").toString("hex").slice(0, 16)}`;
    if (Object.hasOwn(UNARY, name)) return UNARY[name](argument);
    if (Object.hasOwn(NARY, name)) return NARY[name](...argument);
    throw new Error(`the script calls ${name}, which is unknown`);
  }

  #variable(name) {
    if (this.names.has(name)) return this.names.get(name);
    const [person, part] = name.split(".");
    if (!part || !Object.hasOwn(PERSON, part)) throw new Error(`the script names ${name}, which is unknown`);
    return PERSON[part]((label) => c.H(c.cat(this.names.get("run"), person, "/", label)));
  }

  /** Compare and capture; throws a Mismatch. */
  match(pattern, value, where = "frame") {
    if (isArray(pattern)) {
      if (!isArray(value)) throw new Mismatch(`${where} is ${show(value)}, not an array`);
      pattern.forEach((item, at) => this.match(item, value[at] ?? null, `${where}[${at}]`));
    } else if (isObject(pattern) && Object.hasOwn(RULES, Object.keys(pattern)[0])) {
      RULES[Object.keys(pattern)[0]](this, pattern, value, where);
    } else if (pattern !== "*") {
      const wanted = this.value(pattern);
      demand(isDeepStrictEqual(value, wanted), where, value, show(wanted));
    }
  }

  /** Whether it matches. */
  fits(pattern, value) {
    try {
      this.match(pattern, value);
      return true;
    } catch (error) {
      if (error instanceof Mismatch) return false;
      throw error;
    }
  }
}

function demand(fits, where, value, wanted) {
  if (!fits) throw new Mismatch(`${where} is ${show(value)}, not ${wanted}`);
}

const isEmpty = (value) => [null, 0, false, ""].includes(value) || value.length === 0;

const RULES = {
  let: (scope, pattern, value, where) => {
    scope.match(pattern.is ?? "*", value, where);
    scope.names.set(pattern.let, value);
  },
  exactly: (scope, { exactly }, value, where) => {
    demand(isArray(value) && value.length === exactly.length, where, value, `an array of ${exactly.length}`);
    scope.match(exactly, value, where);
  },
  default: (scope, pattern, value, where) => demand(isEmpty(value), where, value, "left out or empty"),
  bytes: (scope, { bytes }, value, where) =>
    demand(Buffer.isBuffer(value) && value.length === bytes, where, value, `${bytes} bytes`),
  at_least: (scope, { at_least }, value, where) => {
    const least = scope.value(at_least);
    demand(Number.isSafeInteger(value) && value >= least, where, value, `an integer from ${least} up`);
  },
  has: (scope, { has }, value, where) => {
    const wanted = scope.value(has);
    const found = isArray(value) && value.some((item) => isDeepStrictEqual(item, wanted));
    demand(found, where, value, `an array with ${show(wanted)}`);
  },
  unpacked: (scope, { unpacked }, value, where) => {
    demand(Buffer.isBuffer(value), where, value, "bytes");
    scope.match(unpacked, unpack(value), `${where} unpacked`);
  },
};
