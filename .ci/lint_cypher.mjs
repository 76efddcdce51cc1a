// Lints every statement under cypher/ with Neo4j's own language package, as both Cypher 5 and Cypher 25.
// Prints `file:line: message` for each finding, warnings included, and fails if there is one.
import { readdirSync, readFileSync } from "node:fs";
import { lintCypherQuery } from "@neo4j-cypher/language-support";

const dialects = ["CYPHER 5", "CYPHER 25"];

const files = readdirSync("cypher", { recursive: true })
  .filter((name) => name.endsWith(".cypher"))
  .map((name) => `cypher/${name}`)
  .sort();

// The header's parameters, so that a `$name` it does not declare is an error.
function declaredParameters(text) {
  const header = text.match(/^\/\/ params:(.*)$/m)?.[1] ?? "";
  return Object.fromEntries([...header.matchAll(/(\w+)\s*:/g)].map(([, name]) => [name, null]));
}

const findings = new Set();
for (const file of files) {
  const text = readFileSync(file, "utf8");
  for (const dialect of dialects) {
    const schema = { parameters: declaredParameters(text), defaultLanguage: dialect };
    for (const { range, message } of lintCypherQuery(text, schema, { consoleCommandsEnabled: false }).diagnostics) {
      findings.add(`${file}:${range.start.line + 1}: ${message}`);
    }
  }
}

for (const finding of findings) console.error(finding);
if (files.length === 0) console.error("cypher/: no statement found; run this from the top of the repository");
process.exitCode = findings.size > 0 || files.length === 0 ? 1 : 0;
