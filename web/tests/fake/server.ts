// A small server that answers as the workbench's does, for tests and for working on the pages
// without one. Deterministic; knows no model: its numbers are made up.

import type { EditJSON, EditVerdict, RunRecord } from "../../src/api/types";

const WORDS = "<pad> <s> </s> When Mary and John went to the store , gave a drink Sara Hugo Paul book park . who what red blue green".split(" ");
const SITES = "embed pos_embed resid_pre resid_mid resid_post ln1 ln2 q k v scores pattern z head_out attn_out mlp_out mlp_act logits".split(" ");
const MODEL = {
  name: "microworld", loaded: true, n_layers: 4, n_heads: 8, d_model: 128, d_vocab: 553, n_ctx: 128, family: "gpt2",
  state: "ready", dtype: "float32", device: "cpu", weight_hash: "c0ffee".repeat(8), parallel: false, sites: SITES, refused: {},
};
export const FAKE_VIEWS = ["attention", "lens", "residual", "patching"].map((name, order) => ({
  name, order, title: name[0].toUpperCase() + name.slice(1), about: `What ${name} shows.`, needs: [], params: {},
}));
const IOI = "When Mary and John went to the store , John gave a drink to";
const EXAMPLES = [
  { name: "ioi", title: "Who gets the drink?", about: "Two names, one repeated. The model names the other one.", text: IOI, edits: [{ kind: "zero", at: "L2.z[H3]" }], view: "attention", sel: { layer: 2, head: 3, q: 14 }, steps: ["Look at the answer: Mary.", "Head 2.3 is zeroed in B; compare A with B."] },
  { name: "induction", title: "Repeat a pattern", about: "A sequence is repeated; the model continues it.", text: "red blue green park red blue green", edits: [], view: "attention", sel: { q: 7 }, steps: ["Select the last token."] },
];

export interface Asked { method: string; path: string; body: Record<string, unknown> | undefined }

export class FakeServer {
  readonly runs = new Map<string, RunRecord>();
  readonly asked: Asked[] = [];
  /** Put before each answer, so that tests can hold one back. */
  gate: (asked: Asked) => Promise<void> = () => Promise.resolve();

  fetch = async (input: string, init: RequestInit = {}): Promise<Response> => {
    const url = new URL(input, "http://fake");
    const body = init.body ? (JSON.parse(String(init.body)) as Record<string, unknown>) : undefined;
    const asked = { method: init.method ?? "GET", path: url.pathname, body };
    this.asked.push(asked);
    const stopped = new Promise<never>((_, fail) =>
      init.signal?.addEventListener("abort", () => fail(new DOMException("aborted", "AbortError"))),
    );
    stopped.catch(() => undefined);
    await Promise.race([this.gate(asked), stopped]);
    return this.answer(asked, url.searchParams);
  };

  answer({ method, path, body = {} }: Asked, _query: URLSearchParams): Response {
    const route = `${method} ${path}`;
    if (route === "GET /api/models") return json({ current: "microworld", models: [MODEL] });
    if (route === "POST /api/models") return json({ current: "microworld", models: [MODEL] });
    if (route === "GET /api/views") return json({ views: FAKE_VIEWS });
    if (route === "GET /api/examples") return json({ examples: EXAMPLES });
    if (route === "GET /api/runs") return json({ runs: [...this.runs.values()].reverse() });
    if (route === "POST /api/tokens") return json(tokenise(String(body.text)));
    if (route === "POST /api/runs") return this.run(body);
    if (route === "POST /api/edits/check") return json({ edits: (body.edits as EditJSON[]).map(checked) });
    if (route === "POST /api/python") return json({ code: `import residuum as rz\n\nmodel = rz.load("microworld")\n# run ${String(body.run)}\n` });
    if (route === "POST /api/values") return json({ value: { hash: "ab".repeat(32), shape: [16], dtype: "float32" }, note: "value of a run" });
    if (route === "GET /api/tasks") return json({ tasks: [{ name: "ioi", metric: "logit_diff" }], refused: {} });
    if (path.startsWith("/api/runs/")) {
      const found = this.runs.get(path.slice("/api/runs/".length));
      return found ? json(found) : refuse(404, "there is no such run", "run it again");
    }
    if (path.startsWith("/api/views/")) return this.view(path.slice("/api/views/".length), body);
    return refuse(404, `nothing is at ${path}`, "look at the list of routes");
  }

