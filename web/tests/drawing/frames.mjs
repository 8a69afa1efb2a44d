// Frame times of the drawing core in Debian's Chromium, without a graphics card:
//   node tests/drawing/frames.mjs
import { spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createServer } from "vite";

const server = await createServer({ server: { host: "127.0.0.1", port: 5177, hmr: false }, logLevel: "error" });
await server.listen();
const profile = mkdtempSync(join(tmpdir(), "frames-"));
const browser = spawn("chromium", [
  "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe",
  `--user-data-dir=${profile}`, "--window-size=1200,900",
], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });

const waiting = new Map();
let number = 0, rest = "";
browser.stdio[4].on("data", (bytes) => {
  const parts = (rest + bytes).split("\0");
  rest = parts.pop();
  for (const part of parts.map((text) => JSON.parse(text))) waiting.get(part.id)?.(part.result);
});

/** Ask the browser something. */
function ask(method, params = {}, sessionId = undefined) {
  const id = ++number;
  browser.stdio[3].write(JSON.stringify({ id, method, params, sessionId }) + "\0");
  return new Promise((done) => waiting.set(id, done));
}

try {
  const { targetId } = await ask("Target.createTarget", { url: `${server.resolvedUrls.local[0]}tests/drawing/frames.html` });
  const { sessionId } = await ask("Target.attachToTarget", { targetId, flatten: true });
  for (let tries = 0; ; tries++) {
    await new Promise((done) => setTimeout(done, 500));
    const expression = "document.title === 'done' ? document.getElementById('found').textContent : ''";
    const { result } = await ask("Runtime.evaluate", { expression }, sessionId);
    if (result.value) {
      console.table(JSON.parse(result.value));
      break;
    }
    if (tries > 240) throw new Error("the page did not finish in two minutes");
  }
} finally {
  browser.kill();
  await server.close();
  await new Promise((done) => browser.once("exit", done));
  rmSync(profile, { recursive: true, force: true });
}
