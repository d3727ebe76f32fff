/** Ports, names, files and secrets of docker/ agree between all the files that name them. */
import { existsSync, readFileSync, statSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { loadConfig } from '../../src/config.ts';
import {
  graphsOf,
  readCompose,
  readDashboards,
  readDockerFile,
  readDockerYaml,
} from './docker-files.ts';
import type { ComposeService } from './docker-files.ts';

const root = resolve(import.meta.dirname, '../..');
const compose = readCompose();
const services = Object.entries(compose.services).map(([name, service]) => ({ name, service }));
const DATASOURCES = 'grafana/provisioning/datasources/hedonify.yaml';
const datasources = z
  .object({
    datasources: z.array(z.object({ uid: z.string(), type: z.string(), url: z.string() })),
  })
  .parse(readDockerYaml(DATASOURCES)).datasources;

/** Ports of images that we give no configuration with one in it. */
const IMAGE_PORTS: Readonly<Record<string, readonly number[]>> = {
  postgres: [5432],
  redis: [6379],
  prometheus: [9090],
  grafana: [3000],
  'postgres-exporter': [9187],
  'redis-exporter': [9121],
};
/** As our files say where a program listens. */
const PORT = /(?:0\.0\.0\.0:|\bport: |http_listen_port: |\bPORT=)(?<port>\d+)/g;

/** Configuration of ours that a service reads; `path` is relative to docker/. */
function configsOf({ volumes }: ComposeService): { path: string; text: string }[] {
  const paths = volumes.filter(({ source }) => source.startsWith('./'));
  return paths.flatMap(({ source }) => {
    const path = source.slice(2);
    if (path === 'grafana/provisioning') return [{ path, text: readDockerFile(DATASOURCES) }];
    if (statSync(resolve(root, 'docker', path), { throwIfNoEntry: false })?.isFile() !== true)
      return [];
    return [{ path, text: readDockerFile(path) }];
  });
}

function portsOf(name: string, service: ComposeService): Set<number> {
  const texts = configsOf(service).map(({ text }) => text);
  if (name === 'app') texts.push(readDockerFile('Dockerfile'));
  const configured = texts.flatMap((text) =>
    [...text.matchAll(PORT)].map(({ groups }) => Number(groups?.['port'])),
  );
  return new Set([...(IMAGE_PORTS[name] ?? []), ...configured]);
}

const listens = new Map(services.map(({ name, service }) => [name, portsOf(name, service)]));

/** `service:port` in a text; longer names first, so that `postgres-exporter` is not `postgres`. */
const ADDRESS = new RegExp(
  `(?<![\\w.-])(?<host>${[...listens.keys()].toSorted((a, b) => b.length - a.length).join('|')}):(?<port>\\d+)`,
  'g',
);

function lostAddresses(user: ComposeService, text: string): string[] {
  return [...text.matchAll(ADDRESS)].flatMap(([address, host = '', port]) => {
    const shared = compose.services[host]?.networks.some((it) => user.networks.includes(it));
    return listens.get(host)?.has(Number(port)) === true && shared === true ? [] : [address];
  });
}

describe('the compose stack', () => {
  test.each(services)('$name asks only who listens, on a network that both are in', (it) => {
    const texts = configsOf(it.service).map(({ text }) => text);
    const own = JSON.stringify([it.service.environment, it.service.command]);
    expect([...texts, own].flatMap((text) => lostAddresses(it.service, text))).toEqual([]);
  });

  test('an address of nobody, or of somebody out of reach, is reported', () => {
    const { grafana } = compose.services;
    if (grafana === undefined) throw new Error('grafana is missing');
    expect(lostAddresses(grafana, 'http://tempo:3200 http://tempo:3201 postgres:5432')).toEqual([
      'tempo:3201',
      'postgres:5432',
    ]);
  });

  test.each(services)('$name is asked for its health where it listens', ({ name, service }) => {
    const test = service.healthcheck?.test.join(' ') ?? '';
    const asked = [...test.matchAll(/127\.0\.0\.1:(\d+)/g)].map(([, port]) => Number(port));
    expect(asked.filter((port) => listens.get(name)?.has(port) !== true)).toEqual([]);
  });

  test.each(services)('every file of $name that is mounted exists, read-only', ({ service }) => {
    const files = service.volumes.filter(({ source }) => source.startsWith('./'));
    expect(files.filter(({ mode }) => mode !== 'ro')).toEqual([]);
    expect(files.filter(({ source }) => !existsSync(resolve(root, 'docker', source)))).toEqual([]);
  });

  test.each(services)('$name is told of configuration files that are mounted', ({ service }) => {
    const named = service.command.flatMap((part) => /\/etc\/[\w./-]+/.exec(part) ?? []);
    const mounted = service.volumes.map(({ target }) => target);
    expect(named.filter((path) => !mounted.includes(path))).toEqual([]);
  });

  test('volumes, networks and secrets are declared and used', () => {
    const used = (select: (service: ComposeService) => readonly string[]): string[] =>
      [...new Set(services.flatMap(({ service }) => select(service)))].toSorted();
    expect(used((it) => it.networks)).toEqual(Object.keys(compose.networks).toSorted());
    expect(used((it) => it.secrets)).toEqual(Object.keys(compose.secrets).toSorted());
    expect(
      used((it) => it.volumes.map(({ source }) => source).filter((name) => /^[\w-]+$/.test(name))),
    ).toEqual(Object.keys(compose.volumes).toSorted());
  });

  test('variables are those of .env.example, and neither it nor git knows a secret', () => {
    const used = readDockerFile('compose.yaml').matchAll(/\$\{(\w+)/g);
    const example = [...readDockerFile('.env.example').matchAll(/^(\w+)=(.*)$/gm)];
    expect(new Set([...used].map(([, name]) => name))).toEqual(
      new Set(example.map(([, name]) => name)),
    );
    const secret = example.filter(([, name]) => /SECRET|TOKEN|PASSWORD/.test(name ?? ''));
    expect(secret.length).toBeGreaterThan(4);
    expect(secret.filter(([, , value]) => value !== '')).toEqual([]);
    const ignored = readFileSync(resolve(root, '.gitignore'), 'utf8').split('\n');
    expect(ignored).toEqual(expect.arrayContaining(['/docker/.env', '/docker/secrets/']));
  });

  test("Prometheus has the app's token where docker/init.sh writes it", () => {
    const [secret] = compose.services['prometheus']?.secrets ?? [];
    expect(readDockerFile('prometheus/prometheus.yml')).toContain(
      `credentials_file: /run/secrets/${secret}\n`,
    );
    expect(`./${/> (secrets\/\w+)$/m.exec(readDockerFile('init.sh'))?.[1]}`).toBe(
      compose.secrets[secret ?? '']?.file,
    );
  });

  test('its environment is a configuration that the app accepts, with nothing it does not know', () => {
    const environment = { ...compose.services['app']?.environment };
    const filled = Object.entries(environment).map(([name, text]) => [
      name,
      text.replaceAll(/\$\{\w+(?::-(?<value>[^}]*)|:\?[^}]*)\}/g, (_, value?: string) =>
        value === undefined ? 'x'.repeat(64) : value,
      ),
    ]);
    const config = loadConfig(z.record(z.string(), z.string()).parse(Object.fromEntries(filled)));
    expect(config).toMatchObject({ seedDemo: false, redisUrl: 'redis://redis:6379/0' });
    const readme = readFileSync(resolve(root, 'README.md'), 'utf8');
    expect(Object.keys(environment).filter((name) => !readme.includes(`\`${name}\``))).toEqual([]);
  });
});

