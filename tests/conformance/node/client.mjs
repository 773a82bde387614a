// A client of Chappe's wire protocol in plain JavaScript: Node 20 or newer, no packages.
//
//   node tests/conformance/node/client.mjs [ws://HOST:PORT/ws]
//
// checks every byte vector, and with a URL runs the conformance script against the relay there. Exit code 1 if
// anything failed. The last line is JSON: how many passed and failed.

import { readFileSync } from "node:fs";
import { runScript } from "./script.mjs";
import { checkVectors } from "./vectors.mjs";

const read = (name) => JSON.parse(readFileSync(new URL(`../../vectors/${name}`, import.meta.url), "utf8"));

function report(results) {
  for (const [name, why] of results) console.log(why ? `FAIL ${name}: ${why}` : `PASS ${name}`);
  const failed = results.filter(([, why]) => why).length;
  return { passed: results.length - failed, failed };
}

const url = process.argv[2];
const counts = { vectors: report(checkVectors(read("frames.json"))) };
if (url) counts.cases = report(await runScript(read("conformance.json"), url));
console.log(JSON.stringify(counts));
process.exitCode = Object.values(counts).some(({ passed, failed }) => failed || !passed) ? 1 : 0;
