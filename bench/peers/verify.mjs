// What `jose` for Node needs to check an access token: nanoseconds of processor time a call, as one JSON object.
// Usage: node verify.mjs FIXTURES SECONDS [VERIFY], with the file that `verify --fixtures` writes. With the program VERIFY, each
// round begins with the bare signature check of aws-lc over the same tokens, and the ratio to it goes to standard error.
import { execFileSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { importJWK, jwtVerify } from "jose";

const CALLS = 200;
const RAW = "raw ES256, tokens never seen";
const [file, seconds, program] = process.argv.slice(2);
const fixtures = JSON.parse(readFileSync(file, "utf8"));
const key = await importJWK(fixtures.jwks.keys[0], "ES256");
const expected = { issuer: fixtures.issuer, audience: fixtures.resource, typ: "at+jwt" };
const median = (values) => values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)];

let number = 0;
async function measure() {
  const started = process.cpuUsage();
  for (let call = 0; call < CALLS; call += 1) {
    await jwtVerify(fixtures.tokens[number % fixtures.tokens.length], key, expected);
    number += 1;
  }
  const used = process.cpuUsage(started);
  return ((used.user + used.system) * 1000) / CALLS;
}

// Compiled and optimised before it counts.
for (let round = 0; round < 10; round += 1) await measure();
const figures = [];
const ratios = [];
// A call takes about 0.1 ms.
for (let round = 0; round < Math.max(3, Math.round((Number(seconds) * 1e4) / CALLS)); round += 1) {
  const raw = program && JSON.parse(execFileSync(program, ["--raw", file]))[RAW];
  figures.push(await measure());
  if (raw) ratios.push(figures.at(-1) / raw);
}
if (program) console.error(`${(median(figures) / 1e3).toFixed(2)} µs ${median(ratios).toFixed(3)}  jose (Node)`);
console.log(JSON.stringify({ "jose (Node)": median(figures) }));
