export function FilesPage() {
  return <div class="page" />;
}
