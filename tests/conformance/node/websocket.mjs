// A client of RFC 6455 over node:net: enough for one relay, strict about what it receives.

import { createHash, randomBytes } from "node:crypto";
import { connect } from "node:net";

const GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"; // RFC 6455 section 1.3
const TEXT = 0x1, BINARY = 0x2, CONTINUATION = 0x0, CLOSE = 0x8, PING = 0x9, PONG = 0xa;
const NO_CODE = 1005, ABNORMAL = 1006; // section 7.4.1

export class WebSocket {
  #socket;
  #data = Buffer.alloc(0);
  #parts = [];
  #arrived = []; // messages, and at last the close code
  #waiting = [];
  #closeSent = false;

  /** Connects and shakes hands. Rejects where the server does not accept. */
  static async open(url, subprotocol) {
    const { hostname, port, pathname, protocol } = new URL(url);
    if (protocol !== "ws:") throw new Error(`${url}: only ws:// is spoken here`);
    const self = new WebSocket();
    const socket = connect({ host: hostname, port: Number(port || 80), noDelay: true });
    self.#socket = socket;
    const nonce = randomBytes(16).toString("base64");
    const answer = new Promise((resolve, reject) => {
      socket.once("error", reject);
      socket.once("close", () => reject(new Error("closed before the handshake was over")));
      const read = (part) => {
        self.#data = Buffer.concat([self.#data, part]);
        const end = self.#data.indexOf("\r\n\r\n");
        if (end < 0) return;
        socket.off("data", read);
        resolve(self.#data.subarray(0, end).toString("latin1"));
        self.#data = self.#data.subarray(end + 4);
      };
      socket.on("data", read);
    });
    socket.write(
      `GET ${pathname} HTTP/1.1\r\nHost: ${hostname}:${port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n` +
        `Sec-WebSocket-Key: ${nonce}\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Protocol: ${subprotocol}\r\n\r\n`,
    );
    self.#checkHandshake(await answer, nonce, subprotocol);
    socket.removeAllListeners("error").removeAllListeners("close");
    socket.on("error", () => {});
    socket.on("data", (part) => self.#read(part));
    socket.on("close", () => self.#arrive({ close: ABNORMAL }));
    self.#read(Buffer.alloc(0)); // what came in one packet with the handshake
    return self;
  }

  #checkHandshake(text, nonce, subprotocol) {
    const [status, ...lines] = text.split("\r\n");
    const fields = new Map(lines.map((line) => line.split(/:\s*/, 2)).map(([name, value]) => [name.toLowerCase(), value]));
    const accept = createHash("sha1").update(nonce + GUID).digest("base64");
    const good = status.startsWith("HTTP/1.1 101") && fields.get("sec-websocket-accept") === accept;
    if (!good || fields.get("sec-websocket-protocol") !== subprotocol) throw new Error(`no websocket: ${status}`);
  }

  #read(part) {
    this.#data = this.#data.length ? Buffer.concat([this.#data, part]) : part;
    while (this.#readFrame());
  }

  /** One frame of the server, section 5.2; false where it has not all come yet. */
  #readFrame() {
    const data = this.#data;
    if (data.length < 2) return false;
    const short = data[1] & 0x7f;
    const start = 2 + (short === 126 ? 2 : short === 127 ? 8 : 0);
    if (data.length < start) return false;
    const size = short === 126 ? data.readUInt16BE(2) : short === 127 ? Number(data.readBigUInt64BE(2)) : short;
    if (data.length < start + size) return false;
    this.#data = data.subarray(start + size);
    if (data[0] & 0x70 || data[1] & 0x80) this.#fail("a reserved bit, or a masked frame of a server");
    else this.#take(data[0] & 0x0f, Boolean(data[0] & 0x80), data.subarray(start, start + size));
    return true;
  }

  #take(opcode, isLast, payload) {
    if (opcode === CLOSE) {
      if (!this.#closeSent) this.#write(CLOSE, payload.subarray(0, 2));
      this.#closeSent = true;
      this.#arrive({ close: payload.length >= 2 ? payload.readUInt16BE(0) : NO_CODE });
      this.#socket.end();
    } else if (opcode === PING) {
      this.#write(PONG, payload);
    } else if (opcode === BINARY || opcode === CONTINUATION) {
      this.#parts.push(payload);
      if (isLast) {
        this.#arrive({ message: Buffer.concat(this.#parts) });
        this.#parts = [];
      }
    } else if (opcode !== PONG) {
      this.#fail(`a frame of type ${opcode}`);
    }
  }

  #fail(why) {
    this.#arrive({ error: why });
    this.#socket.destroy();
  }

  #arrive(item) {
    this.#arrived.push(item);
    this.#waiting.splice(0).forEach((wake) => wake());
  }

  /** The next message ({message}), or how it ended ({close} or {error}, again and again); null after `ms`. */
  async receive(ms) {
    const until = Date.now() + ms;
    while (!this.#arrived.length) {
      const left = until - Date.now();
      if (left <= 0) return null;
      let timer;
      await Promise.race([
        new Promise((resolve) => this.#waiting.push(resolve)),
        new Promise((resolve) => { timer = setTimeout(resolve, left); }),
      ]);
      clearTimeout(timer);
    }
    return "message" in this.#arrived[0] ? this.#arrived.shift() : this.#arrived[0];
  }

  /** Frames of a client are masked, section 5.3. */
  #write(opcode, payload) {
    const size = payload.length;
    const wide = size < 126 ? 0 : size < 65536 ? 2 : 8;
    const head = Buffer.alloc(2 + wide + 4);
    head[0] = 0x80 | opcode;
    head[1] = 0x80 | (wide === 0 ? size : wide === 2 ? 126 : 127);
    if (wide === 2) head.writeUInt16BE(size, 2);
    if (wide === 8) head.writeBigUInt64BE(BigInt(size), 2);
    const mask = randomBytes(4);
    mask.copy(head, 2 + wide);
    const masked = Buffer.from(payload);
    for (let at = 0; at < size; at += 1) masked[at] ^= mask[at & 3];
    this.#socket.write(Buffer.concat([head, masked]));
  }

  send(data) { this.#write(BINARY, data); }
  sendText(text) { this.#write(TEXT, Buffer.from(text, "utf8")); }

  /** Say goodbye with 1000 and wait for the answer. */
  async close(ms) {
    this.#closeSent = true;
    this.#write(CLOSE, Buffer.from([0x03, 0xe8]));
    while ((await this.receive(ms))?.message);
    this.#socket.destroy();
  }

  destroy() { this.#socket.destroy(); }
}
