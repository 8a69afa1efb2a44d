// A real browser on the sources, driven over its debugging pipe: real pointers, keys and frames.

import { spawn, spawnSync, type ChildProcess } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable, Writable } from "node:stream";
import { createServer, type ViteDevServer } from "vite";

const FLAGS = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--remote-debugging-pipe", "--window-size=1200,900"];

export const hasChromium = spawnSync("chromium", ["--version"]).status === 0;

type Answer = Record<string, unknown>;

export class Browser {
  readonly errors: string[] = [];
  #server!: ViteDevServer;
  #process!: ChildProcess;
  #profile = mkdtempSync(join(tmpdir(), "drawing-"));
  #waiting = new Map<number, (answer: Answer) => void>();
  #number = 0;
  #session: string | undefined;

  /** Open a page of the sources, such as "gallery.html". */
  static async open(page: string): Promise<Browser> {
    const browser = new Browser();
    browser.#server = await createServer({ server: { host: "127.0.0.1", port: 0, hmr: false, watch: null }, logLevel: "error" });
    await browser.#server.listen();
    browser.#process = spawn("chromium", [...FLAGS, `--user-data-dir=${browser.#profile}`], { stdio: ["ignore", "ignore", "ignore", "pipe", "pipe"] });
    browser.#listen();
    const { targetId } = await browser.#ask("Target.createTarget", { url: "about:blank" });
    const { sessionId } = await browser.#ask("Target.attachToTarget", { targetId, flatten: true });
    browser.#session = sessionId as string;
    await browser.#ask("Runtime.enable");
    await browser.#ask("Page.navigate", { url: browser.#server.resolvedUrls!.local[0] + page });
    return browser;
  }

  #listen(): void {
    let rest = "";
    (this.#process.stdio[4] as Readable).on("data", (bytes: Buffer) => {
      const parts = (rest + bytes.toString()).split("\0");
      rest = parts.pop()!;
      for (const part of parts.map((text) => JSON.parse(text))) {
        if (part.method === "Runtime.exceptionThrown") this.errors.push(JSON.stringify(part.params.exceptionDetails));
        this.#waiting.get(part.id)?.(part.error ? { error: part.error } : part.result);
      }
    });
  }

  #ask(method: string, params: Answer = {}): Promise<Answer> {
    const id = ++this.#number;
    (this.#process.stdio[3] as Writable).write(JSON.stringify({ id, method, params, sessionId: this.#session }) + "\0");
    return new Promise((done) => this.#waiting.set(id, done));
  }

  /** Evaluate in the page. */
  async run<T>(expression: string): Promise<T> {
    const answer = await this.#ask("Runtime.evaluate", { expression, awaitPromise: true, returnByValue: true });
    if (answer.exceptionDetails) throw new Error(JSON.stringify(answer.exceptionDetails));
    return (answer.result as { value: T }).value;
  }

  /** Wait until an expression holds. */
  async until(expression: string, seconds = 60): Promise<void> {
    for (let tries = 0; tries < seconds * 10; tries++) {
      if (await this.run<boolean>(`Boolean(${expression})`)) return;
      await new Promise((done) => setTimeout(done, 100));
    }
    throw new Error(`not in ${seconds} s: ${expression}; ${this.errors.join()}`);
  }

  /** Wait for a frame to be drawn. */
  async frame(): Promise<void> {
    await this.run("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(() => done(0))))");
  }

  async pointer(type: "mouseMoved" | "mousePressed" | "mouseReleased", x: number, y: number, buttons = 0): Promise<void> {
    await this.#ask("Input.dispatchMouseEvent", { type, x, y, buttons, button: type === "mouseMoved" && !buttons ? "none" : "left", clickCount: 1 });
  }

  async click(x: number, y: number): Promise<void> {
    await this.pointer("mouseMoved", x, y);
    await this.pointer("mousePressed", x, y, 1);
    await this.pointer("mouseReleased", x, y);
  }

  async wheel(x: number, y: number, deltaY: number): Promise<void> {
    await this.#ask("Input.dispatchMouseEvent", { type: "mouseWheel", x, y, deltaX: 0, deltaY });
  }

  async touch(type: "touchStart" | "touchMove" | "touchEnd", points: { x: number; y: number }[]): Promise<void> {
    await this.#ask("Input.dispatchTouchEvent", { type, touchPoints: points });
  }

  async key(key: string): Promise<void> {
    const text = key.length === 1 ? key : key === "Enter" ? "\r" : undefined;
    await this.#ask("Input.dispatchKeyEvent", { type: "keyDown", key, text });
    await this.#ask("Input.dispatchKeyEvent", { type: "keyUp", key });
  }

  async close(): Promise<void> {
    const gone = new Promise((done) => this.#process.once("exit", done));
    this.#process.kill();
    await gone;
    await this.#server.close();
    rmSync(this.#profile, { recursive: true, force: true, maxRetries: 5 });
  }
}
