/** The notice of a group; admins change it. */

import type { InboxRow } from "@hongyan/sdk";
import { useState } from "preact/hooks";
import { call } from "../list/actions.js";
import { ADMIN, stateOf } from "../session/index.js";
import { Button, IconButton, TextArea } from "../ui/index.js";
import { words } from "./detailWords.js";

const LONGEST = 4000; // characters, as on the server
const LONG = 280; // characters from which on it is cut, until the person wants all
const LINES = 7; // likewise; as in details.css

export function Notice({ row }: { row: InboxRow }) {
  const w = words();
  const { notice = "", dissolved_at } = stateOf(row);
  const [text, setText] = useState<string | null>(null);
  const [all, setAll] = useState(false);
  const short = !all && (notice.length > LONG || notice.split("\n").length > LINES);
  const governs = row.role >= ADMIN && !dissolved_at;
  if (!notice && !governs) return null;
  const save = async () => {
    if (await call("chat.update", { notice: (text ?? "").trim() }, row.log)) setText(null);
  };
  return (
    <section class="details-block details-pad">
      <div class="details-line">
        <h3 class="details-head">{w.notice}</h3>
        {governs && text === null && (
          <IconButton icon="edit" size={17} label={`${w.edit}: ${w.notice}`} onClick={() => setText(notice)} />
        )}
      </div>
      {text === null ? (
        <>
          <p class={notice ? `notice ${short ? "notice-short" : ""}` : "details-quiet"}>{notice || w.noNotice}</p>
          {short && (
            <Button kind="plain" class="btn-s notice-all" onClick={() => setAll(true)}>
              {w.all}
            </Button>
          )}
        </>
      ) : (
        <form
          class="form"
          onSubmit={(e) => {
            e.preventDefault();
            void save();
          }}
        >
          <TextArea label={w.notice} rows={5} maxLength={LONGEST} value={text} onInput={setText} />
          <div class="details-buttons">
            <Button kind="plain" onClick={() => setText(null)}>
              {w.cancel}
            </Button>
            <Button kind="primary" type="submit">
              {w.save}
            </Button>
          </div>
        </form>
      )}
    </section>
  );
}
