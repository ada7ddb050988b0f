// Compiles schemas in strict mode and validates an example with each: schemas.mjs PAIRS.json
import { readFileSync } from "node:fs";
import Ajv2020 from "ajv/dist/2020.js";
import addFormats from "ajv-formats";

const pairs = JSON.parse(readFileSync(process.argv[2]));
for (const { schema, data } of pairs) {
  const ajv = new Ajv2020({ strict: true });
  addFormats(ajv);
  const validate = ajv.compile(schema);
  if (!validate(data)) throw new Error(`${schema.$id}: ${ajv.errorsText(validate.errors)}`);
}
console.log(`${pairs.length} schemas`);
