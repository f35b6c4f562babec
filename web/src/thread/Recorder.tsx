/** A voice message while it is recorded. */

import { useEffect, useRef, useState } from "preact/hooks";
import { duration, Icon, IconButton, toast } from "../ui/index.js";
import { sendFile } from "./uploads.js";
import { words } from "./words.js";

const TYPES = ["audio/webm;codecs=opus", "audio/ogg;codecs=opus", "audio/mp4"];
const LONGEST = 10 * 60_000; // ms
const SHORTEST = 600; // ms: a slip of the finger
const BARS = 48;
const BEAT = 80; // ms between two bars

export function Recorder({ log, done }: { log: string; done: () => void }) {
  const w = words();
  const [ms, setMs] = useState(0);
  const [levels, setLevels] = useState<number[]>([]);
  const stop = useRef<(keep: boolean) => void>(() => done());

  useEffect(() => {
    let over = false;
    let cleanup = () => {};
    void (async () => {
      let stream: MediaStream;
      try {
        stream = await navigator.mediaDevices.getUserMedia({ audio: true });
      } catch {
        toast(w.noMic, { kind: "bad" });
        return done();
      }
      if (over) return stream.getTracks().forEach((t) => t.stop());
      const type = TYPES.find((t) => MediaRecorder.isTypeSupported(t));
      const recorder = new MediaRecorder(stream, type ? { mimeType: type } : {});
      const parts: Blob[] = [];
      const began = Date.now();
      recorder.ondataavailable = (e) => parts.push(e.data);
      const sound = new AudioContext();
      const meter = sound.createAnalyser();
      sound.createMediaStreamSource(stream).connect(meter);
      const wave = new Uint8Array(meter.fftSize);
      const beat = setInterval(() => {
        meter.getByteTimeDomainData(wave);
        const loud = wave.reduce((most, v) => Math.max(most, Math.abs(v - 128)), 0) / 128;
        setLevels((old) => [...old.slice(1 - BARS), loud]);
        setMs(Date.now() - began);
        if (Date.now() - began > LONGEST) stop.current(true);
      }, BEAT);
      cleanup = () => {
        cleanup = () => {}; // it is called by the end of the recording and by that of the bar
        clearInterval(beat);
        stream.getTracks().forEach((t) => t.stop());
        void sound.close();
      };
      stop.current = (keep) => {
        const long = Date.now() - began;
        recorder.onstop = () => {
          cleanup();
          done();
          if (!keep || long < SHORTEST) return;
          const plain = (recorder.mimeType || "audio/webm").split(";")[0] ?? "audio/webm";
          const end = plain.split("/")[1] ?? "webm";
          const file = new File(parts, `voice-${began}.${end}`, { type: plain });
          void sendFile(log, file, { kind: "voice", durationMs: long });
        };
        recorder.stop();
      };
      recorder.start(1000);
    })();
    return () => {
      over = true;
      cleanup();
    };
  }, []);

  return (
    <div class="composer recorder" role="group" aria-label={w.recording}>
      <IconButton icon="trash" label={w.stopRecording} onClick={() => stop.current(false)} />
      <span class="recorder-dot" />
      <span class="recorder-time" role="timer">
        {duration(ms)}
      </span>
      <span class="recorder-wave" aria-hidden="true">
        {levels.map((level, n) => (
          <i key={n} style={{ height: `${Math.max(8, Math.min(100, level * 160))}%` }} />
        ))}
      </span>
      <button type="button" class="send" aria-label={w.sendRecording} title={w.sendRecording} onClick={() => stop.current(true)}>
        <Icon name="send" size={21} />
      </button>
    </div>
  );
}
