/** As workers/worker-urls.ts: the thread that sends traces. */
export const EXPORT_THREAD_URL = new URL('./export-thread.ts', import.meta.url);
