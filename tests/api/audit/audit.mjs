// Runs the official GraphQL-over-HTTP audit against the address given and prints one JSON array:
// [{id, name, status: "ok" | "notice" | "warn" | "error", reason}].
import { auditServer } from "graphql-http";

const [url] = process.argv.slice(2);
const results = await auditServer({ url, fetchFn: fetch });
console.log(JSON.stringify(results.map(({ id, name, status, reason }) => ({ id, name, status, reason }))));
