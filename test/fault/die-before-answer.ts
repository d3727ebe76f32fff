/**
 * Preloaded into the server (`node --import`): kills the process in the shard thread between the
 * COMMIT tag and the message that would tell the HTTP thread of it.
 */
import { writeSync } from 'node:fs';
import { isMainThread, MessagePort } from 'node:worker_threads';

const ANSWERS_BEFORE = 5;

if (!isMainThread) {
  const post = Object.getOwnPropertyDescriptor(MessagePort.prototype, 'postMessage');
  const send: unknown = post?.value;
  if (typeof send !== 'function') throw new Error('MessagePort has no postMessage');
  let posts = 0;
  MessagePort.prototype.postMessage = function postMessage(...args: unknown[]): void {
    if (tellsAcceptance(args[0])) {
      posts += 1;
      if (posts > ANSWERS_BEFORE) {
        writeSync(1, 'crash point: before the answer\n');
        process.kill(process.pid, 'SIGKILL');
      }
    }
    Reflect.apply(send, this, args);
  };
}

function tellsAcceptance(message: unknown): boolean {
  if (typeof message !== 'object' || message === null || !('answers' in message)) return false;
  const { answers } = message;
  return (
    Array.isArray(answers) &&
    answers.some((answer: { readonly type: string }) => answer.type === 'accepted')
  );
}