  run(body: Record<string, unknown>): Response {
    const edits = (body.edits ?? []) as EditJSON[];
    const bad = edits.map(checked).find((each) => !each.ok);
    if (bad?.failure) return refuse(400, bad.failure.what, bad.failure.mend);
    const ids = (body.ids ?? tokenise(String(body.text)).ids) as number[];
    const hash = digest(JSON.stringify([ids, edits]));
    const lost = Math.min(0.9, edits.length * 0.4);
    const probs = [0.92 - lost, 0.03 + lost * 0.7, 0.02 + lost * 0.1, 0.01, 0.004, 0.002, 0.001, 0.0008, 0.0005, 0.0002];
    const names = ["Mary", "John", "Sara", "Hugo", "Paul", "book", "park", ".", "and", "the"];
    const predictions = names
      .map((token, i) => ({ pos: ids.length - 1, id: 100 + i, token, prob: probs[i], logit: 12 + Math.log(probs[i]) }))
      .sort((one, other) => other.prob - one.prob);
    const record: RunRecord = {
      id: hash.slice(0, 16), hash, model: "microworld", weights: MODEL.weight_hash, ids, tokens: ids.map((id) => WORDS[id] ?? `#${id}`), edits,
      fired: edits.map(() => 1), predictions, seed: 0, dtype: "float32", created: "2026-01-01T12:00:00Z", took_ms: 8.4, passes: 1,
    };
    this.runs.set(record.id, record);
    return json(record);
  }

  view(name: string, body: Record<string, unknown>): Response {
    const run = this.runs.get(String(body.run));
    if (!run) return refuse(404, `there is no run ${String(body.run)}`, "run the prompt again");
    const meta = { run: run.id, minus: body.minus ?? null, view: name, tokens: run.tokens, ids: run.ids };
    const value = Float32Array.from({ length: 5 * run.ids.length }, (_, i) => Math.sin(i));
    return new Response(pack(meta, [{ name: "value", dtype: "f4", shape: [5, run.ids.length], data: new Uint8Array(value.buffer) }]));
  }
}

/** Write arrays as the server does. */
export function pack(meta: unknown, arrays: { name: string; dtype: string; shape: number[]; data: Uint8Array }[]): ArrayBuffer {
  let offset = 0;
  const listed = arrays.map(({ name, dtype, shape, data }) => {
    const entry = { name, dtype, shape, offset };
    offset += Math.ceil(data.length / 8) * 8;
    return entry;
  });
  const header = new TextEncoder().encode(JSON.stringify({ meta, arrays: listed }));
  const start = Math.ceil((8 + header.length) / 8) * 8;
  const bytes = new Uint8Array(start + offset);
  bytes.set(new TextEncoder().encode("RZA1"));
  new DataView(bytes.buffer).setUint32(4, header.length, true);
  bytes.set(header, 8);
  arrays.forEach(({ data }, i) => bytes.set(data, start + listed[i].offset));
  return bytes.buffer;
}

function tokenise(text: string): { ids: number[]; tokens: string[]; prepends_bos: boolean } {
  const tokens = ["<s>", ...text.split(/\s+/).filter(Boolean)];
  return { tokens, ids: tokens.map((each) => Math.max(0, WORDS.indexOf(each))), prepends_bos: true };
}

function checked(edit: EditJSON): EditVerdict {
  const layer = Number(/^L(\d+)/.exec(edit.at)?.[1] ?? 0);
  if (layer < 4) return { ok: true };
  const failure = { what: `layer ${layer} is out of range: the model has 4 layers`, mend: "use L0 to L3", where: edit.at };
  return { ok: false, failure };
}

function json(value: unknown): Response {
  return new Response(JSON.stringify(value), { headers: { "Content-Type": "application/json" } });
}

function refuse(status: number, what: string, mend: string): Response {
  return new Response(JSON.stringify({ what, mend, where: null }), { status });
}

function digest(text: string): string {
  let state = 2166136261;
  let hex = "";
  for (let round = 0; round < 8; round++) {
    for (const letter of text) state = Math.imul(state ^ (letter.codePointAt(0)! + round), 16777619) >>> 0;
    hex += state.toString(16).padStart(8, "0");
  }
  return hex;
}
