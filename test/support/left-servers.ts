/** Of every file: a failed test leaves its server, which would slow all that come after it. */
import { afterAll } from 'vitest';
import { killLeftServers } from './server.ts';

afterAll(killLeftServers);
