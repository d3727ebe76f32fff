/** Access tokens of the benchmark's customers, signed by the shop's key as a shop would. */
import { randomUUID } from 'node:crypto';
import { writeFileSync } from 'node:fs';
import { createSigner } from 'fast-jwt';

export const BENCH_JWT_SECRET = 'the secret of the benchmark, known to everybody';
const TTL_MS = 24 * 3_600_000;

const sign = createSigner({
  key: BENCH_JWT_SECRET,
  algorithm: 'HS256',
  iss: 'hedonify',
  aud: 'hedonify-api',
  expiresIn: TTL_MS,
});

/** For what only operators may see. */
export function adminToken(): string {
  return sign({ sub: randomUUID(), role: 'admin' });
}

/** One token per line, each of another customer. */
export function writeTokens(path: string, customers: number): void {
  const tokens = Array.from({ length: customers }, () =>
    sign({ sub: randomUUID(), role: 'customer' }),
  );
  writeFileSync(path, `${tokens.join('\n')}\n`);
}
