import { argon2, randomBytes, timingSafeEqual } from 'node:crypto';

import { AppError } from '../domain/errors.ts';

/** OWASP's first choice for Argon2id: 19 MiB, two passes, one lane. */
const MEMORY_KIB = 19_456;
const PASSES = 2;
const LANES = 1;
const SALT_BYTES = 16;
const TAG_BYTES = 32;

/** Two at once keep a core free for orders; each takes 19 MiB. */
const RUNNING_MAX = 2;
/** About a second of work on two cores; past it the answer is 503. */
const WAITING_MAX = 32;

const PHC =
  /^\$argon2id\$v=19\$m=(\d{1,6}),t=(\d{1,2}),p=(\d{1,2})\$([\w+/]{11,86})\$([\w+/]{22,86})$/;

/**
 * A hash of no password, made of random bytes with today's parameters: a login with an unknown
 * email is checked against it, so that it takes as long as one with a wrong password.
 */
export const DUMMY_PASSWORD_HASH =
  '$argon2id$v=19$m=19456,t=2,p=1$q0VtPqjYkC1kTX5e1dQ7Bw$yGm0nJc4VtXo9bq2m1q8sVJH0J5rX3fS7uKZ2d6wPnE';

/** Hashes and checks passwords. */
export interface PasswordHashing {
  /**
   * The PHC text of a new hash under a random salt.
   *
   * @throws AppError `overloaded` when too many are waiting.
   */
  hash(password: string): Promise<string>;
  /**
   * Whether the password is the one behind a PHC text; false for a text of another form.
   *
   * @throws AppError `overloaded` when too many are waiting.
   */
  verify(password: string, phc: string): Promise<boolean>;
}

interface Parameters {
  readonly memory: number;
  readonly passes: number;
  readonly parallelism: number;
  readonly salt: Buffer;
  readonly tagLength: number;
}

/** Argon2id off the main thread, at most RUNNING_MAX at once. */
export function createPasswordHashing(): PasswordHashing {
  const waiting: (() => void)[] = [];
  let running = 0;

  async function derive(password: string, parameters: Parameters): Promise<Buffer> {
    if (running >= RUNNING_MAX) {
      if (waiting.length >= WAITING_MAX) throw new AppError('overloaded');
      // Whoever ends hands its place over, so `running` is not raised again here.
      await new Promise<void>((resolve) => waiting.push(resolve));
    } else {
      running += 1;
    }
    try {
      return await argon2id(password, parameters);
    } finally {
      const next = waiting.shift();
      if (next === undefined) running -= 1;
      else next();
    }
  }

  return {
    async hash(password) {
      const salt = randomBytes(SALT_BYTES);
      const tag = await derive(password, {
        memory: MEMORY_KIB,
        passes: PASSES,
        parallelism: LANES,
        salt,
        tagLength: TAG_BYTES,
      });
      return `$argon2id$v=19$m=${MEMORY_KIB},t=${PASSES},p=${LANES}$${unpadded(salt)}$${unpadded(tag)}`;
    },

    async verify(password, phc) {
      const [, memory, passes, parallelism, salt, tag] = PHC.exec(phc) ?? [];
      if (salt === undefined || tag === undefined) return false;
      const expected = Buffer.from(tag, 'base64');
      const actual = await derive(password, {
        memory: Number(memory),
        passes: Number(passes),
        parallelism: Number(parallelism),
        salt: Buffer.from(salt, 'base64'),
        tagLength: expected.length,
      });
      return timingSafeEqual(actual, expected);
    },
  };
}

function argon2id(password: string, parameters: Parameters): Promise<Buffer> {
  const { salt, ...cost } = parameters;
  return new Promise((resolve, reject) => {
    argon2('argon2id', { message: password, nonce: salt, ...cost }, (error, tag) => {
      if (error === null) resolve(tag);
      else reject(error);
    });
  });
}

/** Base64 without padding, as PHC texts have it. */
function unpadded(bytes: Buffer): string {
  return bytes.toString('base64').replace(/=+$/, '');
}
