// Short explanations, shown where a term first appears. Two sentences at most.

export const TERMS = {
  run: "One pass of the model over these token ids with these edits. Runs never change; the id is the start of their hash.",
  edit: "What is written at a place inside the model while it runs: zeros, a mean, a value of another run. The weights stay as they are.",
  "A and B": "A is the prompt without edits (or a run you pinned). B is the same with the edits that are on. B−A shows what the edits change.",
  token: "The piece of text that the model reads. Its number, the id, is what counts: two texts with the same ids are the same prompt.",
  BOS: "A token that the tokenizer puts in front of every text (beginning of sequence). Heads with nothing to do often look at it.",
  layer: "One block of the model: attention, then an MLP. Layers are counted from 0.",
  head: "One of the parallel attention units of a layer. Head 2.3 is number 3 of layer 2.",
  attention: "For each token, how a head shares its look over the tokens before it; the shares sum to 1.",
  "query and key": "The query is the token that looks, the key what it looks at. In most models a token only looks at itself and at what stands before it.",
  "head scores": "How much of a head's attention goes where, on this prompt: to the token before, to the first, to earlier copies. It says where the head looks, not what it does.",
  stream: "The running sum that every layer reads from and adds to, one vector per token.",
  logit: "The model's score for a next token before scores are turned into probabilities.",
  "direct effect": "What a part writes into the stream, read off by the unembedding through the final norm as it was in this run. What later parts make of it is not counted.",
  "logit lens": "The unembedding applied to the stream before the last layer: what the model would say if it stopped there.",
  "tuned lens": "A logit lens with a trained translation before it, one per layer; it reads earlier layers better, and may say what the translation knows.",
  patching: "Writing a value from a clean run into a corrupt one, place by place, to see which places bring the answer back.",
  site: "A named tensor inside the model, such as z (what a head computes) or resid_post (the stream after a layer).",
  address: "Where a site is: L2.z[H3]@-1 is head 3 of layer 2 at the last token.",
  "clean and corrupt": "Two prompts of the same length that differ in what matters: the clean one gives the answer, the corrupt one does not.",
  recovered: "The effect as a share of the gap between the corrupt and the clean run: 1 brings the whole answer back, 0 nothing.",
  "denoise and noise": "Denoise writes clean values into the corrupt run and finds what is enough. Noise writes corrupt values into the clean run and finds what is needed.",
  steering: "Adding a direction to the stream to push the model towards something.",
} as const;

export type TermName = keyof typeof TERMS;
