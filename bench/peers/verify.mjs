// What `jose` for Node needs to check an access token: nanoseconds of processor time a call, as one JSON object.
// Usage: node verify.mjs FIXTURES SECONDS, with the file that `verify --fixtures` writes.
import { readFileSync } from "node:fs";
import { importJWK, jwtVerify } from "jose";

const SLICES = 15;
const fixtures = JSON.parse(readFileSync(process.argv[2], "utf8"));
const slice = (Number(process.argv[3]) * 1e6) / SLICES;
const key = await importJWK(fixtures.jwks.keys[0], "ES256");
const check = (number) =>
  jwtVerify(fixtures.tokens[number % fixtures.tokens.length], key, {
    issuer: fixtures.issuer,
    audience: fixtures.resource,
    typ: "at+jwt",
  });

await check(0);
const figures = [];
let number = 1;
for (let round = 0; round < SLICES; round += 1) {
  const started = process.cpuUsage();
  let count = 0;
  let spent = 0;
  while (spent < slice) {
    for (let call = 0; call < 20; call += 1) await check(number++);
    count += 20;
    const used = process.cpuUsage(started);
    spent = used.user + used.system;
  }
  figures.push((spent * 1000) / count);
}
figures.sort((a, b) => a - b);
console.log(JSON.stringify({ "jose (Node)": figures[Math.floor(SLICES / 2)] }));
