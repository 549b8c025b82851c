// Bundles src/ into ../dist/: terminal.js (a module), terminal.css, and the licences of what went in.
//
// `node build.mjs [--watch]`; the package's build hook calls it, people seldom need to.

import { readFileSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import esbuild from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const out = join(here, "..", "dist");

/** `import text from "worker:./x.js"`: the worker's own bundle as text, so that it can start from a blob. */
const workers = {
  name: "workers",
  setup(build) {
    build.onResolve({ filter: /^worker:/ }, ({ path, resolveDir }) => ({
      path: join(resolveDir, path.slice("worker:".length)),
      namespace: "worker",
    }));
    build.onLoad({ filter: /.*/, namespace: "worker" }, async ({ path }) => {
      const result = await esbuild.build({
        entryPoints: [path],
        bundle: true,
        minify: true,
        write: false,
        format: "iife",
        target: "es2022",
        metafile: true,
      });
      return {
        contents: result.outputFiles[0].text,
        loader: "text",
        watchFiles: Object.keys(result.metafile.inputs),
      };
    });
  },
};

/** The notices that the bundled licences ask for, beside the bundle. */
function writeNotices() {
  const packages = ["lightweight-charts", "fancy-canvas"];
  const notices = packages.map((name) => {
    const folder = join(here, "node_modules", name);
    const { version, license } = JSON.parse(readFileSync(join(folder, "package.json"), "utf8"));
    let text = "";
    for (const file of ["LICENSE", "LICENSE.md", "NOTICE"]) {
      try {
        text += `\n${readFileSync(join(folder, file), "utf8")}`;
      } catch (error) {
        if (error.code !== "ENOENT") throw error;
      }
    }
    return `${name} ${version} (${license})\n${text}`;
  });
  writeFileSync(join(out, "THIRD_PARTY.txt"), notices.join(`\n${"-".repeat(80)}\n\n`));
}

const options = {
  entryPoints: { terminal: join(here, "src", "main.js") },
  outdir: out,
  bundle: true,
  minify: true,
  format: "esm",
  target: "es2022",
  legalComments: "none", // they stand in THIRD_PARTY.txt
  logLevel: "warning",
  plugins: [workers],
};

if (process.argv.includes("--watch")) {
  const context = await esbuild.context({ ...options, minify: false, sourcemap: "inline", logLevel: "info" });
  await context.watch();
} else {
  rmSync(out, { recursive: true, force: true });
  await esbuild.build(options);
  writeNotices();
}
