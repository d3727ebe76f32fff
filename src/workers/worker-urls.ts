/** Every file that is run as a thread: an edge of the import graph that no tool sees. */
export const SHARD_THREAD_URL = new URL('./shard-thread.ts', import.meta.url);
