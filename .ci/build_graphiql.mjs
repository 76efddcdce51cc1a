// Builds GraphiQL into one page without any address outside of it, compressed: `node .ci/build_graphiql.mjs OUT.html.gz`.
// The versions are pinned here and not in package.json, since only this script needs the packages and its result is
// committed.
import { execFileSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync } from "node:zlib";

const packages = ["graphiql@3.8.3", "react@18.3.1", "react-dom@18.3.1", "esbuild@0.25.12"];
const [out] = process.argv.slice(2);

const folder = mkdtempSync(join(tmpdir(), "graphiql-"));
process.on("exit", () => rmSync(folder, { recursive: true, force: true }));
const npm = ["install", "--prefix", folder, "--no-save", "--no-audit", "--no-fund", "--loglevel=error", ...packages];
execFileSync("npm", npm, { stdio: "inherit" });

const modules = join(folder, "node_modules");
const read = (path) => readFileSync(join(modules, path), "utf8");
const minified = (path, ...options) =>
  execFileSync(join(modules, ".bin/esbuild"), [join(modules, path), "--minify", "--log-level=error", ...options], {
    encoding: "utf8",
    maxBuffer: 1 << 26,
  });

// Addresses in comments, messages and a fallback for no browser are cut, so that the page can name no host at all.
const withoutAddresses = (text) => text.replace(" (jsdelivr, unpkg, etc)", "").replace(/https?:\/\/(?!www\.w3\.org\/)[\w./#-]+/g, "");
const script = [
  read("react/umd/react.production.min.js"),
  read("react-dom/umd/react-dom.production.min.js"),
  minified("graphiql/graphiql.min.js", "--legal-comments=eof"),
].join("\n");
// The fonts are most of the style sheet; the system's own do.
const style = minified("graphiql/graphiql.min.css").replace(/@font-face\{[^}]*\}/g, "");
const licenses = ["graphiql", "react", "react-dom"].map((name) => `${name}\n${read(`${name}/LICENSE`)}`).join("\n");

const page = `<!doctype html>
<!--
${licenses}-->
<html lang="en">
<head>
<meta charset="utf-8">
<title>Identity Graph</title>
<link rel="icon" href="data:,">
<style>${style}
html, body, #graphiql { height: 100%; margin: 0; }
</style>
</head>
<body>
<div id="graphiql">Loading…</div>
<script>${withoutAddresses(script).replaceAll("</script", "<\\/script")}</script>
<script>
const query = \`# Submit what a source saw, then ask who it is (Ctrl-Enter).
mutation SubmitLinks {
  submitLinks(input: {observations: [{
    id: "web-0001"
    source: "web"
    observedAt: "2026-03-01T10:00:00Z"
    identifiers: [
      {namespace: "cookie_id", value: "c-77"}
      {namespace: "email", value: "Ada@Example.org"}
    ]
    traits: {first_name: "Ada", country: "NL"}
  }]}) {
    consistencyToken
    results {
      ... on ObservationAccepted { duplicate profile { id size } }
      ... on ObservationRejected { code message path }
    }
  }
}

query Customer360 {
  profileByIdentifier(
    identifier: {namespace: "cookie_id", value: "c-77"}
  ) {
    id
    goldenRecord { name value source observedAt }
    identifiers { edges { node { namespace value isDevice } } }
    lineage { edges { node { kind at } } }
  }
}
\`;
ReactDOM.createRoot(document.getElementById("graphiql")).render(
  React.createElement(GraphiQL, {
    fetcher: GraphiQL.createFetcher({ url: location.pathname }),
    defaultQuery: query,
    shouldPersistHeaders: false,
  }),
);
</script>
</body>
</html>
`;
writeFileSync(out, gzipSync(page, { level: 9 }));
console.log(`${out}: ${page.length >> 10} KB, compressed ${gzipSync(page, { level: 9 }).length >> 10} KB`);
