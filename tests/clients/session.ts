// The README's first session by a client whose types openapi-typescript generated: `session.js URL TOKEN SONG`.
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";
import createClient from "openapi-fetch";
import type { components, paths } from "./schema.js";

type Track = components["schemas"]["TrackDetail"];

const [url, token, song] = process.argv.slice(2) as [string, string, string];
const client = createClient<paths>({ baseUrl: url, headers: { Authorization: `Bearer ${token}` } });

/** Return the answer's data; fail with the problem that came instead. */
function answered<T>(answer: { data?: T; error?: components["schemas"]["Problem"] }): T {
  assert(answer.data !== undefined, JSON.stringify(answer.error));
  return answer.data;
}

async function ready(track_id: string): Promise<Track> {
  const deadline = Date.now() + 60_000;
  for (;;) {
    const track = answered(await client.GET("/v1/tracks/{track_id}", { params: { path: { track_id } } }));
    if (track.status === "ready") return track;
    assert(Date.now() < deadline, track.status);
    await sleep(200);
  }
}

const accepted = answered(
  await client.POST("/v1/tracks", {
    params: { header: { "Idempotency-Key": "my-first-song" } },
    // The type of a file is string, so the serializer reads it.
    body: { file: "", title: "Warehouse at dawn", artist: "Ada", preset: "edm", tags: ["demo"] },
    bodySerializer(body) {
      const form = new FormData();
      const { file: _, tags = [], ...fields } = body;
      for (const [name, value] of Object.entries(fields)) form.append(name, String(value));
      for (const tag of tags) form.append("tags", tag);
      form.append("file", new Blob([readFileSync(song)], { type: "audio/wav" }), "song.wav");
      return form;
    },
  }),
);
const path = { track_id: accepted.track_id };

const track = await ready(path.track_id);
assert.deepEqual([track.title, track.artist, track.tags], ["Warehouse at dawn", "Ada", ["demo"]]);
assert(track.bpm !== null && 127 < track.bpm && track.bpm < 129);

const beats = answered(await client.GET("/v1/tracks/{track_id}/beats", { params: { path } }));
assert(typeof beats !== "string" && beats.beats_ms.length > 100);
for (const artefact of ["genesis-map", "graph-template"] as const) {
  const file = answered(
    await client.GET("/v1/tracks/{track_id}/versions/{number}/{artefact}", {
      params: { path: { ...path, number: 1, artefact } },
    }),
  );
  assert("schemaVersion" in (file as object));
}

const corrected = answered(
  await client.PUT("/v1/tracks/{track_id}/beat-override", {
    params: { path, header: { "If-Match": "*" } },
    body: { edit: "offset", offset_ms: 12, note: "the kick drags" },
  }),
);
assert.deepEqual([corrected.version, corrected.revision], [2, 5]);

const history = answered(await client.GET("/v1/tracks/{track_id}/history", { params: { path } }));
assert.deepEqual(history.items.map((event) => event.revision), [1, 2, 3, 4, 5]);
assert.equal(history.items[0]?.actor_name, "Ada");
const state = answered(
  await client.GET("/v1/tracks/{track_id}/state", { params: { path, query: { revision: 4 } } }),
);
assert.equal(state.status, "ready");
const diff = answered(
  await client.GET("/v1/tracks/{track_id}/diff", { params: { path, query: { from: 4, to: 5 } } }),
);
assert(diff.changes.some((change) => change.path.includes("beats_ms")));

const refused = await client.GET("/v1/tracks/{track_id}/state", { params: { path, query: { revision: 99 } } });
assert.equal(refused.error?.code, "not_found");
console.log("the session is complete");
