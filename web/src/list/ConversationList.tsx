import { sortedRows, titleOf, openChat } from "../session/index.js";

export function ConversationList() {
  return (
    <ul>
      {sortedRows.value.map((row) => (
        <li key={row.log}>
          <button type="button" onClick={() => openChat(row.log)}>
            {titleOf(row)}
          </button>
        </li>
      ))}
    </ul>
  );
}
