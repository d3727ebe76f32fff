/**
 * The HTTP edge, built apart from listening. It sees ports only: nothing here knows of threads, of
 * PostgreSQL or of the environment.
 */
import type { Server } from 'node:http';

import swagger from '@fastify/swagger';
import { fastify } from 'fastify';
import type { FastifyHttpOptions, FastifyInstance, FastifyReply } from 'fastify';

import { addAdminRoutes } from './admin-routes.ts';
import { createAccessTokens } from './access-tokens.ts';
import type { AccessTokens } from './access-tokens.ts';
import { addAdminPageRoutes } from './admin-page-routes.ts';
import type { AppDeps, AppSettings } from './app-deps.ts';
import { createAuthentication } from './authenticate.ts';
import { addCancelOrderRoute } from './cancel-order-route.ts';
import { addChangeStockRoute } from './change-stock-route.ts';
import { addCartItemRoutes } from './cart-item-routes.ts';
import { addCartRoutes } from './cart-routes.ts';
import { cartSchema } from './cart-schemas.ts';
import { addCheckoutRoute } from './checkout-route.ts';
import { handleClientError } from './client-error.ts';
import { addCors } from './cors.ts';
import { addCreateProductRoute } from './create-product-route.ts';
import { addDecisionsRoute } from './decisions-route.ts';
import { addCompleteOrderRoute } from './complete-order-route.ts';
import { addDocsRoutes } from './docs-routes.ts';
import { addEditProductRoutes } from './edit-product-routes.ts';
import { handleError } from './error-handler.ts';
import { addHealthRoutes } from './health-routes.ts';
import { jsonSchemaOf } from './json-schema.ts';
import { addMerchantOrderRoute } from './merchant-order-route.ts';
import { addMetricsRoute } from './metrics-route.ts';
import { addAnswerObservers } from './observe-answers.ts';
import { openapiOptions } from './openapi.ts';
import { addOrderReadRoutes } from './order-read-routes.ts';
import { orderEventSchema, orderSchema } from './order-schemas.ts';
import { createLoginLimit } from './login-limit.ts';
import { createPasswordHashing } from './password-hash.ts';
import { addPaymentRoute } from './payment-route.ts';
import { startedPaymentSchema } from './payment-schemas.ts';
import { addPlaceOrderRoute } from './place-order-route.ts';
import { sendProblem } from './problem.ts';
import { problemSchema } from './problem-schema.ts';
import { addProductReadRoutes } from './product-read-routes.ts';
import { productSchema } from './product-schemas.ts';
import type { RateCounter } from './rate-counter.ts';
import { requestIdOf } from './request-id.ts';
import { addRequestLimit } from './request-limit.ts';
import { RequestLog } from './request-log.ts';
import { addRequestSpans } from './request-spans.ts';
import { addShipOrderRoute } from './ship-order-route.ts';
import { addUserRoutes } from './user-routes.ts';
import { sessionSchema, userSchema } from './user-schemas.ts';
import { createValidatorCompiler } from './validator-compiler.ts';
import { addWebhookDeliveryRoutes } from './webhook-delivery-routes.ts';
import { addWebhookRoutes } from './webhook-routes.ts';
import { deliverySchema, newWebhookSchema, webhookSchema } from './webhook-schemas.ts';

/** Where no route says its own bound: of a body sent to an address that leads nowhere. */
const BODY_BYTES_MAX = 8_192;
/** For the whole request, and for its headers alone, to arrive: a slow sender is cut off. */
const ARRIVAL_MS = 10_000;
const HEADERS_MS = 5_000;
/** Longer than the 60 s after which common load balancers drop an idle connection themselves. */
const KEEP_ALIVE_MS = 72_000;
/** Silence on a connection that waits for an answer, above the gateway's own bound. */
const SILENCE_SLACK_MS = 10_000;
/**
 * While closing, a connection stays this long after its last answer: long enough for a client that
 * is about to send the next request to be told to go instead of being cut off.
 */
