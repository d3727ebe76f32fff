/** Debian's prometheus as a private process that scrapes one server, its files in a directory. */
import { spawn } from 'node:child_process';
import type { ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { freePort } from '../support/free-port.ts';
import { until } from '../support/until.ts';

const START_MS_MAX = 20_000;

export interface Scraped {
  /** `host:port`. */
  readonly target: string;
  readonly token: string;
}

/** Of one series: its labels and its value now. */
export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  readonly value: number;
}

interface Answer {
  readonly status: string;
  readonly error?: string;
  readonly data: {
    readonly result: readonly {
      readonly metric: Readonly<Record<string, string>>;
      readonly value: readonly [number, string];
    }[];
  };
}

export class PrometheusServer {
  readonly #url: string;
  readonly #directory: string;
  readonly #child: ChildProcess;

  private constructor(url: string, directory: string, child: ChildProcess) {
    this.#url = url;
    this.#directory = directory;
    this.#child = child;
  }

  /** Resolves when it answers; it then scrapes twice a second. */
  static async start({ target, token }: Scraped): Promise<PrometheusServer> {
    const directory = await mkdtemp(join(tmpdir(), 'hedonify-prometheus-'));
    const config = {
      global: { scrape_interval: '500ms', scrape_timeout: '500ms' },
      scrape_configs: [
        {
          job_name: 'hedonify',
          authorization: { credentials: token },
          static_configs: [{ targets: [target] }],
        },
      ],
    };
    // JSON is YAML.
    await writeFile(join(directory, 'prometheus.yml'), JSON.stringify(config));
    const address = `127.0.0.1:${await freePort()}`;
    const child = spawn(
      'prometheus',
      [
        '--config.file=prometheus.yml',
        '--storage.tsdb.path=data',
        `--web.listen-address=${address}`,
        '--log.level=error',
      ],
      { cwd: directory, stdio: ['ignore', 'ignore', 'inherit'] },
    );
    const failed = once(child, 'error').then(([cause]) => {
      throw new Error('prometheus is missing: see .ci/run for what to install', { cause });
    });
    const server = new PrometheusServer(`http://${address}`, directory, child);
    await Promise.race([failed, until('prometheus', () => server.#isReady(), START_MS_MAX)]);
    failed.catch(() => undefined);
    return server;
  }

  async #isReady(): Promise<boolean> {
    const answer = await fetch(`${this.#url}/-/ready`).catch(() => undefined);
    return answer?.ok === true;
  }

  /** @throws Error with what Prometheus says of an expression that it cannot evaluate */
  async query(expression: string): Promise<readonly Sample[]> {
    const body = new URLSearchParams({ query: expression });
    const response = await fetch(`${this.#url}/api/v1/query`, { method: 'POST', body });
    const { status, error, data }: Answer = JSON.parse(await response.text());
    if (status !== 'success') throw new Error(`${error}: ${expression}`);
    return data.result.map(({ metric, value: [, value] }) => ({ metric, value: Number(value) }));
  }

  /** kill -9, and nothing is left of it. */
  async stop(): Promise<void> {
    const exited = once(this.#child, 'exit');
    this.#child.kill('SIGKILL');
    await exited;
    await rm(this.#directory, { recursive: true, force: true });
  }
}
