import { render } from "preact";

render(<p>hongyan</p>, document.getElementById("app")!);
