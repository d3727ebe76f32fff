/** What every container of docker/ keeps to, and what the image is made of. */
import { existsSync, readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import { describe, expect, test } from 'vitest';
import { z } from 'zod';
import { readCompose, readDockerFile } from './docker-files.ts';

const root = resolve(import.meta.dirname, '../..');
const dockerfile = readDockerFile('Dockerfile');
const { services } = readCompose();
const all = Object.entries(services).map(([name, service]) => ({ name, service }));

/** Images that say in themselves that they do not run as root; the others are told in compose.yaml. */
const RUNS_AS: Readonly<Record<string, string>> = {
  hedonify: 'node',
  'otel/opentelemetry-collector-contrib': '10001',
  'grafana/tempo': '10001',
  'grafana/loki': '10001',
  'jaegertracing/jaeger': '10001',
  'prom/prometheus': 'nobody',
  'quay.io/prometheuscommunity/postgres-exporter': 'nobody',
  'oliver006/redis_exporter': '59000',
  'grafana/grafana': '472',
};
/** Reads log files that belong to root; compose.yaml says so. */
const ROOT = ['log-collector'];
/** One program in the image and nothing to ask it with; compose.yaml says so. */
const UNASKED = ['otel-collector', 'log-collector'];

function imageName(image: string): string {
  return image.slice(0, image.lastIndexOf(':'));
}

function bytes(text: string | undefined): number {
  const [, count, unit = ''] = /^(\d+)([kmg]?)b?$/i.exec(text ?? '') ?? [];
  return Number(count) * 1024 ** ['', 'k', 'm', 'g'].indexOf(unit.toLowerCase());
}

describe('every container', () => {
  test.each(all)('$name has an exact version', ({ service: { image } }) => {
    expect(image).toMatch(/:v?\d+\.\d+(\.\d+)?(-[a-z0-9.]+)?$/);
  });

  test.each(all)('$name does not run as root, or is known to', ({ name, service }) => {
    if (ROOT.includes(name)) expect(service.user).toBe('0:0');
    else expect(service.user ?? RUNS_AS[imageName(service.image)]).toMatch(/^(?!0|root)\w+$/);
  });

  test.each(all)(
    '$name has no capability, no writable root, and cannot gain any',
    ({ service }) => {
      expect(service).toMatchObject({
        read_only: true,
        cap_drop: ['ALL'],
        security_opt: ['no-new-privileges:true'],
      });
      expect(service.cap_add ?? service.privileged).toBeUndefined();
    },
  );

  test.each(all)('$name is restarted when it fails, and only then', ({ service }) => {
    expect(service.restart).toBe('on-failure');
  });

  test.each(all)('$name says how it is, or cannot', ({ name, service }) => {
    expect(service.healthcheck === undefined).toBe(UNASKED.includes(name));
    expect(service.healthcheck?.test[0] ?? 'CMD').toBe('CMD');
  });

  test.each(all)('$name waits for the health of those only that tell it', ({ service }) => {
    const lost = Object.entries(service.depends_on).filter(([name, { condition }]) => {
      const other = services[name];
      const told = other?.healthcheck !== undefined;
      return other === undefined || (condition === 'service_healthy' && !told);
    });
    expect(lost).toEqual([]);
  });

  test('only the app and Grafana are published, to this machine alone', () => {
    const published = all.filter(({ service }) => service.ports.length > 0);
    expect(published.map(({ name }) => name)).toEqual(['app', 'grafana']);
    const ports = published.flatMap(({ service }) => service.ports);
    expect(ports.filter((port) => !port.startsWith('127.0.0.1:'))).toEqual([]);
  });

  test('README.md says how much memory they may take together', () => {
    const limits = all.map(({ service }) => bytes(service.deploy.resources.limits.memory));
    const sum = limits.reduce((a, b) => a + b, 0) / 1024 ** 3;
    expect(readDockerFile('README.md')).toContain(`${sum.toFixed(1)} GB`);
  });

  test.each([
    ['otel-collector', 'otel/traces.yaml'],
    ['log-collector', 'otel/logs.yaml'],
    ['redis', 'redis/redis.conf'],
  ])('%s stops growing before it is killed', (name, path) => {
    const limit = bytes(services[name]?.deploy.resources.limits.memory);
    const bound = /(?:\blimit_mib: |^maxmemory )(\d+)/m.exec(readDockerFile(path))?.[1];
    const own = bytes(`${bound}m`);
    expect(own).toBeGreaterThan(0);
    expect(own).toBeLessThan(0.9 * limit);
  });
});

describe('the image', () => {
  test('has the Node that everything is tested with', () => {
    const { dependencies } = z
      .object({ dependencies: z.object({ node: z.string() }) })
      .parse(JSON.parse(readFileSync(resolve(root, 'package.json'), 'utf8')));
    expect(dockerfile).toContain(`ARG NODE_IMAGE=node:${dependencies.node}-trixie-slim\n`);
    const bases = [...dockerfile.matchAll(/^FROM (\S+)/gm)].map(([, base]) => base);
    expect(new Set(bases)).toEqual(new Set(['${NODE_IMAGE}']));
  });

  test('copies what exists and what .dockerignore lets through, and that is all of it', () => {
    const copied = [...dockerfile.matchAll(/^COPY (?!--from)(?<paths>.+) \S+$/gm)].flatMap(
      ({ groups }) => (groups?.['paths'] ?? '').split(' '),
    );
    expect(copied.length).toBeGreaterThan(4);
    expect(copied.filter((path) => !existsSync(resolve(root, path)))).toEqual([]);
    const ignore = readDockerFile('Dockerfile.dockerignore').split('\n');
    const passed = ignore.filter((line) => line.startsWith('!')).map((line) => line.slice(1));
    expect(ignore).toContain('*');
    expect(new Set(passed)).toEqual(new Set(copied));
  });

  test('runs as a user, gets signals, and tells whether it is alive', () => {
    const last = dockerfile.slice(dockerfile.lastIndexOf('\nFROM '));
    expect(last).toMatch(/^USER node$/m);
    expect(last).toMatch(/^CMD \["node", "src\/main\.ts"\]$/m);
    expect(last).toMatch(/^STOPSIGNAL SIGTERM$/m);
    expect(last).toMatch(/^HEALTHCHECK .*\\\n +CMD \[.*\/health\/live/m);
    expect(last).not.toMatch(/^(RUN|ADD|VOLUME)/m);
  });

  test('installs without scripts and without what only development needs', () => {
    expect(dockerfile).toContain('npm ci --omit=dev --omit=optional --ignore-scripts');
  });
});
