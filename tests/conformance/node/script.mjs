// Runs tests/vectors/conformance.json against a relay.

import { isDeepStrictEqual } from "node:util";
import { pack, unpack } from "./msgpack.mjs";
import { Mismatch, Scope, show } from "./values.mjs";
import { WebSocket } from "./websocket.mjs";

const SUBPROTOCOL = "chappe.v1";
const WAIT_MS = 20_000;
const INFO = 1, ERR = 4, PING = 5, PONG = 6, EVT = 16, BYE = 17, EXTENSION_MIN = 64;
const ANYTIME = [INFO, PING, EVT]; // may come at any time: passed over unless it is what is expected

/** A procedure's steps with its parameters in place of %name. */
function filled(source, values) {
  if (Array.isArray(source)) return source.map((item) => filled(item, values));
  if (typeof source === "object" && source !== null) {
    return Object.fromEntries(Object.entries(source).map(([key, item]) => [filled(key, values), filled(item, values)]));
  }
  if (typeof source !== "string" || !source.includes("%")) return source;
  if (Object.hasOwn(values, source.slice(1))) return values[source.slice(1)];
  const names = Object.keys(values).sort((one, other) => other.length - one.length);
  return names.reduce((text, name) => text.replaceAll(`%${name}`, () => String(values[name])), source);
}

/** Steps with all procedures written out. */
function flat(steps, procedures) {
  return steps.flatMap((step) => {
    if (!("do" in step)) return [step];
    const { do: name, ...values } = step;
    return flat(filled(procedures[name], values), procedures);
  });
}

class Case {
  #scope = new Scope();
  #open = new Map();

  constructor(url) { this.url = url; }

  async step(step) {
    const [kind, name] = Object.entries(step)[0];
    switch (kind) {
      case "open": this.#open.set(name, await WebSocket.open(this.url, SUBPROTOCOL)); break;
      case "close": await this.#open.get(name).close(WAIT_MS); break;
      case "set":
        for (const [key, value] of Object.entries(name)) this.#scope.names.set(key, this.#scope.value(value));
        break;
      case "equal": case "differ": {
        const [one, other] = this.#scope.value(name);
        if (isDeepStrictEqual(one, other) === (kind === "differ")) {
          throw new Mismatch(`${show(one)} and ${show(other)} should ${kind}`);
        }
        break;
      }
      case "send": this.#send(name, step); break;
      case "ask": await this.#ask(name, step); break;
      case "expect": await this.#expect(name, step); break;
      default: throw new Error(`the script has a step "${kind}", which is unknown`);
    }
  }

  #send(name, step) {
    const socket = this.#open.get(name);
    if ("text" in step) socket.sendText(step.text);
    else socket.send("bytes" in step ? this.#scope.value(step.bytes) : pack(this.#scope.value(step.frame)));
  }

  async #ask(name, step) {
    for (;;) {
      this.#send(name, step);
      const frame = await this.#receive(name, [step.is[0]]);
      const waitsMs = frame[0] === ERR ? frame[4] ?? null : null;
      if (!step.patiently || waitsMs === null) {
        this.#scope.match(step.is, frame);
        return;
      }
      await new Promise((resolve) => { setTimeout(resolve, waitsMs); });
    }
  }

  async #expect(name, step) {
    if ("end" in step) {
      await this.#expectEnd(name, step.end);
    } else if ("unordered" in step) {
      const left = [...step.unordered];
      while (left.length) {
        const frame = await this.#receive(name, left.map((pattern) => pattern[0]));
        const found = left.findIndex((pattern) => this.#scope.fits(pattern, frame));
        if (found < 0) throw new Mismatch(`${show(frame)} is none of the ${left.length} that were still expected`);
        left.splice(found, 1);
      }
    } else {
      this.#scope.match(step.frame, await this.#receive(name, [step.frame[0]], step.past ?? []));
    }
  }

  /** The next frame that is of a wanted type, or that may not be passed over (those of `past` may). */
  async #receive(name, wanted, past = []) {
    for (;;) {
      const got = await this.#open.get(name).receive(WAIT_MS);
      if (got === null) throw new Mismatch(`nothing came in ${WAIT_MS} ms where frame ${wanted} was expected`);
      if (!got.message) throw new Mismatch(`${JSON.stringify(got)} where frame ${wanted} was expected`);
      const frame = unpack(got.message);
      if (!Array.isArray(frame) || !Number.isSafeInteger(frame[0])) throw new Mismatch(`not a frame: ${show(frame)}`);
      if (frame[0] === PING) this.#open.get(name).send(pack([PONG, ...frame.slice(1, 2)]));
      const maySkip = ANYTIME.includes(frame[0]) || past.includes(frame[0]) || frame[0] >= EXTENSION_MIN;
      if (wanted.includes(frame[0]) || !maySkip) return frame;
    }
  }

  async #expectEnd(name, end) {
    if (end.bye !== null) this.#scope.match([BYE, end.bye], await this.#receive(name, [BYE]));
    let got = await this.#open.get(name).receive(WAIT_MS);
    while (end.bye === null && got?.message && ANYTIME.includes(unpack(got.message)[0])) { // was on its way to us
      got = await this.#open.get(name).receive(WAIT_MS);
    }
    if (got?.close !== (end.websocket ?? end.bye)) throw new Mismatch(`not closed as it should be: ${show(got)}`);
  }

  finish() { for (const socket of this.#open.values()) socket.destroy(); }
}

/** Run every case, one after the other; returns [name, why] with an empty `why` where it passed. */
export async function runScript(script, url) {
  const results = [];
  for (const { name, steps } of script.cases) {
    const running = new Case(url);
    const all = flat(steps, script.procedures);
    let at = 0;
    let why = "";
    try {
      for (; at < all.length; at += 1) await running.step(all[at]);
    } catch (error) {
      const text = error instanceof Mismatch ? error.message : error.stack;
      why = `step ${at + 1} of ${all.length}, ${JSON.stringify(all[at]).slice(0, 300)}: ${text}`;
    } finally {
      running.finish();
    }
    results.push([name, why]);
  }
  return results;
}
