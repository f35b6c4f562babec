/** Files that were chosen, pasted or dropped: looked at once more before they are sent. */

import { signal } from "@preact/signals";
import { useEffect, useMemo, useState } from "preact/hooks";
import { Button, Dialog, fileSize, Icon, IconButton, Input, Switch, toast } from "../ui/index.js";
import { task } from "./focus.js";
import { kindOf, sendFile } from "./uploads.js";
import { words } from "./words.js";

const MOST = 20; // files at once

const offered = signal<{ log: string; files: File[] } | null>(null);

export function offerFiles(log: string, files: File[]): void {
  if (files.length === 0) return;
  if (files.length > MOST) toast(words().tooMany(MOST), { kind: "bad" });
  const before = offered.value?.log === log ? offered.value.files : [];
  offered.value = { log, files: [...before, ...files].slice(0, MOST) };
}

export function SendFilesHost() {
  return offered.value ? <SendFiles {...offered.value} /> : null;
}

function SendFiles({ log, files }: { log: string; files: File[] }) {
  const w = words();
  const [caption, setCaption] = useState("");
  const [plain, setPlain] = useState(false);
  const photos = files.every((f) => kindOf(f, plain) === "image");
  const close = () => (offered.value = null);
  const send = () => {
    const answered = task.value?.kind === "reply" ? task.value.seq : 0;
    task.value = null;
    close();
    files.forEach((file, n) => {
      const last = n === files.length - 1;
      void sendFile(log, file, {
        kind: kindOf(file, plain),
        caption: last ? caption.trim() : "",
        replyTo: n === 0 ? answered : 0,
      });
    });
  };
  return (
    <Dialog
      title={photos ? w.sendPhotos(files.length) : w.sendFiles(files.length)}
      onClose={close}
      actions={
        <>
          <Button kind="plain" onClick={close}>
            {w.cancel}
          </Button>
          <Button kind="primary" icon="send" onClick={send}>
            {w.send}
          </Button>
        </>
      }
    >
      <form
        class="sending"
        onSubmit={(e) => {
          e.preventDefault();
          send();
        }}
      >
        <ul class={`sending-files ${photos && files.length > 1 ? "sending-grid" : ""}`}>
          {files.map((file, n) => (
            <Chosen
              key={`${file.name}${file.size}${n}`}
              file={file}
              picture={kindOf(file, plain) === "image"}
              remove={() => {
                const rest = files.filter((f) => f !== file);
                offered.value = rest.length ? { log, files: rest } : null;
              }}
            />
          ))}
        </ul>
        <Input label={w.caption} quiet placeholder={w.caption} value={caption} onInput={setCaption} maxLength={2000} autofocus />
        {files.some((f) => kindOf(f, false) !== "file") && (
          <Switch label={w.asFiles} on={plain} onChange={setPlain} />
        )}
      </form>
    </Dialog>
  );
}

function Chosen({ file, picture, remove }: { file: File; picture: boolean; remove: () => void }) {
  const url = useMemo(() => (picture ? URL.createObjectURL(file) : ""), [file, picture]);
  useEffect(() => () => URL.revokeObjectURL(url), [url]);
  return (
    <li class={picture ? "chosen-pic" : "chosen-file"}>
      {picture ? (
        <img src={url} alt={file.name} />
      ) : (
        <>
          <span class="file-icon face-4">
            <Icon name="file" size={22} />
          </span>
          <span class="file-words">
            <span class="file-name">{file.name}</span>
            <span class="file-size">{fileSize(file.size)}</span>
          </span>
        </>
      )}
      <IconButton icon="close" size={16} class="chosen-out" label={words().removeFile(file.name)} onClick={remove} />
    </li>
  );
}
