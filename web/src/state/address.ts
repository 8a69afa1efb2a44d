// Addresses of sites as text, `L9.z[H6]@-1`: read, written, and put into words.

export interface Address {
  name: string;
  layer?: number;
  head?: number;
  /** Letter of the part that `head` counts; H where not said. */
  letter?: "H" | "N" | "E" | "F";
  dictionary?: string;
  pos?: number;
}

const PATTERN =
  /^(?:L(\d{1,9})\.)?([a-z0-9_]+)(?:\/([A-Za-z0-9_.-]+))?(?:\[([HNEF])(\d{1,9})\])?(?:@(-?\d{1,9}))?$/;

const WORDS: Record<string, string> = {
  embed: "the token embedding",
  pos_embed: "the position embedding",
  resid_pre: "the stream before layer",
  resid_mid: "the stream inside layer",
  resid_post: "the stream after layer",
  z: "the output of head",
  head_out: "the output of head",
  attn_out: "the attention of layer",
  mlp_out: "the MLP of layer",
  mlp_act: "the MLP's neurons in layer",
  pattern: "the attention pattern of head",
  scores: "the attention scores of head",
  q: "the queries of head",
  k: "the keys of head",
  v: "the values of head",
};

/** Read one address; undefined for queries and for what is no address. */
export function readAddress(text: string): Address | undefined {
  const found = PATTERN.exec(text.trim());
  if (!found) return undefined;
  const [, layer, name, dictionary, letter, part, pos] = found;
  const address: Address = { name };
  if (layer !== undefined) address.layer = Number(layer);
  if (dictionary !== undefined) address.dictionary = dictionary;
  if (part !== undefined) {
    address.head = Number(part);
    address.letter = letter as Address["letter"];
  }
  if (pos !== undefined) address.pos = Number(pos);
  return address;
}

export function writeAddress({ name, layer, head, letter, dictionary, pos }: Address): string {
  const parts = [
    layer === undefined ? "" : `L${layer}.`,
    name,
    dictionary === undefined ? "" : `/${dictionary}`,
    head === undefined ? "" : `[${letter ?? "H"}${head}]`,
    pos === undefined ? "" : `@${pos}`,
  ];
  return parts.join("");
}

/** The address in words, such as "the output of head 2.3 at token 11 (to)". */
export function placeInWords(text: string, tokens: readonly string[] = []): string {
  const address = readAddress(text);
  if (!address) return text;
  const known = WORDS[address.name];
  const many = known?.endsWith("of head") && address.head === undefined;
  const start = known === undefined ? address.name : many ? known.replace("head", "the heads of layer") : known;
  const place = [start];
  const numbered = /(layer|of head)$/.test(start);
  if (address.layer !== undefined) {
    const head = address.head !== undefined && start.endsWith("head") ? `.${address.head}` : "";
    place.push(numbered ? `${address.layer}${head}` : `in layer ${address.layer}`);
  }
  if (address.head !== undefined && !start.endsWith("head")) {
    const noun = { H: "head", N: "neuron", E: "expert", F: "latent" }[address.letter ?? "H"];
    place.push(`(${noun} ${address.head})`);
  }
  if (address.pos !== undefined) place.push(positionInWords(address.pos, tokens));
  return place.join(" ");
}

function positionInWords(pos: number, tokens: readonly string[]): string {
  if (pos === -1) return "at the last token";
  const token = tokens[pos < 0 ? tokens.length + pos : pos];
  return token === undefined ? `at token ${pos}` : `at token ${pos} (${token.trim() || token})`;
}
