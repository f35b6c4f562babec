export {
  client, entered, leaveForGood, me, onLogin, outBecause, outbox, phase, rows, sortedRows, status, unreadTotal,
  type Phase,
} from "./session.js";
export {
  claimAdmin, deviceId, getToken, HttpRefusal, logIn, refusalOf, signUp, type Me,
} from "./login.js";
export { fileLink, forgetLink, linkTo, type FileRef } from "./links.js";
export { ChatAvatar, titleOf, UserAvatar } from "./names.js";
export { notifying, setNotifying, type Notifying } from "./notify.js";
export { learn, nameOf, personOf, presenceOf, typingIn, type Person, type Presence } from "./people.js";
export { reasonFor, reasonOf } from "./reasons.js";
export {
  activityOf, ADMIN, byActivity, isChat, isDirect, isGroup, MEMBER, NONE, OWNER, peerOf, settingsOf, stateOf,
  type RowSettings, type RowState,
} from "./rows.js";
export { contentLine, entryLine, entryLineBy, type Blob, type Content, type MessageBody } from "./summary.js";
export {
  addressOf, closeChat, currentLog, jump, openChat, overlay, panel, phone, togglePanel,
  type Overlay, type Panel,
} from "./view.js";
