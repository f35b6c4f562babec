/** What conversations are called and look like. */

import type { InboxRow } from "@hongyan/sdk";
import { Avatar, type AvatarProps, dictionary } from "../ui/index.js";
import { fileLink } from "./links.js";
import { nameOf, personOf, presenceOf } from "./people.js";
import { peerOf, settingsOf, stateOf } from "./rows.js";
import { me } from "./session.js";

const words = dictionary(
  { notes: "Saved messages", group: "Group" },
  { notes: "我的收藏", group: "群聊" },
);

/** The title of a conversation: the person's own remark, the group's title, the other's name. */
export function titleOf(row: InboxRow): string {
  const remark = settingsOf(row).remark;
  if (remark) return remark;
  const peer = peerOf(row.log, me.value?.user ?? "");
  if (!peer) return stateOf(row).title || words().group;
  return peer === me.value?.user ? words().notes : nameOf(peer);
}

/** A person's picture with the initials until it is there. `presence` shows the green dot. */
export function UserAvatar(props: { user: string; size?: AvatarProps["size"]; presence?: boolean; class?: string }) {
  const person = personOf(props.user).value;
  const online = props.presence && presenceOf(props.user).value.state === "online";
  return (
    <Avatar
      name={person.name || props.user}
      id={props.user}
      size={props.size}
      class={props.class}
      online={Boolean(online)}
      src={person.avatar ? fileLink({ user: props.user }).value : undefined}
    />
  );
}

/** The picture of a conversation. */
export function ChatAvatar(props: { row: InboxRow; size?: AvatarProps["size"]; presence?: boolean }) {
  const peer = peerOf(props.row.log, me.value?.user ?? "");
  if (peer) return <UserAvatar user={peer} size={props.size} presence={props.presence} />;
  const { avatar, title } = stateOf(props.row);
  return (
    <Avatar
      name={title ?? "#"}
      id={props.row.log}
      size={props.size}
      src={avatar ? fileLink({ log: props.row.log, avatar: true }).value : undefined}
    />
  );
}
