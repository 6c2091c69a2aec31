import { openSearchSink } from "../../src/opensearch/sink.ts";
import { openSearchServer, uniquePrefix } from "../support/opensearch.ts";
import { exerciseSink } from "./exercise_sink.ts";
import { newestGeneration, observe, removeAll, sinkOptions } from "./opensearch_observer.ts";
import type { SinkSubject } from "./sink_subject.ts";

exerciseSink("opensearch", openSearchSubject, {
  versions: true,
  generations: true,
  remembers: true,
  searches: true,
  keys: true,
  refs: true,
  poison: `{"title":"t","views":"poison"}`,
});

async function openSearchSubject(): Promise<SinkSubject> {
  const { url } = await openSearchServer();
  const prefix = uniquePrefix();
  return {
    open: () => Promise.resolve(openSearchSink(sinkOptions(url, prefix))),
    read: async (index, id) => {
      const physical = await newestGeneration(url, prefix, index);
      return physical === undefined ? undefined : await observe(url, physical, id);
    },
    served: (index, id) => observe(url, `${prefix}${index}`, id),
    dispose: () => removeAll(url, prefix),
  };
}
