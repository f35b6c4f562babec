/** Find messages. */
export function SearchPanel() {
  return <div class="search" />;
}
