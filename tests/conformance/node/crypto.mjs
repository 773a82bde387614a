// What SPEC.md section 8 computes, from node:crypto alone.

import { createHash, createPrivateKey, createPublicKey, sign as signWith } from "node:crypto";
import { pack } from "./msgpack.mjs";

// RFC 8410: a 32-byte secret as PKCS #8, for Ed25519 (1.3.101.112) and X25519 (1.3.101.110).
const ED25519 = Buffer.from("302e020100300506032b657004220420", "hex");
const X25519 = Buffer.from("302e020100300506032b656e04220420", "hex");
const DOMAIN = "chappe/v1/";
const BUCKETS = [256, 1024, 4096, 16384, 65536];
const SAFETY_ROUNDS = 5200;

const key = (prefix, secret) => createPrivateKey({ key: Buffer.concat([prefix, secret]), format: "der", type: "pkcs8" });
// The raw public key is the tail of its SubjectPublicKeyInfo.
const publicOf = (secret) => createPublicKey(secret).export({ format: "der", type: "spki" }).subarray(-32);

export const bytesOf = (value) => (typeof value === "string" ? Buffer.from(value, "utf8") : value);
export const cat = (...parts) => Buffer.concat(parts.map(bytesOf));
export const H = (data) => createHash("sha256").update(bytesOf(data)).digest();

export function u64(number) {
  const out = Buffer.alloc(8);
  out.writeBigUInt64BE(BigInt(number));
  return out;
}

function u32(number) {
  const out = Buffer.alloc(4);
  out.writeUInt32BE(number);
  return out;
}

/** SPEC.md 8.2. */
export const T = (label, ...parts) =>
  H(cat(...[bytesOf(DOMAIN + label), ...parts].flatMap((part) => [u32(part.length), part])));

export const publicKey = (seed) => publicOf(key(ED25519, seed));
export const inboxKey = (seed) => publicOf(key(X25519, seed));
export const sign = (seed, message) => signWith(null, message, key(ED25519, seed));
export const lower = (one, other) => (Buffer.compare(one, other) <= 0 ? one : other);
export const higher = (one, other) => (Buffer.compare(one, other) <= 0 ? other : one);

export const pairTopic = (one, other) => T("topic/pair", lower(one, other), higher(one, other));

/** 8.3: the chain hash after an entry. */
export const chainHash = (before, e) =>
  H(cat("chappe/v1/chain", before, u64(e.generation), u64(e.offset), u64(e.flags), u64(e.fence), e.account, e.device,
    e.message_id, H(e.header), H(e.body)));

export const chainStart = (topic) => T("chain", topic);

/** 8.4 */
export const authenticatedData = (a) =>
  T("bind", a.topic, a.message_id, cat(u64(a.flags), u64(a.ttl), u64(a.group), u64(a.fence)), a.header);

/** 8.5 */
export function publishDigest(a) {
  const [group, fence] = a.epoch ?? [0, 0];
  return T("publish", a.topic, cat(u64(a.flags), u64(a.ttl), u64(group), u64(fence)), a.header, a.body, a.bundle);
}

/** 8.6, without the label. */
export const challenge = (a) =>
  pack([a.cluster, a.relay_nonce, a.client_nonce, a.version, a.account, a.device]);

export const signChallenge = (seed, message) => sign(seed, cat("chappe/v1/login", Buffer.alloc(1), message));

/** 8.7: a list as published, signed by the rightful key. */
export function signList(seed, list) {
  const body = pack(list);
  const signature = sign(seed, cat("chappe/v1/device-list", Buffer.alloc(1), body));
  return pack([body, publicKey(seed), signature, Buffer.alloc(0)]);
}

function digits(account) {
  let digest = cat("chappe/v1/safety-number", Buffer.alloc(1), account);
  for (let round = 0; round < SAFETY_ROUNDS; round += 1) {
    digest = createHash("sha512").update(digest).update(account).digest();
  }
  return Array.from({ length: 6 }, (_, group) =>
    String(digest.readUIntBE(5 * group, 5) % 100000).padStart(5, "0")).join("");
}

/** 8.8 */
export const safetyNumber = (one, other) => [digits(one), digits(other)].sort().join("").match(/.{5}/g).join(" ");

/** 9.2 */
export function pad(data) {
  const size = BUCKETS.find((bucket) => bucket >= data.length + 4);
  return Buffer.concat([u32(data.length), data, Buffer.alloc(size - data.length - 4)]);
}
