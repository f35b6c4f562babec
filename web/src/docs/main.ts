// The description of the HTTP API, from files of the wheel only.
import SwaggerUI from "swagger-ui-dist/swagger-ui-es-bundle.js";
import "swagger-ui-dist/swagger-ui.css";

SwaggerUI({
  url: "/v1/openapi.json",
  dom_id: "#app",
  deepLinking: true,
  validatorUrl: null, // no request to any other host
});