describe('PostgreSQL of the stack', () => {
  const init = readDockerFile('postgres/init/10-roles.sh');
  const environment = compose.services['app']?.environment ?? {};

  test('has the roles and the database that the app and the exporter use', () => {
    const { username, pathname } = new URL(
      (environment['DATABASE_URL'] ?? '').replace(/\$\{[^}]*\}/, 'x'),
    );
    expect(init).toContain(`CREATE ROLE ${username} LOGIN`);
    expect(init).toContain(`CREATE DATABASE ${pathname.slice(1)} OWNER ${username}`);
    const exporter = compose.services['postgres-exporter']?.environment;
    expect(init).toContain(`CREATE ROLE ${exporter?.['DATA_SOURCE_USER']} LOGIN`);
    expect(exporter?.['DATA_SOURCE_URI']).toContain(`${pathname}?`);
  });

  test('takes the connections of two processes at a takeover, the exporter and a person', () => {
    const [shards, commits, pool] = ['SHARDS', 'COMMITS_IN_FLIGHT_MAX', 'DB_POOL_MAX'].map((name) =>
      Number(environment[name]),
    );
    const held = Number(shards) * (Number(commits) + 1) + Number(pool);
    const exporter = Number(/CONNECTION LIMIT (\d+)/.exec(init)?.[1]);
    const settings = readDockerFile('postgres/postgresql.conf');
    const most = Number(/^max_connections = (\d+)$/m.exec(settings)?.[1]);
    expect(most).toBeGreaterThanOrEqual(2 * held + 10 + exporter + 5);
  });
});

