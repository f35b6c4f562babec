/** A picture of a person or a group: cut to a square, made small, uploaded. */

import { Upload } from "tus-js-client";
import { client, getToken, refusalOf } from "../session/index.js";

const SIDE = 512; // px
const RETRIES = [500, 1500, 4000]; // ms between tries

/** The part of a picture that a square of the same middle shows. Pure. */
export function squareOf(width: number, height: number): { x: number; y: number; side: number } {
  const side = Math.min(width, height);
  return { x: Math.floor((width - side) / 2), y: Math.floor((height - side) / 2), side };
}

/** The picture as a small square JPEG. Throws where the file is no picture a browser can show. */
async function small(file: File): Promise<File> {
  const picture = await createImageBitmap(file);
  const { x, y, side } = squareOf(picture.width, picture.height);
  const to = Math.min(SIDE, side);
  const canvas = document.createElement("canvas");
  canvas.width = to;
  canvas.height = to;
  const pen = canvas.getContext("2d");
  if (!pen) throw new Error("no canvas");
  pen.fillStyle = "#fff"; // JPEG has no transparency
  pen.fillRect(0, 0, to, to);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(picture, x, y, side, side, 0, 0, to, to);
  picture.close();
  const blob = await new Promise<Blob | null>((done) => canvas.toBlob(done, "image/jpeg", 0.9));
  if (!blob) throw new Error("the picture cannot be made smaller");
  return new File([blob], "avatar.jpg", { type: "image/jpeg" });
}

/** Upload a picture; resolves with its digest. Throws HttpRefusal, or what the upload met. */
export async function uploadPicture(file: File): Promise<string> {
  const picture = await small(file);
  const path = await new Promise<string>((done, failed) => {
    const upload = new Upload(picture, {
      endpoint: "/v1/files",
      retryDelays: RETRIES,
      storeFingerprintForResuming: false,
      metadata: { filename: picture.name, filetype: picture.type },
      onBeforeRequest: async (request) => {
        request.setHeader("Authorization", `Bearer ${await getToken()}`);
      },
      onError: failed,
      onSuccess: () => done(new URL(upload.url ?? "", location.href).pathname),
    });
    upload.start();
  });
  const answer = await client().http(path);
  if (!answer.ok) throw await refusalOf(answer);
  const { blob } = (await answer.json()) as { blob: { digest: string } };
  return blob.digest;
}
