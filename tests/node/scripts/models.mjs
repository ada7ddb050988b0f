// Prints the names of the types that Modelina, the generator of `asyncapi generate models`, makes: models.mjs ASYNCAPI.json
import { readFileSync } from "node:fs";
import { TypeScriptGenerator } from "@asyncapi/modelina";

const generator = new TypeScriptGenerator({ modelType: "interface" });
const models = await generator.generate(JSON.parse(readFileSync(process.argv[2])));
console.log(models.map((model) => model.modelName).join("\n"));
