import { render } from "preact";
import "../ui/tokens.css";
import "../ui/base.css";
import "./console.css";
import "./data.css";
import { App } from "./App.js";

render(<App />, document.getElementById("app")!);
