// Uploads one file with tus-js-client, as the web app does: node tus_upload.mjs ENDPOINT TOKEN FILE CHUNK
import { readFileSync } from "node:fs";
import { Upload } from "tus-js-client";

const [endpoint, token, file, chunk] = process.argv.slice(2);
const data = readFileSync(file);
let failures = 0;
let digest = "";
const upload = new Upload(data, {
  endpoint,
  chunkSize: Number(chunk),
  retryDelays: Array.from({ length: 400 }, () => 25),
  headers: { Authorization: `Bearer ${token}` },
  metadata: { filename: "../../evil\u202e.bin", filetype: "application/octet-stream" },
  onShouldRetry: (error) => {
    failures += 1;
    const status = error.originalResponse ? error.originalResponse.getStatus() : 0;
    return status < 400 || status >= 500 || status === 409 || status === 423;
  },
  onAfterResponse: (_request, response) => {
    digest = response.getHeader("Hongyan-Digest") ?? digest;
  },
  onError: (error) => {
    console.error(String(error));
    process.exit(1);
  },
  onSuccess: () => {
    console.log(JSON.stringify({ url: upload.url, failures, digest }));
  },
});
upload.start();
