/** Settings of the person. */
export function SettingsDialog() {
  return <div class="settings" />;
}
