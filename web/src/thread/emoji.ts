/** The emoji that the picker offers, and which ones were used last on this device. */

export const EMOJI: Record<string, string> = {
  faces:
    "😀 😃 😄 😁 😆 😅 🤣 😂 🙂 😉 😊 😇 🥰 😍 🤩 😘 😋 😛 😜 🤪 🤗 🤭 🤫 🤔 🫡 🤐 🤨 😐 😶 😏 😒 🙄 😬 😌 😔 😪 😴 😷 🤒 🤢 🤧 🥵 🥶 🥴 😵 🤯 🤠 🥳 😎 🤓 🧐 😕 😟 🙁 😮 😲 😳 🥺 😨 😰 😢 😭 😱 😖 😣 😓 😩 🥱 😤 😡 🤬 😈 💀 💩 🤡 👻 👽 🤖",
  hands:
    "👍 👎 👌 ✌️ 🤞 🤟 🤘 🤙 👈 👉 👆 👇 ☝️ ✋ 👋 🤚 🖐️ 👏 🙌 🫶 🤝 🙏 ✍️ 💪 👀 👂 🧠 👶 🧒 👦 👧 👨 👩 🧓 👮 👷 🧑‍💻 🧑‍🍳 🧑‍🎓 🧑‍🏫 🕵️ 🤷 🤦 🙋 🙇 💃 🕺 🚶 🏃 👫 👨‍👩‍👧",
  nature:
    "🐶 🐱 🐭 🐹 🐰 🦊 🐻 🐼 🐨 🐯 🦁 🐮 🐷 🐸 🐵 🐔 🐧 🐦 🦆 🦢 🦉 🐴 🦄 🐝 🦋 🐢 🐍 🐙 🐬 🐳 🌵 🎄 🌲 🌴 🌱 🍀 🌸 🌹 🌻 🌈 ☀️ ⛅ 🌧️ ⛄ ❄️ ⚡ 🔥 💧 🌊 🌙 ⭐ 🌍",
  food:
    "🍎 🍐 🍊 🍋 🍌 🍉 🍇 🍓 🫐 🍒 🍑 🥭 🍍 🥥 🥝 🍅 🥑 🌽 🥕 🍞 🥐 🧀 🥚 🍳 🥞 🍔 🍟 🍕 🌭 🌮 🥗 🍝 🍜 🍲 🍣 🍱 🥟 🍚 🍙 🥮 🍦 🍩 🍪 🎂 🍫 🍬 ☕ 🍵 🧋 🍺 🍷 🥂",
  things:
    "⚽ 🏀 🏈 🎾 🏓 🏸 🎯 🎮 🎲 🎸 🎹 🎤 🎧 🎬 🎨 📷 📱 💻 ⌨️ 🖨️ 💡 🔦 📚 📖 ✏️ 📌 📎 ✂️ 🔒 🔑 🔨 🧰 ⏰ ⌛ 📅 📈 📉 💰 💳 🎁 🎈 🎉 🎊 🏆 🥇 🚗 🚌 🚲 ✈️ 🚀 🏠 🏢 🏥 🗺️",
  signs:
    "❤️ 🧡 💛 💚 💙 💜 🖤 🤍 💔 💯 💢 💥 💫 💬 💤 ✅ ☑️ ✔️ ❌ ❗ ❓ ⚠️ 🚫 ⛔ 🔴 🟠 🟡 🟢 🔵 🟣 ⚫ ⚪ ▶️ ⏸️ ⏹️ 🔁 🔔 🔕 ➕ ➖ ➡️ ⬅️ ⬆️ ⬇️ 🆗 🆕 🔝 ♻️ 🏁 🚩",
};

const KEY = "hongyan.emoji";
const MOST = 16;

export function recentEmoji(): string[] {
  return (localStorage.getItem(KEY) ?? "").split(" ").filter(Boolean);
}

export function usedEmoji(emoji: string): void {
  const next = [emoji, ...recentEmoji().filter((e) => e !== emoji)].slice(0, MOST);
  localStorage.setItem(KEY, next.join(" "));
}