const LINGER_MS = 200;
/** After the gateway has answered everything, for the answers to reach slow readers. */
const CLOSE_SLACK_MS = 1_000;

/**
 * The app, ready for `inject` or `listen`.
 *
 * @throws when a route or schema is wrong: a programmer error, at start only.
 */
export async function buildApp(deps: AppDeps): Promise<FastifyInstance> {
  const { settings, clock = Date.now } = deps;
  const app: FastifyInstance = fastify(serverOptions(settings));
  app.decorate('edgeLog', deps.logger);
  app.decorateRequest('identity', null);
  app.decorateRequest('problemCode', null);
  addTelemetry(app, deps);
  app.removeContentTypeParser('text/plain');
  app.setValidatorCompiler(createValidatorCompiler());
  app.setErrorHandler(handleError);
  app.setNotFoundHandler((_request, reply) => sendProblem(reply, 'not-found'));
  addEdgeHooks(app);
  boundClose(app, settings);
  addSchemas(app);
  await app.register(swagger, openapiOptions());

  const { jwtSecret: secret, jwtTtlSeconds: ttlSeconds, shopKey } = settings;
  const tokens = createAccessTokens({ secret, ttlSeconds, shopKey, clock });
  const loginLimit = await addEdgePlugins(app, deps, tokens);
  const { required, optional, admin } = createAuthentication(tokens);
  const passwords = deps.passwords ?? createPasswordHashing();
  const { gateway, catalogue, carts, orders, accounts, readiness } = deps;
  addPlaceOrderRoute(app, { gateway, authenticate: required, clock });
  addOrderReadRoutes(app, { gateway, orders, readiness, authenticate: required });
  addCancelOrderRoute(app, { gateway, orders, readiness, authenticate: required });
  addPaymentRoute(app, {
    gateway,
    orders,
    readiness,
    payments: deps.payments,
    authenticate: required,
  });
  const management = { gateway, orders, readiness, merchantOrders: deps.merchantOrders };
  addShipOrderRoute(app, { ...management, authenticate: required });
  addCompleteOrderRoute(app, { ...management, authenticate: required });
  addMerchantOrderRoute(app, { merchantOrders: deps.merchantOrders, authenticate: required });
  addProductReadRoutes(app, { catalogue, authenticate: optional });
  addCreateProductRoute(app, { products: deps.products, authenticate: required });
  addEditProductRoutes(app, { gateway, catalogue, authenticate: required });
  addChangeStockRoute(app, { gateway, catalogue, authenticate: required });
  addCartRoutes(app, { carts, authenticate: required, clock });
  addCartItemRoutes(app, { carts, authenticate: required, clock });
  addCheckoutRoute(app, { gateway, carts, orders, authenticate: required, clock });
  const { webhooks, webhookTargets } = deps;
  addWebhookRoutes(app, { webhooks, webhookTargets, authenticate: required });
  addWebhookDeliveryRoutes(app, { webhooks, authenticate: required });
  addUserRoutes(app, { accounts, passwords, tokens, authenticate: required, loginLimit });
  const { decisions, inspector } = deps;
  addDecisionsRoute(app, { decisions, inspector, gateway, readiness, authenticate: required });
  await addAdminRoutes(app, { ...deps, tokens, clock, authenticate: admin });
  addHealthRoutes(app, readiness);
  addMetricsRoute(app, { render: deps.renderMetrics, token: settings.metricsToken });
  await addAdminPageRoutes(app);
  await addDocsRoutes(app);
  await app.ready();
  return app;
}

/** First of all hooks, so that a span is as long as its request. */
function addTelemetry(
  app: FastifyInstance,
  { logger, tracing = null, answerObservers = [] }: AppDeps,
): void {
  app.decorateRequest('trace', null);
  if (tracing !== null) addRequestSpans(app, tracing);
  const requestLog = new RequestLog({ logger, tracing: tracing !== null });
  app.decorate('requestLog', requestLog);
  app.decorateRequest('isLogged', false);
  addAnswerObservers(app, [requestLog.answered, ...answerObservers]);
  app.addHook('onClose', (_app, done) => {
    requestLog.close();
    done();
  });
}

