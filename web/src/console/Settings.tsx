/** The effective settings, read-only. */

import { useState } from "preact/hooks";
import { dictionary, Input, Switch } from "../ui/index.js";
import { useLoad } from "./loading.js";
import { Await, Card, Note, Pill } from "./parts.js";
import { get } from "./session.js";

const words = dictionary(
  {
    text: "What is in force now. It is changed in the configuration file, by variables or by options, and takes effect with the next start.",
    find: "Find a setting",
    changed: "Only what is not the default",
    set: "set",
    default: (text: string) => `default ${text}`,
    none: "Nothing fits.",
  },
  {
    text: "当前生效的设置。可在配置文件、环境变量或命令行选项中修改，下次启动时生效。",
    find: "查找设置",
    changed: "只显示非默认值",
    set: "已设置",
    default: (text: string) => `默认 ${text}`,
    none: "没有匹配的设置。",
  },
);

interface Setting {
  key: string;
  value: unknown;
  default: string;
  text: string;
  changed: boolean;
}

/** Settings by their section, in their order. */
export function bySection(settings: readonly Setting[]): [string, Setting[]][] {
  const found = new Map<string, Setting[]>();
  for (const setting of settings) {
    const section = setting.key.split(".", 1)[0] ?? "";
    const before = found.get(section);
    if (before) before.push(setting);
    else found.set(section, [setting]);
  }
  return [...found];
}

export function SettingsPage() {
  const w = words();
  const loaded = useLoad("settings", () => get<{ settings: Setting[] }>("/v1/admin/limits"));
  const [text, setText] = useState("");
  const [changed, setChanged] = useState(false);
  const fits = (setting: Setting) =>
    (!changed || setting.changed) &&
    `${setting.key} ${setting.text}`.toLowerCase().includes(text.trim().toLowerCase());
  return (
    <div class="page">
      <Note>{w.text}</Note>
      <div class="filters">
        <Input label={w.find} quiet placeholder={w.find} type="search" value={text} onInput={setText} />
        <Switch label={w.changed} on={changed} onChange={setChanged} />
      </div>
      <Await of={loaded}>
        {(value) => {
          const sections = bySection(value.settings.filter(fits));
          if (!sections.length) return <p class="empty-line">{w.none}</p>;
          return (
            <div class="sections">
              {sections.map(([section, settings]) => (
                <Card key={section} title={section} flush>
                  <dl class="settings">
                    {settings.map((setting) => (
                      <div key={setting.key}>
                        <dt>
                          <code>{setting.key.slice(section.length + 1) || section}</code>
                          {setting.changed && <Pill tone="accent">{w.set}</Pill>}
                        </dt>
                        <dd>
                          <code class="value">{shown(setting.value)}</code>
                          {setting.changed && <small>{w.default(setting.default)}</small>}
                          <p>{marked(setting.text)}</p>
                        </dd>
                      </div>
                    ))}
                  </dl>
                </Card>
              ))}
            </div>
          );
        }}
      </Await>
    </div>
  );
}

/** Text in which `names` stand between backquotes. */
function marked(text: string) {
  return text.split("`").map((part, i) => (i % 2 ? <code key={i}>{part}</code> : part));
}

function shown(value: unknown): string {
  if (typeof value === "string") return value || "—";
  if (Array.isArray(value)) return value.join(", ") || "—";
  return JSON.stringify(value);
}
