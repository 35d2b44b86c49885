// Appends with @event-driven-io/emmett-mongodb. Reads lines "<writers> <seconds>" and answers each
// with one line of JSON: {"seconds": …, "milliseconds": [one per append]}. Ends with its input.
import { randomUUID } from "node:crypto";
import { createRequire } from "node:module";
import { createInterface } from "node:readline";
import { pathToFileURL } from "node:url";

const [folder, uri, database, state] = process.argv.slice(2);
const find = createRequire(`${folder}/package.json`);
const load = (name) => import(pathToFileURL(find.resolve(name)));
const { getMongoDBEventStore } = await load("@event-driven-io/emmett-mongodb");
const { MongoClient } = await load("mongodb");

const client = await new MongoClient(uri).connect();
const store = getMongoDBEventStore({
  client,
  storage: { type: "COLLECTION_PER_STREAM_TYPE", databaseName: database },
});

async function write(until, milliseconds) {
  while (performance.now() < until) {
    const before = performance.now();
    const event = { type: "ticket.created", data: { state }, metadata: {} };
    await store.appendToStream(`ticket:${randomUUID()}`, [event]);
    milliseconds.push(performance.now() - before);
  }
}

for await (const line of createInterface({ input: process.stdin })) {
  const [writers, seconds] = line.split(" ").map(Number);
  const began = performance.now();
  const milliseconds = [];
  const until = began + seconds * 1000;
  await Promise.all(Array.from({ length: writers }, () => write(until, milliseconds)));
  console.log(JSON.stringify({ seconds: (performance.now() - began) / 1000, milliseconds }));
}
await client.close();
