import { render } from "preact";
import "./ui/tokens.css";
import "./ui/base.css";
import { App } from "./app.js";
import { keepForOffline } from "./session/offline.js";
import { begin } from "./session/session.js";

render(<App />, document.getElementById("app")!);
void begin();
void keepForOffline();
