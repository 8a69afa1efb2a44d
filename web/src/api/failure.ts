// What went wrong and how to mend it, as the server says it: the same texts as the library's.

export interface Told {
  what: string;
  mend: string;
  where?: string | null;
}

export class Failure extends Error implements Told {
  readonly what: string;
  readonly mend: string;
  readonly where: string | null;
  readonly status: number;

  constructor(told: Told, status = 0) {
    super(told.mend ? `${told.what}: ${told.mend}` : told.what);
    this.name = "Failure";
    this.what = told.what;
    this.mend = told.mend;
    this.where = told.where ?? null;
    this.status = status;
  }
}

const BY_STATUS: Record<number, Told> = {
  401: {
    what: "this page has no token for the server",
    mend: "open the link that `residuum serve` printed",
  },
  404: { what: "the server does not know this", mend: "run the prompt again" },
  429: { what: "the server's queue is full", mend: "wait until running work ends, or cancel it" },
};

/** Read a refused answer: its what and mend, or words for its status. */
export async function refused(response: Response): Promise<Failure> {
  const told: unknown = await response.json().catch(() => null);
  // The server speaks of headers, for programs; a person at a page has a link.
  if (response.status === 401) return new Failure(BY_STATUS[401], 401);
  if (isTold(told)) return new Failure(told, response.status);
  const fallback = BY_STATUS[response.status] ?? {
    what: `the server answered ${response.status}`,
    mend: "look at the terminal that runs `residuum serve`",
  };
  return new Failure(fallback, response.status);
}

/** Turn whatever was thrown into what and mend. An abort is no failure: ask `aborted` first. */
export function failure(thrown: unknown): Failure {
  if (thrown instanceof Failure) return thrown;
  if (thrown instanceof TypeError && /fetch|network|load failed/i.test(thrown.message)) {
    return new Failure({
      what: "the server does not answer",
      mend: "start it again with `residuum serve`; what you see stays as it is",
    });
  }
  const text = thrown instanceof Error ? thrown.message : String(thrown);
  return new Failure({ what: text, mend: "" });
}

export function aborted(thrown: unknown): boolean {
  return thrown instanceof DOMException && thrown.name === "AbortError";
}

function isTold(value: unknown): value is Told {
  return typeof value === "object" && value !== null && typeof (value as Told).what === "string";
}