function serverOptions(settings: AppSettings): FastifyHttpOptions<Server> {
  return {
    logger: false,
    // What stands before the last entry of X-Forwarded-For is what the client itself sent, or a
    // proxy that we know nothing of.
    trustProxy: settings.trustProxy && ((_address, hop) => hop === 0),
    genReqId: requestIdOf,
    bodyLimit: BODY_BYTES_MAX,
    requestTimeout: ARRIVAL_MS,
    keepAliveTimeout: KEEP_ALIVE_MS,
    connectionTimeout: settings.requestTimeoutMs + SILENCE_SLACK_MS,
    http: { headersTimeout: HEADERS_MS, connectionsCheckingInterval: 1_000 },
    // Fastify's own 503 is not a problem document; the hook below answers instead.
    return503OnClosing: false,
    onProtoPoisoning: 'error',
    onConstructorPoisoning: 'error',
    clientErrorHandler: handleClientError,
    frameworkErrors: (error, request, reply) => {
      setEdgeHeaders(reply);
      handleError(error, request, reply);
    },
  };
}

/** Every answer carries its request id and two constant headers; the rest belongs to pages. */
function setEdgeHeaders(reply: FastifyReply): void {
  reply.header('x-request-id', reply.request.id);
  reply.header('x-content-type-options', 'nosniff');
  reply.header('cache-control', 'no-store');
}

function addEdgeHooks(app: FastifyInstance): void {
  let closing = false;
  app.addHook('preClose', (done) => {
    closing = true;
    done();
  });
  app.addHook('onRequest', (_request, reply, done) => {
    setEdgeHeaders(reply);
    if (closing) sendProblem(reply, 'shutting-down');
    else done();
  });
}

/** In the order in which requests meet them: a preflight is answered uncounted. */
async function addEdgePlugins(
  app: FastifyInstance,
  deps: AppDeps,
  tokens: AccessTokens,
): Promise<RateCounter> {
  const { settings, redis = null } = deps;
  const { corsOrigins, rateLimitPerMinute, loginAttemptsPerMinute } = settings;
  if (corsOrigins.length > 0) await addCors(app, corsOrigins);
  if (rateLimitPerMinute > 0) {
    await addRequestLimit(app, { requestsPerMinute: rateLimitPerMinute, tokens, redis });
  }
  return createLoginLimit(app, { attemptsPerMinute: loginAttemptsPerMinute, redis });
}

/**
 * A request in flight when the app closes is answered with keep-alive, and Node would then wait for
 * its client to hang up, 72 s by default. Node reads both settings when an answer is complete, so
 * setting them once is enough: closing idle connections again and again was refused, since that
 * drops what is not yet written of an answer, and a hook that sets `connection: close` would run
 * for every request. What neither ends is a client that reads or sends too slowly, or nothing at
 * all: nobody looks at the arrival of requests any more once the server is closed.
 */
function boundClose(app: FastifyInstance, settings: AppSettings): void {
  app.addHook('preClose', (done) => {
    const { server } = app;
    server.keepAliveTimeout = LINGER_MS;
    server.keepAliveTimeoutBuffer = 0;
    if (server.listening) {
      const closeMs = settings.requestTimeoutMs + CLOSE_SLACK_MS;
      const timer = setTimeout(() => server.closeAllConnections(), closeMs);
      server.once('close', () => clearTimeout(timer));
    }
    done();
  });
}

function addSchemas(app: FastifyInstance): void {
  const schemas = {
    Order: orderSchema,
    OrderEvent: orderEventSchema,
    StartedPayment: startedPaymentSchema,
    Product: productSchema,
    Cart: cartSchema,
    Webhook: webhookSchema,
    NewWebhook: newWebhookSchema,
    WebhookDelivery: deliverySchema,
    User: userSchema,
    Session: sessionSchema,
    Problem: problemSchema,
  };
  for (const [name, schema] of Object.entries(schemas)) {
    app.addSchema({ $id: name, ...jsonSchemaOf(schema) });
  }
}
