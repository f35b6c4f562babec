// The description of the HTTP API, from files of the wheel only.
import { SwaggerUIBundle } from "swagger-ui-dist";
import "swagger-ui-dist/swagger-ui.css";

SwaggerUIBundle({ url: "/v1/openapi.json", dom_id: "#app", deepLinking: true });
