// What the server speaks of, under short names; the shapes are generated from its OpenAPI file.

import type { components } from "./schema";

type Schemas = components["schemas"];

export type Models = Schemas["Models"];
export type ModelInfo = Schemas["ModelInfo"];
export type Tokens = Schemas["Tokens"];
export type TokenEntry = Schemas["VocabularyEntry"];
export type Prediction = Schemas["Prediction"];
export type TensorRefJSON = Schemas["TensorReference"];
export type TaskList = Schemas["TaskList"];
export type TaskInfo = Schemas["TaskInfo"];
export type ViewInfo = Schemas["ViewInfo"];
export type StoredValue = Schemas["StoredValue"];
export type EditVerdict = Schemas["EditVerdict"];
export type RunRecord = Omit<Schemas["RunRecord"], "edits"> & { edits: EditJSON[] };
export type Example = Omit<Schemas["Example"], "edits"> & { edits: EditJSON[] };

export type EditKind =
  | "zero"
  | "mean"
  | "resample"
  | "patch"
  | "add"
  | "scale"
  | "set"
  | "erase"
  | "freeze"
  | "splice";

/** An edit as the library writes it. */
export interface EditJSON {
  kind: EditKind;
  at: string;
  factor?: number;
  scale?: number;
  seed?: number;
  value?: TensorRefJSON | null;
  directions?: TensorRefJSON | null;
  matrix?: TensorRefJSON | null;
  bias?: TensorRefJSON | null;
  dictionary?: string;
  keep_error?: boolean;
}
