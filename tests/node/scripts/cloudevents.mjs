// Reads events as the SDK of CloudEvents does in strict mode: cloudevents.mjs EVENTS.json
import { readFileSync } from "node:fs";
import { CloudEvent } from "cloudevents";

const events = JSON.parse(readFileSync(process.argv[2]));
for (const event of events) {
  const read = new CloudEvent(event, true);
  if (read.dataschema !== event.dataschema) throw new Error(`${event.type}: ${read.dataschema}`);
}
console.log(`${events.length} events`);
