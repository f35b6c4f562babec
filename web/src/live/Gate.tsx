/** Loads the live pages when somebody goes there: who only chats does not load them. */

import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { takeLiveFrames } from "@hongyan/sdk/liveframes";
import { Button, dictionary, EmptyState, Spinner } from "../ui/index.js";

takeLiveFrames(); // also where another tab watches through this one

const words = dictionary(
  { failed: "This part of the page could not be loaded.", again: "Load the page again" },
  { failed: "页面加载失败。", again: "重新加载" },
);

type Page = ComponentType<{ name: string }>;
let loaded: Page | undefined;

export function LiveGate({ name }: { name: string }) {
  const [Page, setPage] = useState<Page | undefined>(() => loaded);
  const [failed, setFailed] = useState(false);
  useEffect(() => {
    if (loaded) return;
    const take = ({ LivePage }: { LivePage: Page }) => {
      loaded = LivePage;
      setPage(() => LivePage);
    };
    import("./LivePage.js").then(take, () => setFailed(true)); // no network, or a newer version is served
  }, []);
  if (Page) return <Page name={name} />;
  return (
    <div class="app-wait">
      {failed ? (
        <EmptyState icon="cloudOff" title={words().failed}>
          <Button onClick={() => location.reload()}>{words().again}</Button>
        </EmptyState>
      ) : (
        <Spinner size="l" />
      )}
    </div>
  );
}
