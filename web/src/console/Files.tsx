/** What files there are, in sum. */

import { dictionary } from "../ui/index.js";
import { bytes, exact } from "./format.js";
import { useLoad } from "./loading.js";
import { Await, Card, Facts, Note } from "./parts.js";
import { get } from "./session.js";

const words = dictionary(
  {
    text: "Files are kept once per content. What no message refers to any more is removed by itself.",
    title: "Files",
    files: "Files",
    size: "On disk",
    refs: "Uses in messages",
    uploads: "Uploads under way",
    uploadBytes: "Of them here",
    drops: "Waiting for removal",
  },
  {
    text: "相同内容的文件只保存一份。不再被任何消息引用的文件会自动清除。",
    title: "文件",
    files: "文件数",
    size: "磁盘占用",
    refs: "消息引用",
    uploads: "正在上传",
    uploadBytes: "其中已到达",
    drops: "等待清除",
  },
);

interface Totals {
  files: number;
  bytes: number;
  refs: number;
  uploads: number;
  uploads_bytes: number;
  drops: number;
}

export function FilesPage() {
  const w = words();
  const loaded = useLoad("files", () => get<Totals>("/v1/admin/files"), 5000);
  return (
    <div class="page">
      <Note>{w.text}</Note>
      <Await of={loaded}>
        {(totals) => (
          <Card title={w.title}>
            <Facts
              facts={[
                [w.files, exact(totals.files)],
                [w.size, bytes(totals.bytes)],
                [w.refs, exact(totals.refs)],
                [w.uploads, exact(totals.uploads)],
                [w.uploadBytes, bytes(totals.uploads_bytes)],
                [w.drops, exact(totals.drops)],
              ]}
            />
          </Card>
        )}
      </Await>
    </div>
  );
}
