/**
 * Preloaded into the server (`node --import`): a signal terminates one of its shard threads, as if
 * the thread had died. The first ones that Piscina starts are one per shard and each replacement is
 * the newest, so the oldest, again and again, is every shard in turn, and the newest is the one that
 * was replaced last.
 */
import { createRequire, syncBuiltinESMExports } from 'node:module';
import { isMainThread } from 'node:worker_threads';
import type { Worker as WorkerThread } from 'node:worker_threads';

if (isMainThread) {
  // Piscina takes the class from the CommonJS module each time that it starts a thread.
  const threads = createRequire(import.meta.url)('node:worker_threads') as {
    Worker: typeof WorkerThread;
  };
  const live: WorkerThread[] = [];
  threads.Worker = class extends threads.Worker {
    constructor(...args: ConstructorParameters<typeof WorkerThread>) {
      super(...args);
      live.push(this);
      this.once('exit', () => live.splice(live.indexOf(this), 1));
    }
  };
  syncBuiltinESMExports();
  process.on('SIGWINCH', () => void live.at(0)?.terminate());
  process.on('SIGURG', () => void live.at(-1)?.terminate());
}
