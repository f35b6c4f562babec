import { render } from "preact";
import "../ui/tokens.css";
import "../ui/base.css";
import "./console.css";
import "./cards.css";
import "./charts.css";
import "./tables.css";
import { App } from "./App.js";

render(<App />, document.getElementById("app")!);
