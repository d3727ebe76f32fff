/**
 * `npm start`. Composition root, imported by nobody: reads the configuration, starts tracing, and
 * only then loads the server, since OpenTelemetry patches pg and ioredis as they are loaded.
 *
 * Exit codes: 0 = stopped as asked, or another node took over; 1 = anything else.
 */
import { ConfigError, loadConfig } from './config.ts';
import type { Config } from './config.ts';
import { createLogger } from './telemetry/logger.ts';
import { startTracing } from './telemetry/tracing.ts';
import type { Tracing } from './telemetry/tracing.ts';
import { readVersion } from './version.ts';

type Logger = ReturnType<typeof createLogger>;

try {
  const config = loadConfig();
  const logger = createLogger({ level: config.logLevel });
  const tracing = await traced(config, logger);
  const { startServer } = await import('./server.ts');
  await startServer({ config, logger, tracing });
} catch (error) {
  if (!(error instanceof ConfigError)) throw error;
  process.stderr.write(`${error.message}\n`);
  process.exit(1);
}

async function traced(
  { otlpEndpoint, traceSampler, traceRatio }: Config,
  logger: Logger,
): Promise<Tracing | null> {
  if (otlpEndpoint === null) return null;
  return startTracing({
    endpoint: otlpEndpoint,
    sampler: traceSampler,
    ratio: traceRatio,
    serviceVersion: readVersion(),
    logger,
  });
}
