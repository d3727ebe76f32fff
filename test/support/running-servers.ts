import type { ChildProcess } from 'node:child_process';

/** Servers of this test file. Apart from server.ts, which takes long to load where none is started. */
export const running = new Set<ChildProcess>();
