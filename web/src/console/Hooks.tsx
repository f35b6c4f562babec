export function HooksPage() {
  return <div class="page" />;
}
