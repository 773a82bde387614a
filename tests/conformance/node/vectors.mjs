// Every byte vector of tests/vectors/frames.json, computed from SPEC.md alone.

import { isDeepStrictEqual } from "node:util";
import * as c from "./crypto.mjs";
import { pack, unpack } from "./msgpack.mjs";

const hex = (text) => Buffer.from(text, "hex");

/** "hex:…" is bytes, everything else as JSON has it. */
export function plain(value) {
  if (Array.isArray(value)) return value.map(plain);
  return typeof value === "string" && value.startsWith("hex:") ? hex(value.slice(4)) : value;
}

const DERIVED = {
  "topic of a pair": (a) => c.pairTopic(a.one, a.other),
  "topic of a group": (a) => c.T("topic/group", a.creator, a.nonce),
  "topic of an inbox": (a) => c.T("topic/inbox", a.account),
  "topic of the own devices": (a) => c.T("topic/self", a.account),
  "topic of a feed": (a) => c.T("topic/feed", a.account),
  "first chain hash": (a) => c.chainHash(c.chainStart(a.topic), a),
  "authenticated data": c.authenticatedData,
  "publish digest": c.publishDigest,
  "login challenge": c.challenge,
  "login signature": (a) => c.signChallenge(a.seed, a.challenge),
  "signed device list": (a) => c.signList(a.seed, a.list),
  "safety number": (a) => c.safetyNumber(a.one, a.other),
  "content of a chat.text": (a) => pack({ t: "chat.text", b: { text: a.text }, seen: a.seen }),
  padded: (a) => c.pad(a.data),
};

function checkFrame({ fields, bytes }) {
  const wanted = plain(fields);
  if (!isDeepStrictEqual(unpack(hex(bytes)), wanted)) return "decodes to something else";
  return pack(wanted).toString("hex") === bytes ? "" : "encodes to other bytes";
}

const kind = (value) => (Array.isArray(value) ? "array" : Buffer.isBuffer(value) ? "bytes" : typeof value);

/** What an earlier version sent decodes for ever: no more fields than today's, and of the same kinds (or nil). */
function checkOlder(name, bytes, frames) {
  const value = unpack(hex(bytes));
  const today = plain(frames[name].fields);
  if (!Array.isArray(value) || value.length > today.length) return "is no array, or has more fields than today";
  const odd = value.findIndex((item, at) => item !== null && today[at] !== null && kind(item) !== kind(today[at]));
  return odd < 0 ? "" : `field ${odd} is of another kind than today`;
}

function checkDerived(name, vector) {
  const compute = DERIVED[name];
  if (!compute) return "this client does not know how it is computed";
  const given = Object.fromEntries(Object.entries(vector.arguments).map(([key, value]) => [key, plain(value)]));
  const result = compute(given);
  const text = typeof result === "string" ? result : result.toString("hex");
  return text === vector.result ? "" : `computes to ${text.slice(0, 80)}`;
}

function attempt(check) {
  try {
    return check();
  } catch (error) {
    return String(error);
  }
}

/** Check all; returns [name, why] with an empty `why` where it passed. */
export function checkVectors(vectors) {
  const results = [];
  for (const [name, vector] of Object.entries(vectors.frames)) {
    results.push([`frame ${name}`, attempt(() => checkFrame(vector))]);
  }
  for (const [name, bytes] of vectors.older) {
    results.push([`older ${name}`, attempt(() => checkOlder(name, bytes, vectors.frames))]);
  }
  for (const [name, vector] of Object.entries(vectors.derived)) {
    results.push([`derived ${name}`, attempt(() => checkDerived(name, vector))]);
  }
  return results;
}
