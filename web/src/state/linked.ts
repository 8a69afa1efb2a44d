// A session as a link, and a link as a session.

import { Failure, failure } from "../api/failure";
import type { RunRecord } from "../api/types";
import type { Link, LinkState } from "./link";
import type { Session } from "./session.svelte";

/** The whole state of a session, as a link holds it. */
export function linkState(session: Session): LinkState {
  const { model, prompt, edits, pinned, show, selection, active } = session;
  return {
    v: 1,
    model: model?.name ?? "",
    ids: [...prompt.ids],
    edits: edits.entries.map((each) => ({ edit: each.edit, on: edits.acts(each) })),
    ...(pinned ? { a: pinned.id } : {}),
    show,
    sel: selection.place,
    view: active,
    params: { ...session.paramsOf(active) },
  };
}

/** Open a link: the same state, run again, and its run compared with the one it names. */
export async function openLink(session: Session, { run, view, state }: Link): Promise<void> {
  if (state.model && state.model !== session.model?.name) await session.chooseModel(state.model);
  if (state.model && state.model !== session.model?.name) return; // why was told; another model's run would mislead
  session.setIds(state.ids, state.ids.map(String));
  if (session.b) session.edits.load(state.edits);
  else session.edits.reset(state.edits);
  session.select(state.sel ?? {});
  session.pinned = state.a ? await findRun(session, state.a) : undefined;
  session.show = ["A", "B", "B-A"].includes(state.show) ? state.show : "B";
  if (session.views.some((each) => each.name === view)) session.active = view;
  session.params[session.active] = { ...state.params };
  await session.run();
  if (run && session.b && session.b.id !== run && !session.stale) {
    session.notices.note(
      `this link was made for run ${run}, and running it here gave ${session.b.id}`,
      "the model's weights, its dtype or the library are not the same; the numbers may differ",
      { label: "All right", act: () => undefined },
    );
  }
}

/** Open a run that a link names by its id alone: only this server's history can know it. */
export async function openRun(session: Session, id: string): Promise<void> {
  if (!session.history.find(id)) await session.history.load(session.client); // another tab may have made it
  const known = session.history.find(id);
  if (known) return session.openRun(known);
  throw new Failure({ what: `the run ${id.slice(0, 24)}, which this link names, is not in this server's history`, mend: "ask for the whole link (“Copy link” holds prompt, edits and view), or run the prompt anew" });
}

async function findRun(session: Session, id: string): Promise<RunRecord | undefined> {
  try {
    return session.history.find(id) ?? (await session.client.get<RunRecord>(`/api/runs/${encodeURIComponent(id)}`));
  } catch (thrown) {
    session.notices.note(`the run ${id}, which this link compares with, is not here`, "A is the prompt without edits instead");
    if (failure(thrown).status !== 404) session.notices.error(thrown);
    return undefined;
  }
}
