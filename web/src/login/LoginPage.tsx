/** Log in or register. */
export function LoginPage() {
  return <div class="login" />;
}