describe('logs, traces and dashboards', () => {
  test('lines carry the labels that the collector goes by, and it knows this project', () => {
    const text = readDockerFile('otel/logs.yaml');
    const labels = [...text.matchAll(/attrs\?*\.*\["(?<label>[\w.]+)"\]/g)].map((it) => it[1]);
    for (const { service } of services) {
      expect(service.logging.options.labels.split(',')).toEqual(expect.arrayContaining(labels));
    }
    expect(labels.length).toBeGreaterThan(1);
    expect(text).toContain(`!= "${compose.name}"`);
    const listed = /not in \[(?<names>[^\]]+)\]/.exec(text)?.groups?.['names'] ?? '';
    const names = listed.split(',').map((name) => name.trim().replaceAll('"', ''));
    expect(Object.keys(compose.services)).toEqual(expect.arrayContaining(names));
  });

  test('the name of the service is the one of its spans', () => {
    const sdk = readFileSync(resolve(root, 'src/telemetry/trace-sdk.ts'), 'utf8');
    const name = /\[ATTR_SERVICE_NAME\]: '(?<name>\w+)'/.exec(sdk)?.groups?.['name'];
    expect(readDockerFile('otel/logs.yaml')).toContain(`value: ${name}\n`);
    expect(readDockerFile(DATASOURCES)).toContain(`{service_name="${name}"}`);
  });

  test('data sources refer to each other by uids that exist', () => {
    const named = readDockerFile(DATASOURCES).matchAll(/datasourceUid: (?<uid>\w+)/g);
    const uids = datasources.map(({ uid }) => uid);
    expect(new Set(uids).size).toBe(uids.length);
    expect([...named].filter(({ groups }) => !uids.includes(groups?.['uid'] ?? ''))).toEqual([]);
  });

  test.each(readDashboards())('$title is drawn from a data source that there is', (dashboard) => {
    const known = datasources.map(({ uid, type }) => `${type} ${uid}`);
    const named = [...graphsOf(dashboard), ...dashboard.templating.list].map(
      ({ datasource: { uid, type } }) => `${type} ${uid}`,
    );
    expect(named.filter((name) => !known.includes(name))).toEqual([]);
  });

  test.each(readDashboards())(
    'panels of $title do not overlap, and have ids of their own',
    (it) => {
      const cells = it.panels.flatMap(({ gridPos: { x, y, w, h } }) =>
        Array.from({ length: w * h }, (_, cell) => `${x + (cell % w)},${y + Math.floor(cell / w)}`),
      );
      expect(new Set(cells).size).toBe(cells.length);
      expect(Math.max(...it.panels.map(({ gridPos: { x, w } }) => x + w))).toBeLessThanOrEqual(24);
      expect(new Set(it.panels.map(({ id }) => id)).size).toBe(it.panels.length);
    },
  );

  test('dashboards have names of their own and are where Grafana looks for them', () => {
    const all = readDashboards();
    expect(new Set(all.map(({ uid }) => uid)).size).toBe(all.length);
    expect(new Set(all.map(({ title }) => title)).size).toBe(all.length);
    const { environment, volumes } = compose.services['grafana'] ?? {};
    const mount = volumes?.find(({ source }) => source === './grafana/dashboards')?.target;
    expect(readDockerFile('grafana/provisioning/dashboards/hedonify.yaml')).toContain(
      `path: ${mount}\n`,
    );
    const home = environment?.['GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH'];
    expect(all.map(({ file }) => `${mount}/${file}`)).toContain(home);
  });
});
