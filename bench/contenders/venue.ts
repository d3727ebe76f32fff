/**
 * Where a contest takes place: one PostgreSQL and one Redis, a database for each that sells, and in
 * the end an account of every order. Only one server is loaded at a time.
 */
import { RedisServer } from '../../test/ext/redis-server.ts';
import { auditSold } from '../audit-sold.ts';
import { createBenchDatabase, oneUnit } from '../bench-database.ts';
import { runLoad } from '../http-load.ts';
import type { LoadOptions, LoadResult } from '../http-load.ts';
import { inDatabase } from '../in-database.ts';
import { bodiesFile, tokensFile } from '../load-files.ts';
import type { BenchRun } from '../suite.ts';
import { BENCH_JWT_SECRET } from '../tokens.ts';
import { auditContender } from './contender-audit.ts';
import type { Contender } from './contender.ts';
import { loadSeat } from './seat.ts';
import type { Load, Machine, Seat, Till } from './seat.ts';

export const ENGINE = 'engine';

/** A pool of each contender, those with a connection per client, and the engine's. */
const CONNECTIONS_MAX = 1_500;

export type LoadShape = Omit<LoadOptions, 'url' | 'tokensFile' | 'bodiesFile'>;

export interface SeatOptions {
  /** Connections; 1 unless given. */
  readonly pool?: number;
  /** Sells from a database of its own with so many units of each product. */
  readonly stock?: number;
  /** In tables and charts, instead of its own name. */
  readonly name?: string;
}

export class Venue {
  readonly #run: BenchRun;
  readonly #clusterUrl: string;
  readonly #machine: Machine;
  readonly #redisUrl: string;
  readonly #files: Pick<LoadOptions, 'tokensFile' | 'bodiesFile'>;
  /** By seller: a handful. */
  readonly #tills = new Map<string, Till>();

  private constructor(
    run: BenchRun,
    parts: {
      readonly clusterUrl: string;
      readonly machine: Machine;
      readonly redisUrl: string;
    },
  ) {
    this.#run = run;
    this.#clusterUrl = parts.clusterUrl;
    this.#machine = parts.machine;
    this.#redisUrl = parts.redisUrl;
    this.#files = {
      tokensFile: tokensFile(run),
      bodiesFile: bodiesFile(run, 'one-unit', oneUnit()),
    };
  }

  static async open(run: BenchRun, fsyncDelayMs: number): Promise<Venue> {
    const cluster = await run.startCluster({
      settings: { max_connections: String(CONNECTIONS_MAX) },
      ...(fsyncDelayMs > 0 ? { fsyncDelayMs } : {}),
    });
    const redis = await RedisServer.start();
    run.atEnd(() => redis.stop());
    const pid = /^process_id:(\d+)/m.exec(await redis.client.info('server'))?.[1];
    return new Venue(run, {
      clusterUrl: cluster.databaseUrl,
      machine: { postmaster: cluster.pid, redis: Number(pid) },
      redisUrl: redis.url,
    });
  }

  async startEdge(name: 'roof' | 'echo'): Promise<Seat> {
    return {
      name,
      server: await this.#run.startTarget({ file: `./targets/${name}.ts` }),
      till: null,
    };
  }

  async startEngine(options: SeatOptions = {}): Promise<Seat> {
    const till = await this.#till(ENGINE, ENGINE, options);
    const common = { JWT_SECRET: BENCH_JWT_SECRET, PORT: '0', SHARDS: '1' };
    const env = { ...common, DATABASE_URL: till.databaseUrl };
    const server = await this.#run.startTarget({ file: '../src/main.ts', env });
    return { name: ENGINE, server, till };
  }

  async startContender(contender: Contender, options: SeatOptions = {}): Promise<Seat> {
    const { pool = 1, name = contender.name } = options;
    const till = await this.#till(contender.name, contender.kind, options);
    const args = [contender.name, till.databaseUrl, String(pool), this.#redisUrl];
    const server = await this.#run.startTarget({ file: './targets/contender.ts', args });
    return { name, server, till };
  }

  /**
   * Starts when PostgreSQL has written what earlier loads left to it, so that nobody pays for
   * another; ends when nothing of it is under way any more.
   */
  async load(seat: Seat, shape: LoadShape): Promise<Load> {
    await inDatabase(this.#clusterUrl, (client) => client.query('CHECKPOINT'));
    return await loadSeat(seat, this.#machine, { ...this.#files, ...shape });
  }

  /** What the load itself hears, for a server that does not live to tell. */
  hear({ server }: Seat, shape: LoadShape): Promise<LoadResult> {
    return runLoad({ ...this.#files, ...shape, url: server.url });
  }

  /**
   * Once all seats have stopped. Closes the account of every till.
   *
   * @returns orders by till
   * @throws Error when a row is wrong, or orders and answers do not agree
   */
  async audit(): Promise<Record<string, number>> {
    const audited: Record<string, number> = {};
    for (const [name, till] of this.#tills) {
      const orders = await this.#auditTill(name, till);
      const { made, heard, unheard, units } = till;
      if (orders !== made || heard > made || made > heard + unheard) {
        const answers = `${made} were answered, of which ${heard} were heard`;
        throw new Error(`${name}: ${orders} orders are stored, ${answers}`);
      }
      if (units !== null && orders !== units) {
        throw new Error(`${name}: ${units} units made ${orders} orders`);
      }
      audited[name] = orders;
    }
    this.#tills.clear();
    return audited;
  }

  async #auditTill(name: string, { kind, databaseUrl }: Till): Promise<number> {
    if (kind === ENGINE) return await auditSold(this.#run, { name, databaseUrl });
    const { orders, broken } = await auditContender(databaseUrl);
    this.#run.say(`audit of ${name}: ${orders} orders, ${broken.length} broken rules`);
    if (broken.length > 0) throw new Error(`the audit of ${name} failed: ${broken.join(', ')}`);
    return orders;
  }

  async #till(seller: string, kind: Till['kind'], { stock }: SeatOptions): Promise<Till> {
    const name = stock === undefined ? seller : `${seller}, ${stock} units`;
    const known = this.#tills.get(name);
    if (known !== undefined) return known;
    const databaseUrl = await createBenchDatabase(
      this.#clusterUrl,
      name.replaceAll(/\W+/g, '_'),
      stock === undefined ? {} : { stock },
    );
    const till = { kind, databaseUrl, units: stock ?? null, made: 0, heard: 0, unheard: 0 };
    this.#tills.set(name, till);
    return till;
  }
}
